"""What a task is: what the robot senses, what it earns, when an episode ends and how the next one begins.

A task is pure: no ROS, no clock, no learning. `control/session.py` calls it in the order
`begin_reset`, `reset_velocity`..., `begin_episode`, then `proprioception` and `score` at every tick.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from jsac_ros.config import TaskConfig


class Score(NamedTuple):
    """What the action before this observation earned."""

    reward: float
    terminated: bool  # a terminal state: nothing is earned after it
    success: bool  # the goal is reached and held at this observation


class Task(Protocol):
    episode_steps: int  # actions until the time limit, which truncates
    needs_new_target: bool  # the service `new_target` is called during every reset
    waits_for: str  # what keeps a reset that has nowhere to move; "": nothing
    settle_s: float  # at rest at home for so long before an episode begins

    def begin_reset(self, position: np.ndarray, now_s: float) -> None:
        """Plans the way home from `position` (rad, [N]) at `now_s` (steady clock)."""

    def reset_velocity(self, position: np.ndarray, velocity: np.ndarray, now_s: float) -> np.ndarray | None:
        """rad/s [N] that moves the robot home; None once it is there and at rest."""

    def begin_episode(self) -> None:
        """Forgets what `score` remembers of the last episode."""

    def proprioception(self, position: np.ndarray, velocity: np.ndarray, previous_action: np.ndarray) -> np.ndarray:
        """float32 [P] of joint angles (rad [N]), joint speeds (rad/s [N]) and the action before (float32 [A])."""

    def score(self, frame: np.ndarray) -> Score:
        """Of the observation's frame (uint8 [H, W, C]), called once for each observation but the first."""


def episode_steps(task: TaskConfig) -> int:
    """Actions until the time limit."""
    return max(1, round(task.episode_s / task.control_period_s))
