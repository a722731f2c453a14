"""The commands of another system as our actions: live in shadow mode on a recording, and offline."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jsac_ros.control.session import Choice
from jsac_ros.rig import Rig
from jsac_ros.robots.joint_map import JointMap
from jsac_ros.types import Arrays, Command, Sensed

COMMANDS = ("std_msgs/msg/Float64MultiArray", "sensor_msgs/msg/JointState")  # of joints
BASE_COMMANDS = ("std_msgs/msg/Float64MultiArray", "geometry_msgs/msg/Twist", "geometry_msgs/msg/TwistStamped")
# The ratio of a command to the joint's position in rad (m if prismatic).
_UNITS = (
    (1.0, "they look like positions of the joints: expected offset and scale around them"),
    (180.0 / math.pi, "they look like degrees: expected rad"),
    (1000.0, "they look like mm: expected m"),
)
_LIKE = 0.25  # a unit matches if the slope is within this share of it
_LEAST = 10  # commands before anything is reported about them


class CommandReader:
    """Messages of `bag.action_topic`, in order -> the complete command at the time of each.

    An array holds the robot's motion, followed by its grippers' joints in the order of names if it has as many values; joint
    states hold positions by joint.
    """

    def __init__(self, rig: Rig):
        self.types = BASE_COMMANDS if rig.robot.is_base else COMMANDS
        self._grippers, self._size = rig.grippers, rig.robot.motion_size
        self._map = JointMap(rig.robot.names)
        self._motion: np.ndarray | None = None
        self._outputs: Arrays = {}

    def __call__(self, message: Any, type_name: str) -> Command | None:
        """None: nothing has been commanded yet. Raises ValueError with one line if the message is not a command."""
        if type_name == "sensor_msgs/msg/JointState":
            motion, joints = self._of_joints(message)
        elif type_name == "std_msgs/msg/Float64MultiArray":
            motion, joints = self._of_array(np.asarray(message.data, np.float64))
        else:
            twist = getattr(message, "twist", message)
            motion, joints = np.array([twist.linear.x, twist.angular.z]), {}
        if not np.isfinite([*motion, *joints.values()]).all():
            raise ValueError("command is not finite")
        if len(motion):
            self._motion = motion
        self._outputs = self._outputs | {
            name: np.array([self._grippers[name].opening(joint)]) for name, joint in joints.items()
        }
        return None if self._motion is None else Command(self._motion, self._outputs)

    def _of_array(self, values: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        sizes = dict.fromkeys((self._size, self._size + len(self._grippers)))
        if len(values) not in sizes:
            raise ValueError(f"command has {len(values)} values; expected {' or '.join(map(str, sizes))}")
        return values[: self._size], dict(zip(self._grippers, values[self._size :].tolist()))

    def _of_joints(self, message: Any) -> tuple[np.ndarray, dict[str, float]]:
        """The motion is empty if the message contains none of the robot's joints, or if others have not arrived yet."""
        found = self._map(message.name, message.position, (), 0)
        place = {name: i for i, name in enumerate(message.name)}
        joints = {
            name: float(message.position[place[gripper.config.joint]])
            for name, gripper in self._grippers.items()
            if gripper.config.joint in place
        }
        return np.empty(0) if found is None else found.position, joints


class RecordedActions:
    """Counts commands outside [-1, 1], where our actions are clipped."""

    def __init__(self, rig: Rig):
        self._actions = rig.actions
        self._moving = [part for part in rig.actions.moving if not part.space.choices]
        self._commands_joints = not rig.robot.is_base
        self._sums = np.zeros((4, len(rig.robot)))  # of q, c, q c, q q: one column per joint
        self.count = 0
        self.clipped = 0

    def choice(self, command: Command, sensed: Sensed) -> Choice:
        """The action nearest to `command`; devices that it does not contain keep their command."""
        action = {name: np.nan_to_num(values) for name, values in self._actions.action(command, sensed).items()}
        self.count += 1
        self.clipped += any((np.abs(action[part.space.name]) >= 1.0).any() for part in self._moving)
        if self._commands_joints:
            q, c = sensed.position, command.motion
            self._sums += (q, c, q * c, q * q)
        return Choice(action, -1)

    @property
    def finding(self) -> str:
        """The share of clipped commands, with the likely unit, in one line; "" if there are none or too few commands."""
        if self.count < _LEAST or not self.clipped:
            return ""
        names = ", ".join(f"actions.{part.space.name}" for part in self._moving)
        said = f"{self.clipped / self.count:.0%} of {self.count} recorded commands lie outside {names} and were clipped"
        unit = self._likely_unit()
        return f"{said}; {unit}" if unit else said

    def _likely_unit(self) -> str:
        """The likely unit, from the slope of the commands over the positions, median over the joints that moved."""
        q, c, qc, qq = self._sums / max(self.count, 1)
        spread = qq - q * q
        moved = spread > 1e-6
        if not moved.any():
            return ""
        slope = float(np.median((qc - q * c)[moved] / spread[moved]))
        return next((words for unit, words in _UNITS if abs(slope / unit - 1.0) < _LIKE), "")
