"""Shadow mode: another system moves the robot; observations and actions are computed, nothing is earned."""

from __future__ import annotations

import numpy as np

from jsac_ros.config import SystemConfig
from jsac_ros.robots.arm import Arm
from jsac_ros.tasks.proprioception import JointProprioception
from jsac_ros.tasks.task import Score, episode_steps


class Shadow:
    """`tasks.task.Task` that never resets, ends by its time limit alone, and rewards nothing."""

    needs_new_target = False
    waits_for = ""
    settle_s = 0.0

    def __init__(self, config: SystemConfig, arm: Arm):
        self.episode_steps = episode_steps(config.task)
        self.proprioception = JointProprioception(config.task)

    def begin_reset(self, position: np.ndarray, now_s: float) -> None:
        pass

    def reset_velocity(self, position: np.ndarray, velocity: np.ndarray, now_s: float) -> np.ndarray | None:
        return None

    def begin_episode(self) -> None:
        pass

    def score(self, frame: np.ndarray) -> Score:
        return Score(0.0, False, False)
