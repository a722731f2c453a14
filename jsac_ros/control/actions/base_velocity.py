"""Forward velocity and angular velocity of a mobile base."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jsac_ros.config import ActionParameters, Between, ConfigError
from jsac_ros.control.actions.part import ActionPart
from jsac_ros.spaces import ActionSpace
from jsac_ros.types import Sensed

if TYPE_CHECKING:
    from jsac_ros.rig import Rig


class BaseVelocity(ActionPart):
    directions = ("x", "yaw")

    class Parameters(ActionParameters):
        # forward speed (m/s) and angular velocity (rad/s, to the left) at an action of 1
        scale: tuple[Between(1e-4, 100.0), Between(1e-4, 100.0)] = (0.3, 1.5)

    def __init__(self, name: str, parameters: BaseVelocity.Parameters, rig: Rig):
        """Raises ConfigError if the robot is not a mobile base."""
        robot = rig.robot
        if not robot.is_base:
            raise ConfigError(f"actions.{name}.type is {parameters.type!r}; {robot.model} is not a mobile base")
        self.scale = np.array(parameters.scale)
        self.joints = np.arange(len(robot))
        self.joint_speed = np.full(len(robot), np.abs(robot.joint_speeds(self.scale)).max())
        self.space = ActionSpace(name, 2, "m/s, rad/s", low=tuple((-self.scale).tolist()), high=tuple(self.scale.tolist()))

    def command(self, action: np.ndarray, sensed: Sensed) -> np.ndarray:
        return self.scale * np.clip(action, -1.0, 1.0)

    def action(self, command: np.ndarray, sensed: Sensed) -> np.ndarray:
        return np.clip(np.asarray(command) / self.scale, -1.0, 1.0).astype(np.float32)
