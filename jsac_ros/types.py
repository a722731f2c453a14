"""The types that every part shares: observation, transition and batch.

The words have the same meaning in `msg/`, in the files on disk and in the docs.
Axes: B batch, F frames of a sample, H rows, W columns, C channels of one frame, S frames in a stack, n values of a
vector, a values of a part of an action.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jsac_ros.spaces import Spaces

Arrays = dict[str, np.ndarray]
LARGEST = float(np.finfo(np.float32).max)  # magnitude of a number that is sent, stored and learned from

# What the policy sees at one tick: {image: uint8 [H, W, S*C], oldest frame first; vector: float32 [n]}.
Observation = Arrays
# What it does: {part: float32 [a] in [-1, 1], or the index of a choice as float32 [1]}.
Action = Arrays


class Sensed(NamedTuple):
    """The sensed state of robot and world at one instant; the task scores it, and senses compute the observation's vectors."""

    time_s: float  # steady clock of the control loop
    frames: Arrays  # {camera: uint8 [H, W, C]}
    position: np.ndarray  # [N] joints in the robot's order: rad, m if prismatic
    velocity: np.ndarray  # [N] per second
    effort: np.ndarray  # [N], as published by the driver; NaN if not measured
    sensors: Arrays  # {sensor: float64 [n]}, scaled, and tared if configured
    events: tuple[str, ...] = ()  # a person's words since the previous tick: "success", "failure", "continue", ...
    outputs: Arrays = {}  # {device: float64 [n]} as measured, in the units of its commands


class Command(NamedTuple):
    """The command to the robot until the next tick, in its own units."""

    motion: np.ndarray  # [N] joint velocities (rad/s, m/s if prismatic); for a base [m/s forward, rad/s left]
    outputs: Arrays  # {device: float64 [n]}


class Score(NamedTuple):
    """The score of the action before an observation."""

    reward: float
    terminated: bool = False  # a terminal state: the return ends
    success: bool = False  # the goal is reached and held at this observation


class Transition(NamedTuple):
    """One step of one actor, as it is sent and stored (`msg/Transition.msg` explains each field).

    `action`, `executed`, `reward` and `mask` belong to the action chosen at this observation; if `is_last` is set,
    this is the observation that closes the episode and they have no meaning.
    """

    robot: str
    session: int  # uint64
    sequence: int  # uint64, counts in the session
    episode: int
    step: int  # in the episode
    is_first: bool
    is_last: bool
    intervened: bool
    success: bool
    frames: Arrays  # {image: uint8 [H, W, C]}
    vectors: Arrays  # {vector: float32 [n]}
    action: Action  # {part: float32 [a]}
    executed: Action  # {part: float32 [a]}, NaN if unknown
    reward: float
    mask: float
    stamp_ns: int  # tick begun
    source_stamps_ns: dict[str, int]  # {source: stamp of the message that was used}; 0: none
    policy_version: int
    lateness_s: float
    events: tuple[str, ...] = ()  # a person's words since the previous step; sent, not stored
    time_s: float = 0.0  # start of the tick on the control loop's clock; sent, not stored


class Batch(NamedTuple):
    """A sample of transitions, NumPy in a ring slot or JAX on the device.

    `frames` holds both stacks of a sample, each frame once: the observation is `frames[name][:, :S]`, the next one
    `frames[name][:, -S:]`, so F = S + 1 for n = 1. For n-step targets, whose next stack is closer if the episode
    ends sooner, the two are stored side by side, F = 2 S.
    """

    frames: Arrays  # {image: uint8 [B, F, H, W, C], oldest first}
    vectors: Arrays  # {vector: float32 [B, n]}
    next_vectors: Arrays  # {vector: float32 [B, n]}
    action: Action  # {part: float32 [B, a]}
    reward: np.ndarray  # float32 [B], sum over k < n of gamma^k r
    discount: np.ndarray  # float32 [B], gamma^n times the mask m; multiplies the bootstrap
    weight: np.ndarray  # float32 [B], importance weights; 1 for uniform sampling
    index: np.ndarray  # type: ignore[assignment]  # int64 [B], where each came from in the store

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Batch:
        """A batch from fields with the names of `batch_layout`."""
        parts: dict[str, Any] = {name: {} for name in ("frames", "vectors", "next_vectors", "action")}
        for path, value in fields.items():
            field, _, name = path.partition("/")
            if name:
                parts[field][name] = value
            else:
                parts[field] = value
        return cls(**parts)

    @property
    def fields(self) -> dict[str, Any]:
        """The inverse of `of`: {"frames/NAME": array, ..., "reward": array, ...}."""
        flat: dict[str, Any] = {}
        for field, value in self._asdict().items():
            if isinstance(value, dict):
                flat |= {f"{field}/{name}": array for name, array in value.items()}
            else:
                flat[field] = value
        return flat

    def rows(self, which: slice) -> Batch:
        """A batch of views of some of its samples."""
        return Batch.of({path: array[which] for path, array in self.fields.items()})


Layout = dict[str, tuple[tuple[int, ...], str]]


def batch_layout(spaces: Spaces, batch_size: int, n_step: int = 1) -> Layout:
    """Name -> (shape, dtype) of every array of a `Batch`, in order."""
    b = batch_size
    layout: Layout = {}
    for image in spaces.images:
        frames = image.stack + (1 if n_step == 1 else image.stack)
        layout[f"frames/{image.name}"] = ((b, frames, *image.frame_shape), image.dtype)
    for field in ("vectors", "next_vectors"):
        layout |= {f"{field}/{vector.name}": ((b, vector.size), vector.dtype) for vector in spaces.vectors}
    layout |= {f"action/{part.name}": ((b, part.size), part.dtype) for part in spaces.actions}
    layout |= dict.fromkeys(("reward", "discount", "weight"), ((b,), "float32"))
    return layout | {"index": ((b,), "int64")}


def empty_batch(spaces: Spaces, batch_size: int, n_step: int = 1) -> Batch:
    """A NumPy batch of zeros."""
    layout = batch_layout(spaces, batch_size, n_step)
    return Batch.of({path: np.zeros(shape, dtype) for path, (shape, dtype) in layout.items()})


def empty_observation(spaces: Spaces) -> Observation:
    """Of zeros."""
    images = {image.name: np.zeros(image.shape, image.dtype) for image in spaces.images}
    return images | {vector.name: np.zeros(vector.shape, vector.dtype) for vector in spaces.vectors}
