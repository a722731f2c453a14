"""What a part of an action is, and all parts of a system together.

A part of a lab's own is a class like those in this package (entry points of group `jsac_ros.actions`): its `Parameters`
extend `config.ActionParameters`, its constructor takes its name, them and the rig, of which the robot is there already.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from jsac_ros.config import ActionParameters, ConfigError
from jsac_ros.robots.robot import Robot
from jsac_ros.spaces import ActionSpace
from jsac_ros.types import Action, Arrays, Command, Sensed


class ActionPart(ABC):
    """One part. Where `device` is empty it moves the robot, else it commands the output of that name."""

    Parameters: type[ActionParameters]
    space: ActionSpace
    device: str = ""
    device_size = 0  # values of a command to the device
    directions: tuple[str, ...] = ()  # [a] what each value stands for, as a person's device names it: "x", "yaw", a joint
    joints = np.empty(0, np.intp)  # [n] places of the joints that it moves
    joint_speed = np.empty(0)  # [n] the fastest that it moves them, rad/s (m/s where prismatic)
    penalty = 0.0  # taken from the reward of the action that `command` was called with last

    def begin(self, sensed: Sensed) -> None:
        """An episode begins here."""

    @abstractmethod
    def command(self, action: np.ndarray, sensed: Sensed) -> np.ndarray:
        """float32 [a] -> the robot's motion (`types.Command`) or the device's values, float64.

        What lies outside [-1, 1] is clipped; NaN passes, and safety refuses it by name.
        """

    @abstractmethod
    def action(self, command: np.ndarray, sensed: Sensed | None) -> np.ndarray:
        """The action, float32 [a], nearest to a command: of what safety let through, and of a person's commands.

        sensed: a device needs none.
        """

    def kept(self) -> np.ndarray:
        """The action, float32 [a], that leaves the device as it is commanded to be."""
        return np.zeros(self.space.size, np.float32)

    def of_tool(self, twist: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        """The action, float32 [a], nearest to a velocity of the tool, m/s and rad/s [6] in base_link; rotation: the tool's
        [3, 3]. Raises ValueError where this part does not move the tool as a whole."""
        raise ValueError(f"action {self.space.name!r} does not take the tool's velocity; expected type 'twist'")


class Actions:
    """The parts of one system by name, in order."""

    def __init__(self, parts: Mapping[str, ActionPart], robot: Robot):
        self.parts = dict(sorted(parts.items()))
        self._motion_size = robot.motion_size
        devices = [part.device for part in self.parts.values() if part.device]
        for device in devices:
            if devices.count(device) > 1:
                raise ConfigError(f"actions: {devices.count(device)} parts command {device!r}; expected one")

    @property
    def moving(self) -> Sequence[ActionPart]:
        """The parts that move the robot."""
        return [part for part in self.parts.values() if not part.device]

    @property
    def penalty(self) -> float:
        """What is taken from the reward of the action that was commanded last."""
        return sum(part.penalty for part in self.parts.values())

    @property
    def rest(self) -> Command:
        """No motion, and every device left as it is."""
        return Command(np.zeros(self._motion_size), {})

    def begin(self, sensed: Sensed) -> None:
        for part in self.parts.values():
            part.begin(sensed)

    def command(self, action: Action, sensed: Sensed) -> Command:
        motion, outputs = np.zeros(self._motion_size), {}
        for name, part in self.parts.items():
            values = part.command(action[name], sensed)
            if part.device:
                outputs[part.device] = values
            else:
                motion += values
        return Command(motion, outputs)

    def action(self, command: Command, sensed: Sensed) -> Action:
        """The action nearest to a command; NaN for a device that the command leaves out."""
        return {
            name: part.action(command.motion, sensed)
            if not part.device
            else part.action(command.outputs[part.device], sensed)
            if part.device in command.outputs
            else np.full(part.space.size, np.nan, np.float32)
            for name, part in self.parts.items()
        }

    def completed(self, parts: Action, sensed: Sensed) -> Action:
        """An action of all parts from some: of the others, what moves the robot rests and devices stay as they are."""
        rest = self.rest.motion
        return {
            name: parts[name] if name in parts else part.kept() if part.device else part.action(rest, sensed)
            for name, part in self.parts.items()
        }

    def of_motion(self, motion: np.ndarray, sensed: Sensed) -> Action:
        """The action nearest to a motion of the robot; devices stay as they are."""
        return self.completed({part.space.name: part.action(motion, sensed) for part in self.moving}, sensed)

    def of_tool(self, twist: np.ndarray, outputs: Arrays, rotation: np.ndarray) -> Action:
        """The action nearest to what a hand does: the tool's velocity as `ActionPart.of_tool` has it, values of devices.

        Raises ValueError where a part does not move the tool as a whole.
        """
        return {
            name: part.action(outputs[part.device], None) if part.device else part.of_tool(twist, rotation)
            for name, part in self.parts.items()
        }


def one_each(field: str, values: Sequence[float], n: int) -> np.ndarray:
    """One value for all or one each -> float64 [n]. Raises ConfigError."""
    if len(values) not in (1, n) or not np.isfinite(values).all():
        raise ConfigError(f"{field} is {list(values)}; expected 1 or {n} finite values")
    return np.broadcast_to(np.asarray(values, np.float64), n).copy()
