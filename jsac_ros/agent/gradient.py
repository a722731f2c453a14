"""One optimiser step: global-norm clip, Adam, weight clip, or nothing at all where the gradient is not finite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jsac_ros.agent.weight_clip import clip_weights


class Gradient(NamedTuple):
    """A loss with its gradient."""

    loss: jax.Array  # float32 []
    aux: Any  # what the loss function gave beside it
    grads: Any
    norm: jax.Array  # float32 [], global

    @property
    def is_finite(self) -> jax.Array:
        """bool []."""
        return jnp.isfinite(self.loss) & jnp.isfinite(self.norm)


def differentiate(loss: Callable, params: Any, *args: Any) -> Gradient:
    """Of `loss(params, *args) -> (loss, aux)` by `params`."""
    (value, aux), grads = jax.value_and_grad(loss, has_aux=True)(params, *args)
    return Gradient(value, aux, grads, norm(grads))


def norm(grads: Any) -> jax.Array:
    """Of the whole tree, float32 []. As dot products: the squares of six million weights need not be written down."""
    return jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(grads)))


def clip_by_global_norm(limit: float) -> optax.GradientTransformation:
    """optax's, with the one `norm` that the metrics have too, and a factor instead of a scaled copy of everything."""

    def clip(grads, state, params=None):
        factor = jnp.minimum(1.0, limit / norm(grads))
        return jax.tree.map(lambda leaf: factor * leaf, grads), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), clip)


class Optimiser(NamedTuple):
    """What moves one set of parameters."""

    transformation: optax.GradientTransformation
    weight_clip_kappa: float = 0.0  # 0: weights are not clipped

    @property
    def init(self) -> Callable:
        return self.transformation.init


def make_optimiser(learning_rate: float, max_gradient_norm: float, weight_clip_kappa: float = 0.0) -> Optimiser:
    """Clip to a global norm (Pascanu et al., 2013), then Adam, then clip the weights. A bound of 0: not clipped."""
    adam = optax.adam(learning_rate)
    transformation = optax.chain(clip_by_global_norm(max_gradient_norm), adam) if max_gradient_norm else adam
    return Optimiser(transformation, weight_clip_kappa)


def step(optimiser: Optimiser, grads: Any, params: Any, opt_state: Any, is_finite: jax.Array) -> tuple[Any, Any]:
    """Moves `params` along `grads`; -> (params, opt_state).

    is_finite: bool []; where false both are returned as they came, to the bit.
    """
    updates, new_opt_state = optimiser.transformation.update(grads, opt_state, params)
    new_params = optax.apply_updates(params, updates)
    if optimiser.weight_clip_kappa:
        new_params = clip_weights(new_params, optimiser.weight_clip_kappa)
    return select(is_finite, (new_params, new_opt_state), (params, opt_state))


def select(condition: jax.Array, new: Any, old: Any) -> Any:
    """`new` where the condition holds, else `old`; element by element, so it fuses with what computed `new`."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
