"""From the newest frame of every camera to one score: convolutions per image, a layer over all of them, a logit."""

from __future__ import annotations

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jsac_ros.agent.initial import initialise, shapes_of
from jsac_ros.agent.networks import Encoder
from jsac_ros.classifier.files import Card
from jsac_ros.config import ConfigError

Params = Any
_KERNEL, _STRIDE = 3, 2
_CHANNELS = (16, 32, 32, 32)


class Network(nn.Module):
    """Success from images."""

    names: tuple[str, ...]  # of the images
    channels: tuple[int, ...]  # of each convolution
    width: int

    @nn.compact
    def __call__(self, images: dict[str, jax.Array]) -> jax.Array:
        """images: {name: uint8 [B, H, W, C]}; -> score, float32 [B]; above 0, success is more likely than not."""
        layers = tuple((channels, _KERNEL, _STRIDE) for channels in self.channels)
        conv_net = {"layers": layers, "layer_norm": False, "activation": "relu", "pixel_limit": 1.0, "dtype": jnp.float32}
        x = nn.relu(Encoder(self.names, False, conv_net, name="encoder")(images))
        x = nn.relu(nn.LayerNorm(use_fast_variance=False, name="norm")(nn.Dense(self.width, name="dense")(x)))
        return nn.Dense(1, name="value")(x)[..., 0]


def network_of(card: Card) -> Network:
    return Network(tuple(card.images), card.channels, card.width)


def channels_for(side: int) -> tuple[int, ...]:
    """Channels of each convolution: as many convolutions as fit images of `side` pixels."""
    channels: list[int] = []
    while side >= _KERNEL and len(channels) < len(_CHANNELS):
        channels.append(_CHANNELS[len(channels)])
        side = (side - _KERNEL) // _STRIDE + 1
    return tuple(channels)


def param_shapes(card: Card) -> Params:
    """Allocates nothing. Raises ConfigError if an image is too small for so many convolutions."""
    side = min(min(image.shape[:2]) for image in card.images.values())
    if len(card.channels) > (most := len(channels_for(side))):
        raise ConfigError(
            f"classifier: channels has {len(card.channels)} layers; expected at most {most} for images of {side} pixels"
        )
    return shapes_of(network_of(card), {n: jax.ShapeDtypeStruct((1, *i.shape), jnp.uint8) for n, i in card.images.items()})


def first_params(card: Card, rng: np.random.Generator) -> Params:
    return initialise(param_shapes(card), rng, head_scale=0.01)


@partial(jax.jit, static_argnums=0)
def scores(network: Network, params: Params, images: dict[str, jax.Array]) -> jax.Array:
    """Scores, float32 [B]; compiled once for each network and batch size."""
    return network.apply({"params": params}, images)


# -- as files --------------------------------------------------------------------------------------------------------


def to_tensors(params: Params) -> dict[str, np.ndarray]:
    return {_name(path): np.array(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)}


def from_tensors(card: Card, tensors: dict[str, np.ndarray]) -> Params:
    """Raises ConfigError if the network that the card describes has other arrays."""
    shapes = param_shapes(card)
    wanted = {_name(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(shapes)}
    held = {name: value.shape for name, value in tensors.items()}
    for name in [*wanted, *held]:
        if wanted.get(name) != held.get(name):
            found, expected = held.get(name, "missing"), wanted.get(name, "no such array")
            raise ConfigError(f"classifier: {name} is {found}; expected {expected}")
    return jax.tree_util.tree_map_with_path(lambda path, _: jnp.asarray(tensors[_name(path)]), shapes)


def _name(path) -> str:
    return "/".join(str(part.key) for part in path)
