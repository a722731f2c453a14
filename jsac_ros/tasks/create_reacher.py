"""The mobile reacher: drive a Create-like base until a green sign fills enough of its picture.

Protocol: ReLoD's Create-Reacher (rlai-lab/relod): -1 a step until the share of green is reached; between episodes the
base backs off and turns by chance. What a person has to do there, such as charging, a low battery waits for.
"""

from __future__ import annotations

import math

import numpy as np

from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.robots.arm import Arm
from jsac_ros.robots.sim_base import TRACK_M, WHEEL_RADIUS_M
from jsac_ros.tasks.task import Score, episode_steps
from jsac_ros.tasks.ur5_reacher import dense_reward

SHARE_REACHED = 0.10  # of green in the picture
LOWEST_BATTERY = 0.15  # share of its charge below which no episode begins
_BACKING = 0.35  # share of the reset that drives back; the rest turns
_RESET_SPEED = 0.8  # of the policy's own
_REST = 0.05  # rad/s of a wheel


def green_mask(frame: np.ndarray) -> np.ndarray:
    """RGB uint8 [H, W, 3] -> bool [H, W]: G >= 100, R <= 80, B <= 100."""
    return (frame[..., 1] >= 100) & (frame[..., 0] <= 80) & (frame[..., 2] <= 100)


class CreateReacher:
    """`tasks.task.Task`; the base's joints are its wheels, its commands m/s and rad/s.

    The actor's node keeps `contact` and `battery` as it hears them; both are part of the proprioception.
    """

    needs_new_target = False
    waits_for = ""

    def __init__(self, config: SystemConfig, arm: Arm):
        _check(config, arm)
        task = config.task
        self.episode_steps = episode_steps(task)
        self.settle_s = task.settle_s
        self.contact = False  # bumper pressed
        self.battery = 1.0
        self._speed = np.broadcast_to(np.array(task.action_scale), 2)  # m/s, rad/s
        self._wheel_speed = (self._speed[0] + self._speed[1] * TRACK_M / 2) / WHEEL_RADIUS_M
        self._kind, self._penalty, self._reset_s = task.reward, task.reset_penalty, task.reset_s
        self._random = np.random.default_rng(config.run.seed)
        self._began_s = 0.0
        self._turn = np.zeros(2)

    @property
    def battery(self) -> float:
        """Share of its charge; full where the driver says NaN, which is a BatteryState's "not measured"."""
        return self._battery

    @battery.setter
    def battery(self, share: float) -> None:
        self._battery = share if math.isfinite(share) else 1.0

    def begin_reset(self, position: np.ndarray, now_s: float) -> None:
        self._began_s, self.waits_for = now_s, ""
        self._turn = np.array((0.0, self._random.uniform(-1.0, 1.0))) * self._speed

    def reset_velocity(self, position: np.ndarray, velocity: np.ndarray, now_s: float) -> np.ndarray | None:
        """Back, then round by chance, then still; m/s and rad/s."""
        passed = (now_s - self._began_s) / self._reset_s if self._reset_s else 1.0
        if passed < _BACKING:
            return np.array((-_RESET_SPEED * self._speed[0], 0.0))
        if passed < 1.0:
            return _RESET_SPEED * self._turn
        charged = self.battery >= LOWEST_BATTERY
        self.waits_for = "" if charged else f"battery at {self.battery:.0%}, expected {LOWEST_BATTERY:.0%}"
        return None if charged and np.abs(velocity).max() <= _REST else np.zeros(2)

    def begin_episode(self) -> None:
        pass

    def proprioception(self, position: np.ndarray, velocity: np.ndarray, previous_action: np.ndarray) -> np.ndarray:
        """Wheel speeds over the largest the policy can ask for, bumper, battery, previous action: float32 [6]."""
        sensed = (float(self.contact), self.battery)
        return np.concatenate((velocity / self._wheel_speed, sensed, previous_action), dtype=np.float32)

    def score(self, frame: np.ndarray) -> Score:
        mask = green_mask(frame)
        reached = bool(np.count_nonzero(mask) >= SHARE_REACHED * mask.size)
        reward, terminated = {
            "minimum_time": (-1.0, reached),
            "sparse": (float(reached), False),
            "dense": (dense_reward(mask), False),
            "none": (0.0, False),
        }[self._kind]
        return Score(reward - self._penalty * terminated, terminated, reached)


def _check(config: SystemConfig, arm: Arm) -> None:
    """Raises ConfigError where task, robot and camera do not fit."""
    task, camera = config.task, config.camera
    if arm.model != "diff_drive" or task.controlled_joints != 2:
        raise ConfigError(
            f"task.name create_reacher: robot.model is {arm.model!r} and task.controlled_joints "
            f"{task.controlled_joints}; expected 'diff_drive' and 2"
        )
    if len(task.action_scale) not in (1, 2):
        raise ConfigError(f"task.action_scale has {len(task.action_scale)} values; expected 1 or 2 (m/s, rad/s)")
    if camera.height == 0 or camera.channels != 3:
        raise ConfigError(
            f"camera.height is {camera.height} and camera.channels {camera.channels}; "
            f"the reward of create_reacher needs a colour picture"
        )
