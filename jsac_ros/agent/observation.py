"""From the named parts of observations to the inputs of networks: stacks of images and one vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jsac_ros.spaces import Spaces
from jsac_ros.types import Batch


class Inputs(NamedTuple):
    """A batch of observations as input of the networks."""

    images: dict[str, jax.Array]  # {image: uint8 [B, H, W, S*C], oldest frame first}
    vector: jax.Array  # float32 [B, V], the plain vectors in the order of `Spaces`
    maps: dict[str, jax.Array] = {}  # {vector: float32 [B, h, w, c]}, features of images


def inputs_of(spaces: Spaces, observation: Mapping[str, jax.Array]) -> Inputs:
    """observation: {part: [..., shape of its space]}."""
    images = {image.name: observation[image.name] for image in spaces.images}
    maps = {part.name: observation[part.name].reshape(-1, *part.map) for part in spaces.maps}
    return Inputs(images, joined([observation[part.name] for part in spaces.plain_vectors], observation), maps)


def joined(parts: list[jax.Array], observation: Mapping[str, jax.Array]) -> jax.Array:
    """Concatenates parts [B, n] along the last axis; without parts: float32 [B, 0] with the batch size of `observation`."""
    if parts:
        return jnp.concatenate(parts, axis=-1)
    return jnp.zeros((len(next(iter(observation.values()))), 0), jnp.float32)


def observations_of(spaces: Spaces, batch: Batch) -> tuple[Inputs, Inputs]:
    """Observation and next observation of a sample; images not yet shifted."""
    pairs = {image.name: stacks(batch.frames[image.name], image.stack) for image in spaces.images}
    images, next_images = ({name: pair[k] for name, pair in pairs.items()} for k in (0, 1))
    return inputs_of(spaces, images | batch.vectors), inputs_of(spaces, next_images | batch.next_vectors)


def stacks(frames: jax.Array, stack: int) -> tuple[jax.Array, jax.Array]:
    """Frames uint8 [B, F, H, W, C] -> observation and next observation, uint8 [B, H, W, S*C], oldest frame first."""

    def join(part):
        batch, count, height, width, channels = part.shape
        return part.transpose(0, 2, 3, 1, 4).reshape(batch, height, width, count * channels)

    return join(frames[:, :stack]), join(frames[:, -stack:])
