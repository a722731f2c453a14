"""Passes the robot's measurements to the gate: joint states, speed scaling and the wrench.

They are polled when the gate needs them, as an executor that wakes for each joint state uses 5 % of a core.
"""

from __future__ import annotations

import time

import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64

from jsac_ros.config import Stamps
from jsac_ros.control.safety import Gate
from jsac_ros.control.stamps import StampError, taken_ns, why_old
from jsac_ros.nodes.polled import Polled, take
from jsac_ros.nodes.process import JsacNode
from jsac_ros.nodes.qos import HEARS_QUIETLY
from jsac_ros.robots.joint_map import JointError, JointMap
from jsac_ros.robots.robot import Robot
from jsac_ros.ros_graph import publishers_of

# All messages that a driver publishes between two polls, with a margin.
_WRENCHES = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)


def steady_s(node: JsacNode, stamp, stamps: Stamps, waited_s: float = 0.0) -> float:
    """When the content of a message that arrived `waited_s` ago was measured, on the steady clock. Raises StampError."""
    arrived_ns = node.get_clock().now().nanoseconds - round(waited_s * 1e9)
    taken = taken_ns(stamp.sec * 1_000_000_000 + stamp.nanosec, arrived_ns, stamps)
    return time.monotonic() - waited_s - (arrived_ns - taken) * 1e-9


class Measurements:
    """Subscribes to the robot's topics. Call `take` and `forget_sources` with the gate's lock held."""

    def __init__(self, node: JsacNode, gate: Gate, robot: Robot):
        self._node, self._gate, self._config = node, gate, node.config
        self.joint_map = JointMap(robot.names, robot.prismatic)
        self.joint_problem = self.wrench_problem = ""
        sensor, polled = qos_profile_sensor_data, {"callback_group": Polled(), "event_callbacks": HEARS_QUIETLY}
        config, self._subscriptions = node.config, list[Subscription]()
        if topic := config.robot.speed_scaling_topic:  # before the joint states, whose check depends on it
            self._subscriptions.append(node.create_subscription(Float64, topic, self._on_scaling, sensor, **polled))
        joints = node.create_subscription(JointState, config.robot.joint_states_topic, self._on_joints, sensor, **polled)
        self._subscriptions.append(joints)
        if gate.judges_wrench:
            from geometry_msgs.msg import WrenchStamped  # imported late: 1 MB of 80

            wrench_topic = config.sensors[config.safety.wrench].topic
            wrenches = node.create_subscription(WrenchStamped, wrench_topic, self._on_wrench, _WRENCHES, **polled)
            self._subscriptions.append(wrenches)

    def take(self) -> None:
        """Passes the messages since the last call to the gate."""
        for subscription in self._subscriptions:
            take(subscription)

    def forget_sources(self) -> None:
        """Call when a person has checked the robot: the next publisher of joint states becomes their only source."""
        self.joint_map.sources.forget()

    def _on_scaling(self, message: Float64, _: dict) -> None:
        self._gate.speed_scaling(message.data)

    def _on_joints(self, message: JointState, info: dict) -> None:
        robot, now_s = self._config.robot, time.monotonic()
        waited_s = max(time.time_ns() - info["received_timestamp"], 0) * 1e-9
        number = info.get("publication_sequence_number")
        try:
            taken_s = steady_s(self._node, message.header.stamp, robot.stamps, waited_s)
            joints = self.joint_map(message.name, message.position, message.velocity, round(taken_s * 1e9), number)
        except (JointError, StampError) as error:  # dropped: if it persists, the age limit stops the robot
            self.joint_problem = f"{robot.joint_states_topic}: {error}"
            self._node.refusals.add(robot.joint_states_topic, error)
            return
        self._gate.grippers.heard(message.name, message.position)
        if (second := self.joint_map.sources.second) and not self._gate.stopped:
            publishers = ", ".join(publishers_of(self._node, robot.joint_states_topic))
            self._gate.second_source(f"{second}; publishers: {publishers}")
        if robot.interface == "twist":  # of a base only their publisher counts, as no limit applies to wheels
            self.joint_problem = ""
            return
        if joints is None:
            if lacking := self.joint_map.lacking:  # otherwise the message belongs to another device
                self.joint_problem = f"{robot.joint_states_topic}: {lacking}"
            return
        oldest_s = joints.oldest_ns * 1e-9
        why = why_old(now_s - oldest_s, waited_s, self._config.safety.joint_max_age_s, joints.lacks)
        self.joint_problem = f"{robot.joint_states_topic} is {now_s - oldest_s:.2f} s old{why}" if why else ""
        self._gate.joints(joints.position, oldest_s)

    def _on_wrench(self, message, info: dict) -> None:
        """message: geometry_msgs/WrenchStamped."""
        sensor, force, torque = self._config.sensors[self._config.safety.wrench], message.wrench.force, message.wrench.torque
        waited_s = max(time.time_ns() - info["received_timestamp"], 0) * 1e-9
        try:
            measured_s = steady_s(self._node, message.header.stamp, sensor.stamps, waited_s)
            wrench = np.array((force.x, force.y, force.z, torque.x, torque.y, torque.z))
            self._gate.wrench(wrench, message.header.frame_id, measured_s)
        except ValueError as error:  # dropped: if it persists, the age limit stops the robot
            self.wrench_problem = f"{sensor.topic}: {error}"
            self._node.refusals.add(sensor.topic, error)
        else:
            self.wrench_problem = ""
