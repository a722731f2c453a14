"""Joint velocities: continuous (the notebook's ActionNormalizer), or chosen from a table (for DQN)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jsac_ros.config import ActionParameters, Between, ConfigError
from jsac_ros.control.actions.part import ActionPart, one_each
from jsac_ros.spaces import ActionSpace, one_unit
from jsac_ros.types import Sensed

if TYPE_CHECKING:
    from jsac_ros.rig import Rig


class JointVelocity(ActionPart):
    """velocity = offset + scale * action for its joints, 0 for the others."""

    class Parameters(ActionParameters):
        joints: tuple[str, ...] = ()  # joints that this part moves; empty: all
        # joint velocity at an action of 1, rad/s (m/s if prismatic), one for all joints or one per joint
        scale: tuple[Between(1e-4, 100.0), ...] = (0.3,)
        offset: tuple[Between(-100.0, 100.0), ...] = (0.0,)  # joint velocity at an action of 0, likewise

    def __init__(self, name: str, parameters: JointVelocity.Parameters, rig: Rig):
        """Raises ConfigError if joints, scale or offset are wrong for the robot."""
        where, robot = f"actions.{name}", rig.robot
        if robot.is_base:
            raise ConfigError(f"{where}.type is {parameters.type!r}; {robot.model} is a base: expected base_velocity")
        self.joints = robot.index(parameters.joints, f"{where}.joints")
        n = len(self.joints)
        self.directions = tuple(robot.names[joint] for joint in self.joints)
        self.scale = one_each(f"{where}.scale", parameters.scale, n)
        self.offset = one_each(f"{where}.offset", parameters.offset, n)
        self.joint_speed = self.scale
        unit = one_unit(f"{robot.units[joint]}/s" for joint in self.joints)
        low, high = self.offset - self.scale, self.offset + self.scale
        self.space = ActionSpace(name, n, unit, low=tuple(low.tolist()), high=tuple(high.tolist()))
        self._size = robot.motion_size

    def command(self, action: np.ndarray, sensed: Sensed) -> np.ndarray:
        velocity = np.zeros(self._size)
        velocity[self.joints] = self.offset + self.scale * np.clip(action, -1.0, 1.0)
        return velocity

    def action(self, command: np.ndarray, sensed: Sensed) -> np.ndarray:
        return self._unit(command).astype(np.float32)

    def _unit(self, command: np.ndarray) -> np.ndarray:
        return np.clip((np.asarray(command)[self.joints] - self.offset) / self.scale, -1.0, 1.0)


class JointVelocityTable(JointVelocity):
    """A choice selects a row of the table, which holds actions of `JointVelocity`."""

    class Parameters(JointVelocity.Parameters):
        table: tuple[Between(-1.0, 1.0), ...]  # actions in [-1, 1] to choose from: rows with one value per joint, flattened

    def __init__(self, name: str, parameters: JointVelocityTable.Parameters, rig: Rig):
        super().__init__(name, parameters, rig)
        n, values = len(self.joints), np.array(parameters.table)
        if len(values) % n or len(values) == n:
            raise ConfigError(f"actions.{name}.table has {len(values)} values; expected two rows or more of {n}")
        self.table = values.reshape(-1, n)
        self.space = ActionSpace(name, 1, "number of a row", len(self.table))

    def command(self, action: np.ndarray, sensed: Sensed) -> np.ndarray:
        row = self.table[int(action[0])] if np.isfinite(action[0]) else np.full(len(self.joints), np.nan)
        return super().command(row, sensed)

    def action(self, command: np.ndarray, sensed: Sensed) -> np.ndarray:
        nearest = np.argmin(np.square(self.table - self._unit(command)).sum(axis=1))
        return np.array([nearest], np.float32)
