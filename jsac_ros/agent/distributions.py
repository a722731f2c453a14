"""The tanh-squashed Gaussian of the actor: a = tanh(u), u ~ N(mean, exp(log_std))."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp


def log_prob_tanh_gaussian(u: jax.Array, mean: jax.Array, log_std: jax.Array) -> jax.Array:
    """log pi(tanh(u)), from the value before squashing so that saturated actions stay exact.

    log pi(a) = sum_i log N(u_i) - log(1 - tanh(u_i)^2), where
    log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2 u)) neither cancels nor overflows (Haarnoja et al., 2018, app. C).
    u, mean, log_std: float32 [..., A]; returns float32 [...].
    """
    standardised = (u - mean) * jnp.exp(-log_std)
    gaussian = -0.5 * jnp.square(standardised) - log_std - 0.5 * math.log(2 * math.pi)
    jacobian = 2.0 * (math.log(2.0) - u - jax.nn.softplus(-2.0 * u))
    return jnp.sum(gaussian - jacobian, axis=-1)


def sample_tanh_gaussian(key: jax.Array, mean: jax.Array, log_std: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A reparameterised action in (-1, 1), float32 [..., A], and its log-probability, float32 [...]."""
    u = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape, mean.dtype)
    return jnp.tanh(u), log_prob_tanh_gaussian(u, mean, log_std)
