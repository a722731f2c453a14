"""Saliency of a critic: how much each pixel influences its value (`Agent.state_value`)."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jsac_ros.agent.agent import Agent, TrainState
from jsac_ros.agent.observation import Inputs, inputs_of
from jsac_ros.types import Arrays, Observation

Saliency = Callable[[TrainState, Observation], Arrays]

_SHARE = (
    1 / 40
)  # standard deviation of the smoothing, as a share of the larger side: single pixels show artefacts of the strides


def make_saliency(agent: Agent) -> Saliency:
    """The compiled `saliency(state, observation) -> {image: float32 [H, W] in [0, 1]}`.

    observation: {image: uint8 [H, W, S*C], vector: float32 [n]}. The magnitude of the gradient, summed over channels and
    frames, smoothed, and divided by its maximum over all images; zeros if no pixel has any influence.
    """

    @jax.jit
    def gradients(state: TrainState, images: dict[str, jax.Array], inputs: Inputs) -> dict[str, jax.Array]:
        grads = jax.grad(lambda images: agent.state_value(state, inputs._replace(images=images))[0])(images)
        return {name: _smooth(jnp.abs(grad[0]).sum(-1)) for name, grad in grads.items()}

    def saliency(state: TrainState, observation: Observation) -> Arrays:
        inputs = inputs_of(agent.spaces, {name: part[None] for name, part in observation.items()})
        images = {name: image.astype(np.float32) for name, image in inputs.images.items()}
        found = {name: np.asarray(size) for name, size in gradients(state, images, inputs).items()}
        largest = max(1e-12, *(float(size.max()) for size in found.values()))
        return {name: size / largest for name, size in found.items()}

    return saliency


def _smooth(size: jax.Array) -> jax.Array:
    """A Gaussian along both axes, [H, W]."""
    sigma = max(1.0, _SHARE * max(size.shape))
    reach = round(2 * sigma)
    kernel = jnp.exp(-jnp.square(jnp.arange(-reach, reach + 1) / sigma) / 2)
    kernel = kernel / kernel.sum()
    along = lambda rows: jax.vmap(lambda row: jnp.convolve(row, kernel, mode="same"))(rows)
    return along(along(size).T).T
