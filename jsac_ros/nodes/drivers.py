"""The drivers of robot and grippers, which the gate commands; checks that they are there and commanded by no other node."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from jsac_ros.control.safety import Decision
from jsac_ros.control.safety.grippers import Opening
from jsac_ros.nodes.gripper_commands import gripper_commands_of
from jsac_ros.nodes.process import JsacNode
from jsac_ros.nodes.robot_commands import commands_of
from jsac_ros.robots.gripper import grippers_of
from jsac_ros.robots.limits import joint_limits
from jsac_ros.robots.robot import Robot
from jsac_ros.ros_graph import publishers_of


class Drivers:
    """Call with the gate's lock held, except `look`."""

    def __init__(self, node: JsacNode, robot: Robot):
        """Raises ConfigError if a gripper's interface is not installed."""
        config = node.config
        self._node = node
        self._robot = commands_of(node, config.robot, robot, joint_limits(config.safety, robot).jerk is not None)
        self._grippers = {name: gripper_commands_of(node, gripper) for name, gripper in grippers_of(config).items()}
        self.others: tuple[str, ...] = ()  # one line per node that also commands the robot
        self.unheard = ""  # why commands do not reach the robot's driver; "" if they do
        self.gripper_problem = ""  # the same for the grippers

    def execute(self, decision: Decision) -> None:
        if decision.motion is not None:
            self._robot.send(decision.motion, decision.begins_s)

    def period(self, velocity: np.ndarray, position: np.ndarray | None = None) -> None:
        """Call once per period of the gate, with the commanded velocity and position [N] of the robot."""
        self._robot.period(velocity, position)

    def open(self, now_s: float, openings: Mapping[str, Opening]) -> None:
        """Call once per period of the gate. openings: {gripper: its opening}."""
        for name, opening in openings.items():
            self._grippers[name].step(now_s, opening)

    def look(self) -> bool:
        """Call once a second. Returns True if a new node commands the robot, which bypasses the gate."""
        topic, before = self._robot.topic, self.others
        publishers, here = publishers_of(self._node, topic), self._node.get_fully_qualified_name()
        if here in publishers:
            publishers.remove(here)  # removes one entry: a second one is another node with our name
        self.others = tuple(f"{name} also commands {topic}" for name in sorted(set(publishers)))
        heard = self._node.count_subscribers(topic)
        self.unheard = "" if heard else f"no subscriber on {topic}; is the robot's controller active?"
        for commands in self._grippers.values():
            commands.look()
        self.gripper_problem = "; ".join(filter(None, (commands.problem for commands in self._grippers.values())))
        return bool(self.others) and self.others != before
