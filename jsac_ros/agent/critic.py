"""The critic's update (eq. 2 and the mean-squared Bellman error). It also trains the encoder."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jsac_ros.agent.networks import Networks


def encode_and_value(networks: Networks, params, image, proprioception, action) -> jax.Array:
    """Q(o, a) of the trees {"encoder", "critic"}: float32 [N, B]."""
    z = networks.encoder.apply({"params": params["encoder"]}, image)
    return networks.critic.apply({"params": params["critic"]}, z, proprioception, action)


def bellman_target(next_q, next_log_prob, alpha, reward, discount) -> jax.Array:
    """Eq. 2: y = r + gamma m [min_i Q'_i(s', a') - alpha log pi(a'|s')].

    next_q: [N, B]; next_log_prob, reward, discount: [B], where discount is gamma^n m; alpha: []; returns [B].
    """
    return reward + discount * (jnp.min(next_q, axis=0) - alpha * next_log_prob)


def random_subset(key: jax.Array, q: jax.Array, size: int) -> jax.Array:
    """`size` of the N rows of q [N, B], drawn without replacement (REDQ, Chen et al., 2021)."""
    return q[jax.random.permutation(key, q.shape[0])[:size]]


def bellman_error(q, target, weight) -> jax.Array:
    """(1/N) sum_i w (Q_i - y)^2, averaged over the batch. q: [N, B]; target, weight: [B]; returns []."""
    return jnp.mean(weight * jnp.square(q - target))


def critic_loss(params, networks: Networks, image, batch, target) -> tuple[jax.Array, jax.Array]:
    """The loss, [], and Q(o, a), [N, B]. `params` holds {"encoder", "critic"}; `target` is a constant."""
    q = encode_and_value(networks, params, image, batch.proprioception, batch.action)
    return bellman_error(q, target, batch.weight), q
