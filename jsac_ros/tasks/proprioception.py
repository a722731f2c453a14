"""What a policy is told about the joints."""

from __future__ import annotations

import numpy as np

from jsac_ros.config import TaskConfig


class JointProprioception:
    """Of the first n joints: angles from home (rad), speeds over the policy's largest, previous action."""

    def __init__(self, task: TaskConfig):
        """Angles count from zero for joints without a home."""
        self._joints = task.controlled_joints
        home = np.zeros(self._joints)
        home[: len(task.home)] = task.home[: self._joints]
        self._home = home
        self._speed = np.broadcast_to(np.abs(task.action_scale), self._joints)

    def __call__(self, position: np.ndarray, velocity: np.ndarray, previous_action: np.ndarray) -> np.ndarray:
        """rad [N], rad/s [N], float32 [A] -> float32 [2 n + A]."""
        n = self._joints
        parts = (position[:n] - self._home, velocity[:n] / self._speed, previous_action)
        return np.concatenate(parts, dtype=np.float32)
