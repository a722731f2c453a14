"""JSAC's actor loss (eq. 3)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jsac_ros.agent.distributions import sample_tanh_gaussian
from jsac_ros.agent.networks import Networks


def actor_loss(params, networks: Networks, critic, alpha, z, vector, key) -> tuple[jax.Array, jax.Array]:
    """Eq. 3: E[alpha log pi(a|s) - min_i Q_i(s, a)], a ~ pi reparameterised; also log pi(a|s), [B].

    params: of the actor; critic: {"encoder", "critic"} after its update; z: [B, z], encoded by that critic's encoder
    and treated as a constant: the encoder learns only from the critic's loss.
    """
    z = jax.lax.stop_gradient(z)
    mean, log_std = networks.actor.apply({"params": params}, z, vector)
    action, log_prob = sample_tanh_gaussian(key, mean, log_std)
    q = networks.critic.apply({"params": critic["critic"]}, z, vector, action)
    return jnp.mean(alpha * log_prob - jnp.min(q, axis=0)), log_prob
