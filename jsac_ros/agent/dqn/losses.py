"""DQN's target and loss."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jsac_ros.agent.agent import Sample
from jsac_ros.agent.critic import bellman_error
from jsac_ros.agent.dqn.networks import ValueNetwork


def td_target(network: ValueNetwork, target, sample: Sample) -> jax.Array:
    """y = r + gamma m max_a' Q'(s', a'), float32 [B]; Q' of the target network, m = 0 at a terminal state."""
    return sample.reward + sample.discount * jnp.max(network(target, sample.next_observation), axis=-1)


def value_loss(params, network: ValueNetwork, sample: Sample, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """E[w (Q(s, a) - y)^2], [], and Q(s, a) of the actions taken, [B]."""
    values = network(params, sample.observation)
    taken = jax.nn.one_hot(sample.action[:, 0].astype(jnp.int32), values.shape[-1])
    q = jnp.sum(values * taken, axis=-1)  # not a gather: its gradient would be a scatter, slow on a CPU
    return bellman_error(q, target, sample.weight), q
