"""The visual reacher: bring the wrist camera close to and centred on a red disc that a monitor shows.

Protocol: Yuan and Mahmood 2022 (arXiv 2203.12759) and ReLoD; figures in `config/ur5_reacher.yaml`.
"""

from __future__ import annotations

import numpy as np

from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.robots.arm import Arm
from jsac_ros.tasks.home import HomeMove, plan_home
from jsac_ros.tasks.proprioception import JointProprioception
from jsac_ros.tasks.task import Score, episode_steps

SHARE_REACHED = 0.015  # of red in the picture
CENTRED = 0.2  # of the picture's width and height, from its centre
HELD_TICKS = 5
_GAIN = 4.0  # 1/s; well below one over the delay of tick, safety and robot together
_LEAD_S = 0.04  # about that delay: what is commanded now is done then
_HELD_UP_RAD = 0.15  # behind the move home: it begins again from where the arm is
_HOME_TOLERANCE = 0.01  # rad
_REST_TOLERANCE = 0.02  # rad/s


def red_mask(frame: np.ndarray) -> np.ndarray:
    """RGB uint8 [H, W, 3] -> bool [H, W]: R >= 120, G <= 50, B <= 50."""
    return (frame[..., 0] >= 120) & (frame[..., 1] <= 50) & (frame[..., 2] <= 50)


def dense_reward(mask: np.ndarray) -> float:
    """clip(800/(W H) sum over red pixels of (1/2 - |x - W/2|/W)(1/2 - |y - H/2|/H), 0, 4); x, y at pixel centres."""
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    across = 0.5 - np.abs(columns + 0.5 - width / 2) / width
    down = 0.5 - np.abs(rows + 0.5 - height / 2) / height
    return float(np.clip(800.0 / (width * height) * (across * down).sum(), 0.0, 4.0))


def reached(mask: np.ndarray) -> bool:
    """Enough red, with its centre near the picture's centre; a share alone can be reached off-centre."""
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    if rows.size < SHARE_REACHED * mask.size:
        return False
    off = abs(columns.mean() + 0.5 - width / 2) / width, abs(rows.mean() + 0.5 - height / 2) / height
    return max(off) <= CENTRED


class Ur5Reacher:
    """`tasks.task.Task`."""

    needs_new_target = True
    waits_for = ""

    def __init__(self, config: SystemConfig, arm: Arm):
        task = config.task
        _check(config, arm)
        self.episode_steps = episode_steps(task)
        self.proprioception = JointProprioception(task)
        self.settle_s = task.settle_s
        self._home = np.array(task.home)
        self._kind = task.reward
        self._penalty = task.reset_penalty
        self._reset_s = task.reset_s
        safety = config.safety
        self._max_speed = min(safety.max_joint_speed_rad_s, float(arm.max_velocity.min()))
        self._limits = (self._max_speed, safety.max_joint_acceleration_rad_s2)
        self._move: HomeMove | None = None
        self._held = 0

    def begin_reset(self, position: np.ndarray, now_s: float) -> None:
        self._move = plan_home(position, self._home, now_s, self._reset_s, *self._limits)

    def reset_velocity(self, position: np.ndarray, velocity: np.ndarray, now_s: float) -> np.ndarray | None:
        if self._move is None:
            raise RuntimeError("reset_velocity before begin_reset")
        at_home = _near(position, self._home, _HOME_TOLERANCE) and _near(velocity, 0.0, _REST_TOLERANCE)
        if at_home and self._move.over(now_s):
            return None
        if self._move.behind(position, now_s) > _HELD_UP_RAD:
            self.begin_reset(position, now_s)
        wanted = self._move.velocity(position, now_s + _LEAD_S, _GAIN)
        return wanted / max(np.abs(wanted).max() / self._max_speed, 1.0)  # as a whole: another direction may lead to a wall

    def begin_episode(self) -> None:
        self._held = 0

    def score(self, frame: np.ndarray) -> Score:
        mask = red_mask(frame)
        enough = np.count_nonzero(mask) >= SHARE_REACHED * mask.size
        self._held = self._held + 1 if enough and reached(mask) else 0
        reward, terminated = self._reward(mask, bool(enough))
        return Score(reward - self._penalty * terminated, terminated, self._held >= HELD_TICKS)

    def _reward(self, mask: np.ndarray, enough: bool) -> tuple[float, bool]:
        if self._kind == "dense":
            return dense_reward(mask), False
        if self._kind == "sparse":
            return float(enough), False
        if self._kind == "minimum_time":
            return -1.0, enough
        return 0.0, False


def _check(config: SystemConfig, arm: Arm) -> None:
    """Raises ConfigError where task, robot and camera do not fit."""
    task, camera = config.task, config.camera
    if len(task.home) != len(arm):
        raise ConfigError(f"task.home has {len(task.home)} values; {arm.model} has {len(arm)} joints")
    if task.controlled_joints > len(arm):
        raise ConfigError(f"task.controlled_joints is {task.controlled_joints}; {arm.model} has {len(arm)} joints")
    if camera.height == 0 or camera.channels != 3:
        raise ConfigError(
            f"camera.height is {camera.height} and camera.channels {camera.channels}; "
            f"the reward of {task.name} needs a colour picture"
        )


def _near(value: np.ndarray, goal: np.ndarray | float, tolerance: float) -> bool:
    return bool(np.abs(value - goal).max() <= tolerance)
