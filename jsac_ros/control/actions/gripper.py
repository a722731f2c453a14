"""Opening and closing a gripper: 1 opens, -1 closes. The command is its opening in m."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from jsac_ros.config import ActionParameters, ConfigError, NonNegative
from jsac_ros.control.actions.part import ActionPart
from jsac_ros.spaces import ActionSpace
from jsac_ros.types import Sensed

if TYPE_CHECKING:
    from jsac_ros.rig import Rig

_SAME_M = 1e-4  # two commands closer than this are equal
_LONGEST_TICK_S = 0.2


class GripperOpening(ActionPart):
    class Parameters(ActionParameters):
        device: str = "gripper"  # name of a gripper of the section `grippers`
        # binary: fully open or closed; three_way: closes, keeps, opens at the gripper's speed; continuous: the opening
        mode: Literal["binary", "three_way", "continuous"] = "binary"
        dead_band: Annotated[float, Field(ge=0, lt=1)] = 0.3  # binary, three_way: an action this close to 0 changes nothing
        dwell_s: NonNegative = 0.3  # binary: after a switch, further switches are ignored for this long
        switch_penalty: NonNegative = 0.0  # subtracted from the reward of an action that switches or reverses

    def __init__(self, name: str, parameters: GripperOpening.Parameters, rig: Rig):
        """Raises ConfigError if there is no such gripper."""
        if parameters.device not in rig.grippers:
            known = ", ".join(rig.grippers) or "none (grippers is empty)"
            raise ConfigError(f"actions.{name}.device is {parameters.device!r}; expected one of {known}")
        self.device = parameters.device
        self._parameters, self._gripper = parameters, rig.grippers[parameters.device]
        self.space = ActionSpace(name, 1, "m", low=(0.0,), high=(self._gripper.stroke_m,))
        self.commanded = self._before = self._gripper.stroke_m  # m, now and before the last action
        self._direction = 0.0  # of the last change
        self._commanded_s = self._switched_s = -math.inf
        self._tick_s = _LONGEST_TICK_S

    def begin(self, sensed: Sensed) -> None:
        """The state nearest to the measured opening counts as commanded."""
        opening = float(np.clip(sensed.outputs[self.device][0], 0.0, self._gripper.stroke_m))
        if self._parameters.mode == "binary":
            opening = self._gripper.stroke_m if opening > self._gripper.stroke_m / 2 else 0.0
        self.commanded = self._before = opening
        self._direction, self._commanded_s, self._switched_s = 0.0, sensed.time_s, -math.inf

    def command(self, action: np.ndarray, sensed: Sensed) -> np.ndarray:
        value = float(action[0])
        self.penalty = 0.0
        if math.isnan(value):
            return np.array([math.nan])
        self._tick_s = min(max(sensed.time_s - self._commanded_s, 0.0), _LONGEST_TICK_S)
        self._before, self._commanded_s = self.commanded, sensed.time_s
        self.commanded = self._opening(min(max(value, -1.0), 1.0), sensed.time_s)
        change = self.commanded - self._before
        if abs(change) > _SAME_M:
            direction = math.copysign(1.0, change)
            switched = self._parameters.mode == "binary" or self._direction == -direction
            self.penalty = self._parameters.switch_penalty if switched else 0.0
            self._direction, self._switched_s = direction, sensed.time_s
        return np.array([self.commanded])

    def _opening(self, value: float, now_s: float) -> float:
        stroke = self._gripper.stroke_m
        if self._parameters.mode == "continuous":
            return stroke * (value + 1.0) / 2.0
        if abs(value) <= self._parameters.dead_band:
            return self.commanded
        if self._parameters.mode == "three_way":
            moved = self.commanded + math.copysign(self._gripper.config.max_speed_m_s, value) * self._tick_s
            return min(max(moved, 0.0), stroke)
        dwells = now_s - self._switched_s < self._parameters.dwell_s - 1e-6
        return self.commanded if dwells else stroke * (value > 0)

    def kept(self) -> np.ndarray:
        if self._parameters.mode == "three_way":
            return np.zeros(1, np.float32)
        return self.action(np.array([self.commanded]), None)

    def action(self, command: np.ndarray, sensed: Sensed | None) -> np.ndarray:
        opening, stroke = float(command[0]), self._gripper.stroke_m
        match self._parameters.mode:
            case "binary":
                value = math.copysign(1.0, opening - stroke / 2)
            case "three_way":
                change = opening - self._before
                value = math.copysign(1.0, change) if abs(change) > _SAME_M else 0.0
            case _:
                value = 2.0 * opening / stroke - 1.0
        return np.array([value if math.isfinite(opening) else math.nan], np.float32).clip(-1.0, 1.0)
