"""The drivers that the gate commands, the robot's and its grippers': whether they hear it, and whether others command them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from jsac_ros.control.safety import Decision
from jsac_ros.control.safety.grippers import Opening
from jsac_ros.nodes.gripper_commands import gripper_commands_of
from jsac_ros.nodes.process import JsacNode
from jsac_ros.nodes.robot_commands import commands_of
from jsac_ros.robots.gripper import grippers_of
from jsac_ros.robots.robot import Robot
from jsac_ros.ros_graph import publishers_of


class Drivers:
    """Commands go out under the gate's lock; `look` needs none."""

    def __init__(self, node: JsacNode, robot: Robot):
        """Raises ConfigError if a gripper's interface is not installed."""
        config = node.config
        self._node = node
        self._robot = commands_of(node, config.robot, robot.names, config.safety.max_joint_jerk_rad_s3 > 0)
        self._grippers = {name: gripper_commands_of(node, gripper) for name, gripper in grippers_of(config).items()}
        self.others: tuple[str, ...] = ()  # a line for each node that also commands the robot
        self.unheard = ""  # why the robot's driver does not hear us; "" if it does
        self.gripper_problem = ""  # the same of the grippers

    def execute(self, decision: Decision) -> None:
        if decision.motion is not None:
            self._robot.send(decision.motion, decision.begins_s)

    def period(self, velocity: np.ndarray) -> None:
        """Once a period of the gate: the velocity [N] of the robot now."""
        self._robot.period(velocity)

    def open(self, now_s: float, openings: Mapping[str, Opening]) -> None:
        """Once a period of the gate: {gripper: its opening}."""
        for name, opening in openings.items():
            self._grippers[name].step(now_s, opening)

    def look(self) -> bool:
        """Once a second. True if others command the robot than at the look before: the gate guards nothing then."""
        topic, before = self._robot.topic, self.others
        publishers, here = publishers_of(self._node, topic), self._node.get_fully_qualified_name()
        if here in publishers:
            publishers.remove(here)  # once: another one of this name is a stranger too
        self.others = tuple(f"{name} also commands {topic}" for name in sorted(set(publishers)))
        heard = self._node.count_subscribers(topic)
        self.unheard = "" if heard else f"no subscriber on {topic}; is the robot's controller active?"
        for commands in self._grippers.values():
            commands.look()
        self.gripper_problem = "; ".join(filter(None, (commands.problem for commands in self._grippers.values())))
        return bool(self.others) and self.others != before
