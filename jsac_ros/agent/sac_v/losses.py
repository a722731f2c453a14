"""Losses of V and of the actor."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jsac_ros.agent.distributions import sample_tanh_gaussian
from jsac_ros.agent.networks import Networks
from jsac_ros.agent.sac_v.networks import StateValue


def value_loss(params, value: StateValue, z, vector, target) -> tuple[jax.Array, None]:
    """J_V: E[(V(s) - y)^2] with y = min_i Q_i(s, a) - alpha log pi(a|s), a constant [B]."""
    return jnp.mean(jnp.square(value.apply({"params": params}, z, vector) - target)), None


def advantage_loss(params, networks: Networks, critic, baseline, alpha, z, vector, key) -> tuple[jax.Array, tuple]:
    """J_pi: E[alpha log pi(a|s) - (min_i Q_i(s, a) - V(s))], a ~ pi reparameterised; V(s), [B], is a constant.

    Returns the loss, [], and (log pi(a|s), min_i Q_i(s, a)), each [B].
    """
    mean, log_std = networks.actor.apply({"params": params}, z, vector)
    action, log_prob = sample_tanh_gaussian(key, mean, log_std)
    q = jnp.min(networks.critic.apply({"params": critic}, z, vector, action), axis=0)
    return jnp.mean(alpha * log_prob - (q - baseline)), (log_prob, q)
