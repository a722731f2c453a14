"""The visual reacher: bring the wrist camera close to and centred on a red disc on a monitor.

Protocol: Yuan and Mahmood 2022 (arXiv 2203.12759) and ReLoD; figures in `config/ur5_reacher.yaml`.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import numpy as np

from jsac_ros.config import Between, NonNegative, TaskParameters
from jsac_ros.tasks.reset import CallService, Home, ResetPart, Settle, Then, Together
from jsac_ros.tasks.task import Task, one_camera
from jsac_ros.types import Action, Score, Sensed

if TYPE_CHECKING:
    from jsac_ros.rig import Rig
    from jsac_ros.tasks.ur5_reacher.scene import ReacherScene

SHARE_REACHED = 0.015  # of red in the image
CENTRED = 0.2  # of the image's width and height, from its centre
HELD_TICKS = 5


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
    """Success: enough red, with its centre near the image's centre; the share alone can be reached off-centre."""
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    if rows.size < SHARE_REACHED * mask.size:
        return False
    off = abs(columns.mean() + 0.5 - width / 2) / width, abs(rows.mean() + 0.5 - height / 2) / height
    return max(off) <= CENTRED


class Ur5Reacher(Task):
    companions = ("jsac_ros.nodes.target_display",)

    @classmethod
    def companion_problems(cls) -> list[str]:
        found = [] if find_spec("tkinter") else ["target_display: no module tkinter; expected the package python3-tk"]
        if not os.environ.get("DISPLAY"):
            found.append("target_display: DISPLAY is not set; expected a display, or --only without target_display")
        return found

    class Parameters(TaskParameters):
        camera: str = ""  # name of the camera whose image is scored; empty: the only one
        # dense: the share of red, weighted to the centre; sparse: 1 at the goal; minimum_time: -1 a step; none
        reward: Literal["dense", "sparse", "minimum_time", "none"] = "dense"
        reset_s: Between(0.01, 600.0) = 2.0  # time for the move home; longer if the limits require it
        settle_s: Between(0.0, 60.0) = 0.2  # rest at home before an episode starts
        reset_penalty: NonNegative = 0.0  # subtracted from the reward of an action that ends in a terminal state

    def __init__(self, parameters: Ur5Reacher.Parameters, rig: Rig):
        """Raises ConfigError if there is no colour camera to score."""
        super().__init__(parameters, rig)
        self.camera = one_camera(rig, parameters.camera, "task.camera")
        self._held = 0

    def reset(self) -> ResetPart:
        rig, parameters = self.rig, self.parameters
        move = Together(Home(rig, parameters.reset_s), CallService(rig, "new_target"))
        return Then(move, Settle(rig, parameters.settle_s))

    def begin(self, sensed: Sensed) -> None:
        self._held = 0

    def score(self, before: Sensed, action: Action, after: Sensed) -> Score:
        mask = red_mask(after.frames[self.camera])
        enough = np.count_nonzero(mask) >= SHARE_REACHED * mask.size
        self._held = self._held + 1 if enough and reached(mask) else 0
        reward, terminated = self._reward(mask, bool(enough))
        return Score(reward - self.parameters.reset_penalty * terminated, terminated, self._held >= HELD_TICKS)

    def _reward(self, mask: np.ndarray, enough: bool) -> tuple[float, bool]:
        match self.parameters.reward:
            case "dense":
                return dense_reward(mask), False
            case "sparse":
                return float(enough), False
            case "minimum_time":
                return -1.0, enough
            case _:
                return 0.0, False

    def scene(self, seed: int) -> ReacherScene:
        from jsac_ros.tasks.ur5_reacher.scene import ReacherScene  # only if simulated

        return ReacherScene(self.rig, seed)
