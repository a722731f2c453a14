"""DrQ random shift (Kostrikov et al., 2021): moves the image by up to `pad` pixels and replicates its edge."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def shift_images(key: jax.Array, images: dict[str, jax.Array], pad: int, joined: bool) -> dict[str, jax.Array]:
    """Shifts every image of every sample by its own offset; images that one encoder joins share an offset.

    images: {name: uint8 [B, H, W, S*C]}; joined images have one size, so one key draws the same offsets.
    """
    if not images:
        return images
    keys = [key] * len(images) if joined else jax.random.split(key, len(images))
    return {name: random_shift(k, image, pad) for k, (name, image) in zip(keys, images.items(), strict=True)}


def random_shift(key: jax.Array, image: jax.Array, pad: int) -> jax.Array:
    """Shifts every image of a batch by its own offset.

    Equal to padding by `pad` with edge replication and cropping the original size at a random place; an index
    clipped to the image reads the same pixel as the padded copy would, so no padded copy is made.

    image: uint8 [B, H, W, C]; one offset in [-pad, pad] per sample and axis, shared by its channels.
    """
    if pad == 0:
        return image
    batch, height, width, _ = image.shape
    offset = jax.random.randint(key, (batch, 2), -pad, pad + 1)
    rows = jnp.clip(jnp.arange(height) + offset[:, :1], 0, height - 1)
    columns = jnp.clip(jnp.arange(width) + offset[:, 1:], 0, width - 1)
    image = jnp.take_along_axis(image, rows[:, :, None, None], axis=1)
    return jnp.take_along_axis(image, columns[:, None, :, None], axis=2)
