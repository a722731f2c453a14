"""The interface of an action part, and all parts of a system together.

An action part of your own is a class like those in this package (entry points of group `jsac_ros.actions`): its `Parameters`
extend `config.ActionParameters`; its constructor takes its name, them and the rig, whose robot exists already.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np

from jsac_ros import plugins
from jsac_ros.config import ActionParameters, ConfigError
from jsac_ros.robots.robot import Robot
from jsac_ros.spaces import ActionSpace
from jsac_ros.types import Action, Arrays, Command, Sensed

DEVICE_SIZE = 1  # values of a command to a device: the opening of a gripper


class ActionPart(ABC):
    """One part. If `device` is empty it moves the robot, else it commands the output of that name."""

    Parameters: type[ActionParameters]
    space: ActionSpace
    device: str = ""
    directions: tuple[str, ...] = ()  # [a] direction of each value, as named by a person's device: "x", "yaw", a joint
    joints = np.empty(0, np.intp)  # [n] indices of the joints that it moves
    joint_speed: np.ndarray = np.empty(0)  # [n] its largest joint speeds, rad/s (m/s if prismatic)
    penalty = 0.0  # subtracted from the reward of the last action passed to `command`

    def begin(self, sensed: Sensed) -> None:
        """Starts an episode."""

    @abstractmethod
    def command(self, action: np.ndarray, sensed: Sensed) -> np.ndarray:
        """float32 [a] -> the robot's motion (`types.Command`) or the device's values, float64.

        Values outside [-1, 1] are clipped; NaN passes, and safety refuses it.
        """

    @abstractmethod
    def action(self, command: np.ndarray, sensed: Sensed | None) -> np.ndarray:
        """The action, float32 [a], nearest to a command: of safety's output, or of a person.

        sensed: not needed for a device.
        """

    def kept(self) -> np.ndarray:
        """The action, float32 [a], that keeps the device's last command."""
        return np.zeros(self.space.size, np.float32)

    def of_tool(self, twist: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        """The action, float32 [a], nearest to a velocity of the tool, m/s and rad/s [6] in base_link; rotation: the tool's
        [3, 3]. Raises ValueError if this part does not move the tool as a whole."""
        raise ValueError(f"action {self.space.name!r} does not take the tool's velocity; expected type 'twist'")


class Actions:
    """The parts of one system by name, in order."""

    def __init__(self, parts: Mapping[str, ActionPart], robot: Robot):
        self.parts = dict(sorted(parts.items()))
        self._motion_size = robot.motion_size
        for name, part in self.parts.items():
            _check_part(name, part, len(robot))
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
        """The penalty subtracted from the reward of the last commanded action."""
        return sum(part.penalty for part in self.parts.values())

    @property
    def rest(self) -> Command:
        """No motion, and every device keeps its command."""
        return Command(np.zeros(self._motion_size), {})

    def begin(self, sensed: Sensed) -> None:
        for name, part in self.parts.items():
            with _named(name):
                part.begin(sensed)

    def command(self, action: Action, sensed: Sensed) -> Command:
        """Raises ValueError naming a part that commands another number of values than it declares."""
        motion, outputs = np.zeros(self._motion_size), {}
        for name, part in self.parts.items():
            with _named(name):
                values = part.command(action[name], sensed)
            _check_size(f"actions.{name} commands", values, DEVICE_SIZE if part.device else self._motion_size)
            if part.device:
                outputs[part.device] = values
            else:
                motion += values
        return Command(motion, outputs)

    def check(self, what: str, command: Command) -> None:
        """Raises TypeError or ValueError if a command that was made elsewhere, `what` says where, is none for this robot."""
        if not isinstance(command, Command):
            raise TypeError(f"{what} returned {type(command).__name__}; expected Command(motion, outputs)")
        _check_size(f"{what} returned a motion of", command.motion, self._motion_size)

    def action(self, command: Command, sensed: Sensed) -> Action:
        """The action nearest to a command; NaN for a device that the command does not contain.

        Raises ValueError naming a part whose action has another size than it declares."""
        return {name: self._action(name, part, command, sensed) for name, part in self.parts.items()}

    @staticmethod
    def _action(name: str, part: ActionPart, command: Command, sensed: Sensed) -> np.ndarray:
        if part.device and part.device not in command.outputs:
            return np.full(part.space.size, np.nan, np.float32)
        with _named(name):
            values = part.action(command.outputs[part.device] if part.device else command.motion, sensed)
        _check_size(f"actions.{name} is an action of", values, part.space.size)
        return values

    def completed(self, parts: Action, sensed: Sensed) -> Action:
        """An action of all parts from some: of the others, those that move the robot rest, and devices keep their command."""
        rest = self.rest.motion
        return {
            name: parts[name] if name in parts else part.kept() if part.device else part.action(rest, sensed)
            for name, part in self.parts.items()
        }

    def of_motion(self, motion: np.ndarray, sensed: Sensed) -> Action:
        """The action nearest to a motion of the robot; devices keep their command."""
        return self.completed({part.space.name: part.action(motion, sensed) for part in self.moving}, sensed)

    def of_tool(self, twist: np.ndarray, outputs: Arrays, rotation: np.ndarray) -> Action:
        """The action nearest to a motion of the tool: its velocity as in `ActionPart.of_tool`, and values of devices.

        Raises ValueError if a part does not move the tool as a whole.
        """
        return {
            name: part.action(outputs[part.device], None) if part.device else part.of_tool(twist, rotation)
            for name, part in self.parts.items()
        }


def one_each(field: str, values: Sequence[float], n: int) -> np.ndarray:
    """One value for all or one per joint -> float64 [n]. Raises ConfigError."""
    if len(values) not in (1, n) or not np.isfinite(values).all():
        raise ConfigError(f"{field} is {list(values)}; expected 1 or {n} finite values")
    return np.broadcast_to(np.asarray(values, np.float64), n).copy()


def _named(name: str) -> AbstractContextManager[None]:
    """Of the code of a part: an exception names it."""
    return plugins.named(f"actions.{name}")


def _check_part(name: str, part: ActionPart, joints: int) -> None:
    """Raises ConfigError if what a part declares does not fit its name and the robot."""
    space = getattr(part, "space", None)
    if not isinstance(space, ActionSpace) or space.name != name:
        raise ConfigError(f"actions.{name}: {type(part).__name__}.space is {space!r}; expected an ActionSpace of name {name!r}")
    moved, speed = np.asarray(part.joints), np.asarray(part.joint_speed)
    if moved.size != speed.size or not np.isin(moved, range(joints)).all() or not (speed > 0).all():
        raise ConfigError(
            f"actions.{name}: joints are {moved.tolist()} and joint_speed {speed.tolist()}; "
            f"expected numbers below {joints} and a speed above 0 for each"
        )


def _check_size(what: str, values: np.ndarray, size: int) -> None:
    if np.shape(values) != (size,):
        raise ValueError(f"{what} shape {list(np.shape(values))}; expected {[size]}")
