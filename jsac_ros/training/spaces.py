"""The spaces of a Gymnasium environment as ours: observations in named parts, actions in [-1, 1].

Observations may be a vector, an image (uint8 [H, W], or [H, W, C] with 1 or 3 channels), a number out of n (a one-hot
vector), or a Dict of several of these (nested names are joined by `_`); the rendered image of an environment is available as
the image `render`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from jsac_ros.config import ConfigError, TrainConfig
from jsac_ros.spaces import ActionSpace, ImageSpace, Spaces, VectorSpace
from jsac_ros.types import Arrays

RENDER = "render"  # the image that an environment renders
STATE, IMAGE = "state", "image"  # names of the part if the observation is one vector or one image
ACTION = "action"
_ONE_HOT = "1 at the place of a number"  # the unit of a number out of n


def spaces_of(env: Any, config: TrainConfig) -> Spaces:
    """Raises ConfigError if the environment's spaces are not supported, or `train.observe` names an unknown part."""
    parts = _parts(env.observation_space)
    offered = dict(parts)
    for name in offered:
        if sum(name == other for other, _ in parts) > 1:
            raise ConfigError(f"observation has several parts that are called {name!r} here; expected different names")
    chosen = config.observe or tuple(offered)
    images, vectors = [], []
    for name in chosen:
        if name != RENDER and name not in offered:
            raise ConfigError(f"train.observe holds {name!r}; expected some of {', '.join((*offered, RENDER))}")
        part = _image_space(name, 3, config) if name == RENDER else _part_space(name, offered[name], config)
        (images if isinstance(part, ImageSpace) else vectors).append(part)
    try:
        return Spaces.of(images, vectors, [_action_space(env.action_space)])
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _parts(space: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Name -> space of every part of an observation space."""
    from gymnasium.spaces import Dict

    if isinstance(space, Dict):
        return [part for name, inner in space.spaces.items() for part in _parts(inner, f"{prefix}{_name(name)}_")]
    return [(prefix.rstrip("_") or (IMAGE if _is_image(space) else STATE), space)]


def _part_space(name: str, space: Any, config: TrainConfig) -> ImageSpace | VectorSpace:
    """Raises ConfigError if the part is neither a Box nor Discrete."""
    from gymnasium.spaces import Box, Discrete

    if isinstance(space, Discrete) and space.start == 0:
        count = int(space.n)
        return VectorSpace(name, count, _ONE_HOT, (0.0,) * count, (1.0,) * count)
    if not isinstance(space, Box):
        expected = "expected a Box, or Discrete from 0 on (train.observe chooses among several parts)"
        raise ConfigError(f"observation {name!r} is {space}; {expected}")
    if _is_image(space):
        return _image_space(name, space.shape[2] if len(space.shape) == 3 else 1, config)
    low, high = (tuple(np.broadcast_to(bound, space.shape).reshape(-1).tolist()) for bound in (space.low, space.high))
    return VectorSpace(name, int(np.prod(space.shape)), "", low, high)


def _image_space(name: str, channels: int, config: TrainConfig) -> ImageSpace:
    return ImageSpace(name, config.image_height, config.image_width, channels, config.stack)


def _is_image(part: Any) -> bool:
    """Whether a space or an array is an image."""
    return getattr(part, "dtype", None) == np.uint8 and len(part.shape) in (2, 3)


def _name(text: Any) -> str:
    """The name of a part in `spaces`: 'observation.images.front' -> 'observation_images_front'."""
    return re.sub(r"[^a-z0-9]+", "_", str(text).lower()).strip("_") or "part"


def _action_space(space: Any) -> ActionSpace:
    from gymnasium.spaces import Box, Discrete

    if isinstance(space, Discrete):
        return ActionSpace(ACTION, 1, "number of a choice", int(space.n))
    if not isinstance(space, Box):
        raise ConfigError(f"action space is {space}; expected a Box or Discrete")
    if not np.isfinite([space.low, space.high]).all():
        raise ConfigError(f"action space is {space}; expected finite bounds")
    low, high = (tuple(bound.astype(np.float64).ravel().tolist()) for bound in (space.low, space.high))
    return ActionSpace(ACTION, int(np.prod(space.shape)), "of the environment's bounds", low=low, high=high)


def native(action: np.ndarray, space: Any) -> Any:
    """An action for an environment with this action space. action: float32 [size] in [-1, 1], or the index of a choice."""
    if hasattr(space, "n"):
        return int(space.start + action[0])
    action = np.clip(action, -1.0, 1.0).reshape(space.shape)
    return (space.low + 0.5 * (action + 1.0) * (space.high - space.low)).astype(space.dtype)


def of_native(taken: Any, space: Any) -> np.ndarray:
    """The inverse of `native`: float32 [size]. Raises ValueError if it is not an action of this space."""
    values = np.asarray(taken, np.float64)
    if values.size != (1 if hasattr(space, "n") else np.prod(space.shape)) or not np.isfinite(values).all():
        raise ValueError(f"action is {taken}; expected one of {space}")
    if hasattr(space, "n"):
        return (values.reshape(1) - space.start).astype(np.float32)
    share = (values.reshape(space.shape) - space.low) / np.maximum(space.high - space.low, 1e-12)
    return np.clip(2.0 * share - 1.0, -1.0, 1.0).reshape(-1).astype(np.float32)


def card_of(space: Any) -> dict[str, Any]:
    """The action space of an environment, as JSON."""
    if hasattr(space, "n"):
        return {"n": int(space.n), "start": int(space.start)}
    return {"low": space.low.tolist(), "high": space.high.tolist(), "dtype": str(space.dtype)}


def space_of_card(card: dict[str, Any]) -> Any:
    """The action space that `card_of` wrote. Raises ValueError if it is invalid."""
    from gymnasium.spaces import Box, Discrete

    try:
        if "n" in card:
            return Discrete(int(card["n"]), start=int(card["start"]))
        dtype = np.dtype(card["dtype"])
        return Box(np.array(card["low"], dtype), np.array(card["high"], dtype), dtype=dtype.type)
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise ValueError(f"action_space is {card}: {' '.join(str(error).split())}; expected that of a training") from None


def read(observed: Any, spaces: Spaces, draw: Callable[[], np.ndarray] | None = None) -> tuple[Arrays, Arrays]:
    """An environment's observation -> frames {image: uint8 [H, W, C]} and vectors {vector: float32 [n]}, as copies.

    draw: makes the image `render` if the environment's observation has none of that name.
    Raises ValueError naming a part that is missing or has another size.
    """
    named = dict(_named(observed))
    if draw is not None and RENDER in spaces.observation and RENDER not in named:
        named[RENDER] = draw()
    for name in spaces.observation:
        if name not in named:
            raise ValueError(f"observation {name!r} is missing; expected {', '.join(spaces.observation)}")
    frames = {image.name: _resized(named[image.name], image) for image in spaces.images}
    vectors = {vector.name: _vector(named[vector.name], vector) for vector in spaces.vectors}
    return frames, vectors


def _named(observed: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if isinstance(observed, dict):
        return [part for name, inner in observed.items() for part in _named(inner, f"{prefix}{_name(name)}_")]
    array = np.asarray(observed)
    return [(prefix.rstrip("_") or (IMAGE if _is_image(array) else STATE), array)]


def _vector(values: np.ndarray, space: VectorSpace) -> np.ndarray:
    values = np.array(values, np.float32).reshape(-1)
    if values.size == 1 and space.unit == _ONE_HOT:
        if not 0 <= values[0] < space.size:
            raise ValueError(f"observation {space.name!r} is {values[0]:g}; expected 0 to {space.size - 1}")
        values = np.eye(space.size, dtype=np.float32)[int(values[0])]
    if values.size != space.size:
        raise ValueError(f"observation {space.name!r} has {values.size} values; expected {space.size}")
    return values


def _resized(image: np.ndarray, space: ImageSpace) -> np.ndarray:
    channels = image.shape[2] if image.ndim == 3 else 1
    if not _is_image(image) or channels != space.channels:
        found = f"{image.dtype}{list(image.shape)}"
        raise ValueError(f"observation {space.name!r} is {found}; expected uint8[H, W, {space.channels}]")
    if image.shape[:2] == (space.height, space.width):
        return np.array(image).reshape(space.frame_shape)
    resized = cv2.resize(image, (space.width, space.height), interpolation=cv2.INTER_AREA)
    return resized.reshape(space.frame_shape)
