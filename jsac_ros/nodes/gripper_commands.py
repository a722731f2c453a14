"""Commands for a gripper's driver: one class per interface of `grippers.NAME.interface`.

joint_trajectory          trajectory_msgs/JointTrajectory with one point, timed for the gripper's speed
float64_multi_array       std_msgs/Float64MultiArray with the present desired position (forward command controller)
parallel_gripper_command  control_msgs action: position, speed and force of the joint
gripper_command           control_msgs action from before Jazzy: it has no speed, so the goal moves in small steps
set_io                    ur_msgs service: a digital output, 1 closes
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from builtin_interfaces.msg import Duration
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from jsac_ros.control.safety.grippers import Opening
from jsac_ros.nodes.asked import Asked
from jsac_ros.robots.gripper import SET_DIGITAL_OUT, Gripper
from jsac_ros.ros_types import request_class

_SAME_M = 1e-4  # openings closer than this count as equal
_AGAIN_S = 1.0  # repetition period on a topic, for subscribers that start later
_STEP_S = 0.1  # between intermediate goals, and between attempts


class GripperCommands:
    """Sends each change of the opening once. `problem`: why commands cannot be sent, or ""."""

    problem = ""
    every_s = 0.0  # minimum period of intermediate commands; 0: only targets are sent
    again_s = math.inf  # after which the same target is repeated

    def __init__(self, gripper: Gripper):
        self.gripper = gripper
        self._said: float | None = None
        self._said_s = self._failed_s = -math.inf

    def step(self, now_s: float, opening: Opening) -> None:
        """Call once per period of the gate."""
        value = opening.now if self.every_s else opening.target
        changed = self._said is None or abs(value - self._said) > _SAME_M
        passed_s = now_s - self._said_s
        due = (changed and passed_s >= self.every_s) or passed_s >= self.again_s
        if not due or now_s - self._failed_s < _STEP_S:
            return
        if self.say(value, abs(opening.target - opening.measured) / self.gripper.config.max_speed_m_s):
            self._said, self._said_s = value, now_s
        else:
            self._failed_s = now_s

    def say(self, opening: float, takes_s: float) -> bool:
        """Sends an opening in m. takes_s: how long the fingers need. Returns False to try again."""
        raise NotImplementedError

    def look(self) -> None:
        """Call once a second: checks whether the driver is there."""


class TopicCommands(GripperCommands):
    again_s = _AGAIN_S

    def __init__(self, node: Node, gripper: Gripper, kind: type):
        super().__init__(gripper)
        self._node, self._publisher = node, node.create_publisher(kind, gripper.config.topic, 1)

    def look(self) -> None:
        topic = self._publisher.topic_name
        heard = self._node.count_subscribers(topic)
        self.problem = "" if heard else f"{self.gripper.name}: no subscriber on {topic}; is its controller active?"


class GripperTrajectory(TopicCommands):
    def __init__(self, node: Node, gripper: Gripper):
        super().__init__(node, gripper, JointTrajectory)

    def say(self, opening: float, takes_s: float) -> bool:
        message = JointTrajectory(joint_names=[self.gripper.config.joint])
        seconds, nanoseconds = divmod(round(max(takes_s, 0.02) * 1e9), 1_000_000_000)
        point = JointTrajectoryPoint(positions=[self.gripper.joint(opening)])
        point.time_from_start = Duration(sec=seconds, nanosec=nanoseconds)
        message.points.append(point)
        self._publisher.publish(message)
        return True


class GripperPosition(TopicCommands):
    every_s = 0.001  # each period of the gate

    def __init__(self, node: Node, gripper: Gripper):
        super().__init__(node, gripper, Float64MultiArray)

    def say(self, opening: float, takes_s: float) -> bool:
        self._publisher.publish(Float64MultiArray(data=[self.gripper.joint(opening)]))
        return True


class RequestCommands(GripperCommands):
    """Commands through an action or a service, whose server may be missing or refuse."""

    def __init__(self, gripper: Gripper, client: Any, ask: Callable[[Any], Any], what: str):
        super().__init__(gripper)
        self._client, self._ask, self._what = client, Asked(ask), f"{gripper.name}: {what} {gripper.config.topic}"
        self._refused = ""
        self.look()

    def is_there(self) -> bool:
        raise NotImplementedError

    def look(self) -> None:
        self.problem = self._refused if self.is_there() else f"{self._what} is not served; is its controller active?"

    def refused(self, why: str) -> None:
        """Call when the server refused a command: the next step sends it again."""
        self._refused = f"{self._what} refused the command{why and ': '}{why}"
        self._said = None
        self.look()

    def taken(self) -> None:
        self._refused = ""
        self.look()


class ActionCommands(RequestCommands):
    def __init__(self, node: Node, gripper: Gripper, kind: type):
        from rclpy.action import ActionClient

        self._goal = kind.Goal
        client = ActionClient(node, kind, gripper.config.topic)
        super().__init__(gripper, client, client.send_goal_async, "the action")

    def is_there(self) -> bool:
        return self._client.server_is_ready()

    def say(self, opening: float, takes_s: float) -> bool:
        if not self.is_there():
            self.look()
            return False
        self._ask(self.goal(opening), lambda answer: self.taken() if answer.accepted else self.refused(""))
        return True

    def goal(self, opening: float):
        raise NotImplementedError


class ParallelGripperCommand(ActionCommands):
    def goal(self, opening: float):
        gripper, goal = self.gripper, self._goal()
        per_metre = abs(gripper.joint(gripper.stroke_m) - gripper.joint(0.0)) / gripper.stroke_m
        goal.command.name, goal.command.position = [gripper.config.joint], [gripper.joint(opening)]
        goal.command.velocity, goal.command.effort = [per_metre * gripper.config.max_speed_m_s], [gripper.config.max_force_n]
        return goal


class GripperCommand(ActionCommands):
    every_s = _STEP_S

    def goal(self, opening: float):
        goal = self._goal()
        goal.command.position, goal.command.max_effort = self.gripper.joint(opening), self.gripper.config.max_force_n
        return goal


class DigitalOutput(RequestCommands):
    def __init__(self, node: Node, gripper: Gripper, kind: type):
        self._kind = kind
        client = node.create_client(kind, gripper.config.topic)
        super().__init__(gripper, client, client.call_async, "the service")

    def is_there(self) -> bool:
        return self._client.service_is_ready()

    def say(self, opening: float, takes_s: float) -> bool:
        if not self.is_there():
            self.look()
            return False
        closes = opening < self.gripper.stroke_m / 2
        request = self._kind.Request(fun=SET_DIGITAL_OUT, pin=self.gripper.config.output_pin, state=float(closes))
        self._ask(request, lambda answer: self.taken() if answer.success else self.refused(""))
        return True


_CLASSES = {
    "joint_trajectory": GripperTrajectory,
    "float64_multi_array": GripperPosition,
    "parallel_gripper_command": ParallelGripperCommand,
    "gripper_command": GripperCommand,
    "set_io": DigitalOutput,
}


def gripper_commands_of(node: Node, gripper: Gripper) -> GripperCommands:
    """The commands of the configured interface. Raises ConfigError if its action or service is not installed."""
    kind = request_class(gripper)
    return _CLASSES[gripper.config.interface](node, gripper, *([kind] if kind else []))
