"""Shadow mode: another system moves the robot; observations and actions are computed, without a reward."""

from __future__ import annotations

from jsac_ros.tasks.reset import ResetPart, Then
from jsac_ros.tasks.task import Task
from jsac_ros.types import Action, Score, Sensed


class Shadow(Task):
    """Never resets, ends only by its time limit, and gives no reward."""

    moves_robot = False

    def reset(self) -> ResetPart:
        return Then()

    def score(self, before: Sensed, action: Action, after: Sensed) -> Score:
        return Score(0.0)
