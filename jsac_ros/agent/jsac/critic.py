"""The target of JSAC's critic (eq. 2)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jsac_ros.agent.agent import Sample, TrainState
from jsac_ros.agent.distributions import sample_tanh_gaussian
from jsac_ros.agent.networks import Networks


def critic_target(state: TrainState, networks: Networks, sample: Sample, alpha, subset: int, key) -> jax.Array:
    """y of eq. 2, float32 [B]; a' from the current encoder and actor, Q' from the target's.

    subset: minimum over this many random Qs; 0: over all.
    """
    action_key, subset_key = jax.random.split(key)
    next_z = networks.encode(state.params["critic"], sample.next_observation)
    actor = {"params": state.params["actor"]}
    mean, log_std = networks.actor.apply(actor, next_z, sample.next_observation.vector)
    next_action, next_log_prob = sample_tanh_gaussian(action_key, mean, log_std)
    next_q = networks.q_values(state.target, sample.next_observation, next_action)
    if subset:
        next_q = random_subset(subset_key, next_q, subset)
    return bellman_target(next_q, next_log_prob, alpha, sample.reward, sample.discount)


def bellman_target(next_q, next_log_prob, alpha, reward, discount) -> jax.Array:
    """Eq. 2: y = r + gamma m [min_i Q'_i(s', a') - alpha log pi(a'|s')].

    next_q: [N, B]; next_log_prob, reward, discount: [B], where discount is gamma^n m; alpha: []; returns [B].
    """
    return reward + discount * (jnp.min(next_q, axis=0) - alpha * next_log_prob)


def random_subset(key: jax.Array, q: jax.Array, size: int) -> jax.Array:
    """`size` of the N rows of q [N, B], drawn without replacement (REDQ, Chen et al., 2021)."""
    return q[jax.random.permutation(key, q.shape[0])[:size]]
