"""Trains a classifier on labelled images: as many positives as negatives in every batch, each shifted (DrQ)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jsac_ros.agent.augment import shift_images
from jsac_ros.classifier.examples import NEGATIVE, POSITIVE, LabelledEpisode
from jsac_ros.classifier.files import Card, CardImage
from jsac_ros.classifier.network import Network, Params, channels_for, first_params, network_of, scores
from jsac_ros.config import ConfigError
from jsac_ros.spaces import ImageSpace
from jsac_ros.types import Arrays

_WIDTH = 64  # of the layer after the convolutions
_SCORED = 256  # images at once


class Recipe(NamedTuple):
    """Settings of the training."""

    updates: int = 600
    batch_size: int = 64  # half of it positives
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    shift_pad: int = 4  # pixels


def fresh_card(images: Mapping[str, ImageSpace], consecutive: int, precision: float) -> Card:
    """The card of an untrained classifier. Raises ConfigError if an image is too small."""
    seen = {n: CardImage(height=image.height, width=image.width, channels=image.channels) for n, image in images.items()}
    small = min(seen, key=lambda name: min(seen[name].shape[:2]))
    channels = channels_for(min(seen[small].shape[:2]))
    if not channels:
        raise ConfigError(f"image {small!r} is {seen[small].height}x{seen[small].width}; expected at least 3x3")
    return Card(
        images=seen, channels=channels, width=_WIDTH, threshold=0.0, consecutive=consecutive, wanted_precision=precision
    )


def learn(card: Card, episodes: list[LabelledEpisode], recipe: Recipe, seed: int) -> Params:
    """The parameters after `recipe.updates`; equal seeds give equal parameters."""
    rng = np.random.default_rng(seed)
    params = first_params(card, rng)
    optimiser = optax.adamw(optax.cosine_decay_schedule(recipe.learning_rate, recipe.updates), weight_decay=recipe.weight_decay)
    opt_state = optimiser.init(params)
    frames = {name: np.concatenate([episode.frames[name] for episode in episodes]) for name in card.images}
    labels = np.concatenate([episode.labels for episode in episodes])
    of_kind = [np.flatnonzero(labels == kind) for kind in (POSITIVE, NEGATIVE)]
    half = recipe.batch_size // 2
    for key in jax.random.split(jax.random.PRNGKey(seed), recipe.updates):
        chosen = np.concatenate([rows[rng.integers(len(rows), size=half)] for rows in of_kind])
        images = {name: array[chosen] for name, array in frames.items()}
        params, opt_state = _update(network_of(card), optimiser, recipe.shift_pad, params, opt_state, key, images)
    return params


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=(3, 4))
def _update(
    network: Network, optimiser: Any, pad: int, params: Params, opt_state: Any, key: jax.Array, images: dict[str, jax.Array]
) -> tuple[Params, Any]:
    """images: uint8 [B, H, W, C], the first half positives."""
    size = len(next(iter(images.values())))
    labels = (jnp.arange(size) < size // 2).astype(jnp.float32)
    shifted = shift_images(key, images, pad, joined=False)

    def loss(params: Params) -> jax.Array:
        logits = network.apply({"params": params}, shifted)
        return optax.sigmoid_binary_cross_entropy(logits, labels).mean()

    updates, opt_state = optimiser.update(jax.grad(loss)(params), opt_state, params)
    return optax.apply_updates(params, updates), opt_state


def scores_of(card: Card, params: Params, frames: Arrays) -> np.ndarray:
    """Logits float32 [T] of frames {image: uint8 [T, H, W, C]}."""
    network, count = network_of(card), len(next(iter(frames.values())))
    parts = []
    for begin in range(0, count, _SCORED):
        part = {name: frames[name][begin : begin + _SCORED] for name in card.images}
        short = _SCORED - len(next(iter(part.values())))  # one shape, compiled once
        padded = {name: np.pad(array, ((0, short), (0, 0), (0, 0), (0, 0))) for name, array in part.items()}
        parts.append(np.asarray(scores(network, params, padded))[: _SCORED - short])
    return np.concatenate(parts)
