"""The temperature's loss and target entropy (section 3)."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jsac_ros.agent.parameters import ActorCriticParameters


def target_entropy(parameters: ActorCriticParameters, actions: int) -> float:
    """H of the temperature loss, in nats: -|A|, -|A|/2, or the entropy of a Gaussian with a given standard deviation.

    The last is |A| (log(2 pi e) / 2 + log sigma), before squashing.
    """
    match parameters.target_entropy:
        case "minus_actions":
            return -float(actions)
        case "minus_half_actions":
            return -actions / 2.0
        case "max_std":
            return actions * (0.5 * math.log(2.0 * math.pi * math.e) + math.log(parameters.target_entropy_std))


def temperature_loss(log_alpha: jax.Array, log_prob: jax.Array, entropy: float) -> jax.Array:
    """L(alpha) = E[-alpha (log pi(a|s) + H)], minimised over log alpha. log_prob: [B], a constant; returns []."""
    return -jnp.exp(log_alpha) * jnp.mean(jax.lax.stop_gradient(log_prob) + entropy)
