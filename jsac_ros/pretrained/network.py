"""The features of an image: a frozen ResNet (He et al., 2016) up to the stage that its file holds, compiled once."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jsac_ros.config import ConfigError
from jsac_ros.pretrained import files
from jsac_ros.pretrained.files import EncoderCard

_LAYOUT = ("NHWC", "HWIO", "NHWC")
_EPSILON = 1e-5  # of group norm
_Layers = dict[str, dict[str, jax.Array]]  # "stage/0/1/0" -> kernel, bias, scale


class Encoder:
    """One pretrained encoder."""

    def __init__(self, card: EncoderCard, tensors: dict[str, np.ndarray]):
        """Raises ConfigError if the arrays do not form such a network."""
        self.card = card
        self._layers: _Layers = {}
        for name, value in tensors.items():
            layer, _, kind = name.rpartition("/")
            self._layers.setdefault(layer, {})[kind] = jnp.asarray(value)
        self._check()

    @classmethod
    def load(cls, path: str | Path, frame_shape: tuple[int, int, int]) -> Encoder:
        """Compiled for frames of this shape. Raises ConfigError with one line if the file is missing or damaged."""
        card, tensors = files.read(path)
        try:
            encoder = cls(card, tensors)
        except ConfigError as error:
            raise ConfigError(f"encoder {path}: {error}") from None
        encoder(np.zeros(frame_shape, np.uint8))
        return encoder

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """frame: uint8 [H, W, 3 or 1]; returns float32 [h*w*c], rows first."""
        return np.asarray(self._compiled(self._layers, frame)).reshape(-1)

    @cached_property
    def _compiled(self):
        settings = self.card.blocks, self.card.padding, self.card.groups, self.card.pooled_shortcut
        return jax.jit(partial(_features, *settings, self.card.mean, self.card.std))

    def _check(self) -> None:
        """Compares with the shapes that the network needs. Raises ConfigError."""
        try:
            frame = jax.ShapeDtypeStruct((64, 64, 3), jnp.uint8)
            found = jax.eval_shape(self._compiled, self._layers, frame).shape
        except (TypeError, ValueError, KeyError) as error:
            raise ConfigError(f"its arrays are not those of a ResNet: {' '.join(str(error).split())[:160]}") from None
        if found != (expected := self.card.shape_of(64, 64)):
            raise ConfigError(f"features of a 64x64 image are {list(found)}; its description says {list(expected)}")


def _features(blocks, padding, groups, pooled_shortcut, mean, std, layers: _Layers, frame: jax.Array) -> jax.Array:
    """float32 [h, w, c]."""
    rgb = jnp.repeat(frame, 3, axis=-1) if frame.shape[-1] == 1 else frame
    x = ((rgb.astype(jnp.float32) / 255.0 - jnp.array(mean)) / jnp.array(std))[None]
    layer = partial(_layer, layers, padding, groups)
    for k in range(sum(name.startswith("stem/") for name in layers)):
        x = jax.nn.relu(layer(x, f"stem/{k}", 1 if k else 2))
    x = _max_pool(x, padding)
    for stage, count in enumerate(blocks):
        for block in range(count):
            x = _block(layer, layers, x, f"stage/{stage}/{block}", 2 if stage and not block else 1, pooled_shortcut)
    return x[0]


def _block(layer, layers: _Layers, x: jax.Array, name: str, stride: int, pooled_shortcut: bool) -> jax.Array:
    """Two convolutions of 3x3, or a bottleneck of 1x1, 3x3, 1x1; the first one of 3x3 has the stride."""
    count = sum(other.startswith(f"{name}/") and other[-1].isdigit() for other in layers)
    if count not in (2, 3):
        raise ValueError(f"{name} has {count} convolutions")
    strided, y = int(count == 3), x
    for k in range(count):
        y = layer(y, f"{name}/{k}", stride if k == strided else 1)
        y = jax.nn.relu(y) if k < count - 1 else y
    if f"{name}/shortcut" in layers:
        pooled = pooled_shortcut and stride > 1
        x = layer(_average_pool(x) if pooled else x, f"{name}/shortcut", 1 if pooled else stride)
    return jax.nn.relu(x + y)


def _layer(layers: _Layers, padding: str, groups: int, x: jax.Array, name: str, stride: int) -> jax.Array:
    """Convolution and norm. A folded norm is in kernel and bias."""
    held = layers[name]
    size = held["kernel"].shape[0]
    pad = "SAME" if padding == "same" and size <= 3 else [(size // 2, size // 2)] * 2
    x = jax.lax.conv_general_dilated(x, held["kernel"], (stride, stride), pad, dimension_numbers=_LAYOUT)
    return _group_norm(x, groups) * held["scale"] + held["bias"] if groups else x + held["bias"]


def _group_norm(x: jax.Array, groups: int) -> jax.Array:
    grouped = x.reshape(*x.shape[:3], groups, -1)
    mean = grouped.mean(axis=(1, 2, 4), keepdims=True)
    variance = jnp.square(grouped - mean).mean(axis=(1, 2, 4), keepdims=True)
    return ((grouped - mean) * jax.lax.rsqrt(variance + _EPSILON)).reshape(x.shape)


def _max_pool(x: jax.Array, padding: str) -> jax.Array:
    """3x3, stride 2."""
    pad = "SAME" if padding == "same" else ((0, 0), (1, 1), (1, 1), (0, 0))
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), pad)


def _average_pool(x: jax.Array) -> jax.Array:
    """2x2, stride 2; at an odd edge the mean of what is there."""
    sides = ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0))
    add = lambda y: jax.lax.reduce_window(y, 0.0, jax.lax.add, (1, 2, 2, 1), (1, 2, 2, 1), sides)
    return add(x) / add(jnp.ones_like(x))
