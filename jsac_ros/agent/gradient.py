"""One optimiser step: global-norm clip, Adam, weight clip - or nothing at all where the gradient is not finite."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jsac_ros.agent.weight_clip import clip_weights


class Learned(NamedTuple):
    """Parameters and the state of the optimiser that moves them."""

    params: Any
    optimiser: optax.OptState


def norm(gradient: Any) -> jax.Array:
    """Of the whole tree, float32 []. As dot products: the squares of six million weights need not be written down."""
    return jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(gradient)))


def clip_by_global_norm(limit: float) -> optax.GradientTransformation:
    """optax's, with the one `norm` that the metrics have too, and a factor instead of a scaled copy of everything."""

    def clip(gradient, state, params=None):
        factor = jnp.minimum(1.0, limit / norm(gradient))
        return jax.tree.map(lambda leaf: factor * leaf, gradient), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), clip)


def make_optimiser(learning_rate: float, max_gradient_norm: float) -> optax.GradientTransformation:
    """Clip to a global norm (Pascanu et al., 2013), then Adam. `max_gradient_norm` 0: not clipped."""
    adam = optax.adam(learning_rate)
    return optax.chain(clip_by_global_norm(max_gradient_norm), adam) if max_gradient_norm else adam


def step(optimiser, gradient, learned: Learned, usable: jax.Array, kappa: float = 0.0) -> Learned:
    """Moves `learned` along `gradient`, and clips its weights where `kappa` > 0.

    usable: bool []; where false everything is returned as it came, to the bit.
    """
    change, optimiser_state = optimiser.update(gradient, learned.optimiser, learned.params)
    params = optax.apply_updates(learned.params, change)
    if kappa:
        params = clip_weights(params, kappa)
    return keep_unless(usable, Learned(params, optimiser_state), learned)


def keep_unless(condition: jax.Array, new, old):
    """`new` where the condition holds, else `old`; element by element, so it fuses with what computed `new`."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
