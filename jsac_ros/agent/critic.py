"""The critic's loss: the mean-squared Bellman error. It also trains the encoder."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jsac_ros.agent.agent import Sample
from jsac_ros.agent.networks import Networks


def bellman_error(q: jax.Array, target: jax.Array, weight: jax.Array) -> jax.Array:
    """(1/N) sum_i w (Q_i - y)^2, averaged over the batch. q: [N, B] or [B]; target, weight: [B]; returns []."""
    return jnp.mean(weight * jnp.square(q - target))


def critic_loss(params, networks: Networks, sample: Sample, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The loss, [], and Q(o, a), [N, B]. `params`: {"encoder", "critic"}; `target`, [B], is a constant."""
    q = networks.q_values(params, sample.observation, sample.action)
    return bellman_error(q, target, sample.weight), q
