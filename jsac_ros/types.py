"""The vocabulary that every part shares: what an observation, a step and a batch are.

The same words mean the same things in `msg/`, in the files on disk and in the docs.
Axes: B batch, F frames of a sample, H rows, W columns, C channels of one frame, S frames in a stack,
P proprioception, A action. A system without a camera has H = W = 0, one without proprioception P = 0:
arrays then have a zero-sized axis and nothing needs a special case.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Spec(NamedTuple):
    """Shapes of one system; the actor, the store, the ring and the networks are all made from it."""

    height: int
    width: int
    channels: int  # of one frame
    stack: int
    proprioception: int
    action: int
    choices: int = 0  # > 0: discrete actions, numbered 0..choices-1 and stored as one float (action = 1)

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        return (self.height, self.width, self.channels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (self.height, self.width, self.channels * self.stack)


class Observation(NamedTuple):
    """What the policy sees at one tick."""

    image: np.ndarray  # uint8 [H, W, C*S], oldest frame first
    proprioception: np.ndarray  # float32 [P]


class Step(NamedTuple):
    """One tick of one actor, as it is sent and stored (`msg/Transition.msg` explains each field).

    `action`, `executed`, `reward` and `mask` belong to the action chosen at this observation; where `is_last`
    is set this is the observation that closes the episode and they mean nothing.
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
    frame: np.ndarray  # uint8 [H, W, C]
    proprioception: np.ndarray  # float32 [P]
    action: np.ndarray  # float32 [A]
    executed: np.ndarray  # float32 [A], NaN where unknown
    reward: float
    mask: float
    stamp_ns: int  # tick begun
    frame_stamp_ns: int
    joint_stamp_ns: int
    policy_version: int
    lateness_s: float


class Batch(NamedTuple):
    """A sample of transitions, NumPy in a ring slot or JAX on the device.

    `frames` holds both stacks of a sample, each frame once: the observation is `frames[:, :S]`, the next one
    `frames[:, -S:]`, so F = S + 1 for n = 1; for n-step targets, whose next stack comes sooner where the episode ends
    sooner, the two lie side by side, F = 2 S.
    """

    frames: np.ndarray  # uint8 [B, F, H, W, C], oldest first
    proprioception: np.ndarray  # float32 [B, P]
    next_proprioception: np.ndarray  # float32 [B, P]
    action: np.ndarray  # float32 [B, A]
    reward: np.ndarray  # float32 [B], sum over k < n of gamma^k r
    discount: np.ndarray  # float32 [B], gamma^n times the mask m; what multiplies the bootstrap
    weight: np.ndarray  # float32 [B], importance weights; 1 where sampling is uniform
    index: np.ndarray  # int64 [B], where each came from in the store


def batch_layout(spec: Spec, batch_size: int, n_step: int = 1) -> dict[str, tuple[tuple[int, ...], str]]:
    """Name -> (shape, dtype) of every field of a `Batch`, in order."""
    frames = spec.stack + (1 if n_step == 1 else spec.stack)
    b = batch_size
    return {
        "frames": ((b, frames, *spec.frame_shape), "uint8"),
        "proprioception": ((b, spec.proprioception), "float32"),
        "next_proprioception": ((b, spec.proprioception), "float32"),
        "action": ((b, spec.action), "float32"),
        "reward": ((b,), "float32"),
        "discount": ((b,), "float32"),
        "weight": ((b,), "float32"),
        "index": ((b,), "int64"),
    }
