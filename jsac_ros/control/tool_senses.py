"""The senses of the tool and of grippers: poses are relative to where the episode began."""

from __future__ import annotations

import numpy as np

from jsac_ros.control.actions.gripper import GripperOpening
from jsac_ros.control.actions.part import ActionPart
from jsac_ros.control.senses import Sense
from jsac_ros.robots.gripper import Gripper
from jsac_ros.robots.robot import Robot
from jsac_ros.robots.rotations import six_values
from jsac_ros.spaces import VectorSpace
from jsac_ros.types import Sensed

_LENGTH_M = 0.1  # m for a length of 1 in an observation: about the reach of a skill


def tool_senses(robot: Robot) -> dict[str, Sense]:
    """`tool_position` [3], `tool_rotation` [6] and `tool_velocity` [6], in the tool's frame at the start of the episode."""
    tool = _Tool(robot)
    parts = (
        (VectorSpace("tool_position", 3, "0.1 m from the start"), slice(0, 3)),
        (VectorSpace("tool_rotation", 6, "two columns of the rotation from the start"), slice(3, 9)),
        (VectorSpace("tool_velocity", 6, "0.1 m/s, then rad/s"), slice(9, 15)),
    )
    return {
        space.name: Sense(space, lambda sensed, _, place=place: tool.at(sensed)[place], tool.begin) for space, place in parts
    }


class _Tool:
    """The tool relative to its start; computed once per tick, however many senses read it."""

    def __init__(self, robot: Robot):
        self._robot = robot
        self._start = np.zeros(3), np.eye(3)
        self._sensed: Sensed | None = None
        self._values = np.empty(0)

    def begin(self, sensed: Sensed) -> None:
        self._start, self._sensed = self._robot.forward(sensed.position), None

    def at(self, sensed: Sensed) -> np.ndarray:
        """[15]: position, two columns of the rotation, velocity, angular velocity."""
        if sensed is not self._sensed:
            position, rotation, jacobian = self._robot.jacobian(sensed.position)
            origin, axes = self._start
            twist = jacobian @ sensed.velocity
            self._values = np.concatenate((
                (position - origin) @ axes / _LENGTH_M, six_values(axes.T @ rotation),
                twist[:3] @ axes / _LENGTH_M, twist[3:] @ axes,
            ))  # fmt: skip
            self._sensed = sensed
        return self._values


def gripper_senses(gripper: Gripper, part: ActionPart | None) -> dict[str, Sense]:
    """`DEVICE_opening` [1] as measured and, if an action part commands it, `DEVICE_command` [1]."""
    device, unit = gripper.name, "-1 closed to 1 open"

    def share(opening: np.ndarray) -> np.ndarray:
        return 2.0 * opening / gripper.stroke_m - 1.0

    senses = [Sense(VectorSpace(f"{device}_opening", 1, unit), lambda sensed, _: share(sensed.outputs[device]))]
    if isinstance(part, GripperOpening):
        senses.append(Sense(VectorSpace(f"{device}_command", 1, unit), lambda *_: share(np.array([part.commanded]))))
    return {sense.space.name: sense for sense in senses}
