"""One optimiser step: global-norm clip, Adam, weight clip; skipped if the gradient is not finite."""

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
    aux: Any  # the auxiliary output of the loss function
    grads: Any
    norm: jax.Array  # float32 [], global

    @property
    def is_finite(self) -> jax.Array:
        """bool []."""
        return jnp.isfinite(self.loss) & jnp.isfinite(self.norm)


def differentiate(loss: Callable, params: Any, *args: Any) -> Gradient:
    """The gradient of `loss(params, *args) -> (loss, aux)` with respect to `params`."""
    (value, aux), grads = jax.value_and_grad(loss, has_aux=True)(params, *args)
    return Gradient(value, aux, grads, norm(grads))


def norm(grads: Any) -> jax.Array:
    """Norm of the whole tree, float32 []. Computed as dot products, so the squares of six million values are never stored."""
    return jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(grads)))


def clip_by_global_norm(limit: float) -> optax.GradientTransformation:
    """Like optax's, but with the same `norm` as the metrics, and with a factor instead of a scaled copy of the tree."""

    def clip(grads, state, params=None):
        factor = jnp.minimum(1.0, limit / norm(grads))
        return jax.tree.map(lambda leaf: factor * leaf, grads), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), clip)


class Optimiser(NamedTuple):
    """The optimiser of one set of parameters."""

    transformation: optax.GradientTransformation
    weight_clip_kappa: float = 0.0  # 0: parameters are not clipped

    @property
    def init(self) -> Callable:
        return self.transformation.init


def make_optimiser(learning_rate: float, max_gradient_norm: float, weight_clip_kappa: float = 0.0) -> Optimiser:
    """Clips to a global norm (Pascanu et al., 2013), then Adam, then clips the weights. A bound of 0: not clipped."""
    adam = optax.adam(learning_rate)
    transformation = optax.chain(clip_by_global_norm(max_gradient_norm), adam) if max_gradient_norm else adam
    return Optimiser(transformation, weight_clip_kappa)


def step(optimiser: Optimiser, grads: Any, params: Any, opt_state: Any, is_finite: jax.Array) -> tuple[Any, Any]:
    """Applies `grads` to `params`; returns (params, opt_state).

    is_finite: bool []; if false, both are returned unchanged, to the bit.
    """
    updates, new_opt_state = optimiser.transformation.update(grads, opt_state, params)
    new_params = optax.apply_updates(params, updates)
    if optimiser.weight_clip_kappa:
        new_params = clip_weights(new_params, optimiser.weight_clip_kappa)
    return select(is_finite, (new_params, new_opt_state), (params, opt_state))


def select(condition: jax.Array, new: Any, old: Any) -> Any:
    """`new` where the condition holds, else `old`; element by element, so it fuses with what computed `new`."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
