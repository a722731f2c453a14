"""The mobile reacher: drive a Create-like base until a green sign fills enough of its image.

Protocol: ReLoD's Create-Reacher (rlai-lab/relod): -1 a step until the share of green is reached; between episodes the
base backs up and turns at random. With a low battery, the reset waits until a person has charged it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from jsac_ros.config import Between, ConfigError, NonNegative, TaskParameters
from jsac_ros.tasks.reset import ResetPart, Settle, Then
from jsac_ros.tasks.task import Task, one_camera
from jsac_ros.tasks.ur5_reacher.task import dense_reward
from jsac_ros.types import Action, Command, Score, Sensed

if TYPE_CHECKING:
    from jsac_ros.rig import Rig
    from jsac_ros.tasks.create_reacher.scene import ArenaScene

SHARE_REACHED = 0.10  # of green in the image
LOWEST_BATTERY = 0.15  # share of its charge below which no episode starts
_FULL_BATTERY = 1.1  # share that no charge exceeds: gauges are wrong by less
BATTERY = "battery"  # the sensor that is watched if there is one
_BACKING = 0.35  # share of the reset spent driving back; the rest turns
_RESET_SPEED = 0.8  # of the speed that safety allows
_REST = 0.05  # rad/s of a wheel


def green_mask(frame: np.ndarray) -> np.ndarray:
    """RGB uint8 [H, W, 3] -> bool [H, W]: G >= 100, R <= 80, B <= 100."""
    return (frame[..., 1] >= 100) & (frame[..., 0] <= 80) & (frame[..., 2] <= 100)


class CreateReacher(Task):
    class Parameters(TaskParameters):
        camera: str = ""  # name of the camera whose image is scored; empty: the only one
        # minimum_time: -1 a step until the goal; sparse: 1 at the goal; dense: the share of green, weighted to the centre; none
        reward: Literal["minimum_time", "sparse", "dense", "none"] = "minimum_time"
        reset_s: Between(0.01, 600.0) = 2.5  # time for backing off and turning
        settle_s: Between(0.0, 60.0) = 0.2  # rest before an episode starts
        reset_penalty: NonNegative = 0.0  # subtracted from the reward of an action that ends in a terminal state

    def __init__(self, parameters: CreateReacher.Parameters, rig: Rig):
        """Raises ConfigError if the robot is not a mobile base or has no colour camera to score."""
        super().__init__(parameters, rig)
        if not rig.robot.is_base:
            raise ConfigError(f"task.type is {parameters.type!r}; robot {rig.robot.model!r} is not a mobile base")
        self.camera = one_camera(rig, parameters.camera, "task.camera")
        self._random = np.random.default_rng(rig.config.run.seed)

    def reset(self) -> ResetPart:
        safety = self.rig.config.safety
        fastest = np.array((safety.max_base_speed_m_s, safety.max_base_turn_rad_s))
        turn = float(self._random.uniform(-1.0, 1.0))
        return Then(BackAndTurn(fastest, turn, self.parameters.reset_s), Settle(self.rig, self.parameters.settle_s))

    def score(self, before: Sensed, action: Action, after: Sensed) -> Score:
        mask = green_mask(after.frames[self.camera])
        reached = bool(np.count_nonzero(mask) >= SHARE_REACHED * mask.size)
        reward, terminated = {
            "minimum_time": (-1.0, reached),
            "sparse": (float(reached), False),
            "dense": (dense_reward(mask), False),
            "none": (0.0, False),
        }[self.parameters.reward]
        return Score(reward - self.parameters.reset_penalty * terminated, terminated, reached)

    def scene(self, seed: int) -> ArenaScene:
        from jsac_ros.tasks.create_reacher.scene import ArenaScene  # only if simulated

        return ArenaScene(self.rig, seed)


class BackAndTurn(ResetPart):
    """Drives back, turns by a random angle, then rests until the battery is charged."""

    def __init__(self, fastest: np.ndarray, turn: float, duration_s: float):
        """fastest: [m/s, rad/s] that safety allows; turn: -1..1, share of it."""
        self._back = np.array((-_RESET_SPEED * fastest[0], 0.0))
        self._turn = np.array((0.0, _RESET_SPEED * turn * fastest[1]))
        self._duration_s = duration_s
        self._began_s = 0.0

    def begin(self, sensed: Sensed) -> None:
        self._began_s = sensed.time_s

    def step(self, sensed: Sensed) -> Command | None:
        passed = (sensed.time_s - self._began_s) / self._duration_s
        if passed < 1.0:
            self.reason = "backing off and turning"
            return Command(self._back if passed < _BACKING else self._turn, {})
        charge = float(sensed.sensors[BATTERY][0]) if BATTERY in sensed.sensors else 1.0
        if charge > _FULL_BATTERY:
            self.reason = f"battery at {charge:g}, expected 0 to 1: for a driver in percent set sensors.{BATTERY}.scale to 0.01"
            return Command(np.zeros(2), {})
        if charge < LOWEST_BATTERY:
            self.reason = f"battery at {charge:.0%}, expected {LOWEST_BATTERY:.0%}: charge it"
            return Command(np.zeros(2), {})
        return None if np.abs(sensed.velocity).max() <= _REST else Command(np.zeros(2), {})
