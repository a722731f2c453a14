"""Teleop: converts a person's gamepad, SpaceMouse, keys, velocities or leader arm to actions, and its buttons to verbs.

It publishes one message per message of the device, so that a silent device makes the person's action stale. With
`person.direct` it reads the device itself, at about the same rate.

Subscribes  the topic of the mapping (sensor_msgs/Joy, geometry_msgs/Twist or TwistStamped, or keys); of a leader its
            sensor_msgs/JointState and buttons (sensor_msgs/Joy), and the robot's joint states
Publishes   person_action, emergency_stop
Calls       the operator's services of the actor
A process because a device must be handled whatever control and learning do.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from geometry_msgs.msg import Twist, TwistStamped
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import String

from jsac_ros.control import devices, realtime, teleop
from jsac_ros.control.leader import LeaderMapping, LeaderReading
from jsac_ros.control.teleop import Keys, Reading
from jsac_ros.msg import PersonAction, Vector
from jsac_ros.nodes.console import EMERGENCY_STOP, Console
from jsac_ros.nodes.process import WorkingNode, run_node
from jsac_ros.rig import Rig
from jsac_ros.robots.joint_map import JointMap
from jsac_ros.ros_graph import publishers_of

POLL_S = 0.04  # for keys and for a device that is read directly
DRIVER_S = 3.0  # between two checks that the device has a driver
LEADER_S = 0.008  # minimum period of a leader's messages; more frequent ones are dropped


class Teleop(WorkingNode):
    doing = "buttons"

    def __init__(self):
        super().__init__("teleop")
        mapping, rig = teleop.load(self.config.person.mapping), Rig(self.config)
        self._device = teleop.device_of(mapping, rig)
        self._console = Console(self)
        self._publisher = self.create_publisher(PersonAction, "person_action", 1)
        self._holds = False
        self._keys = Keys()
        if self.config.person.direct:
            self._reader = devices.Reconnecting(devices.opener_of(mapping))
            self.create_timer(POLL_S, self._read)
            return
        if mapping.source != "keys":
            self._driver_was_there = True  # so that its absence is logged
            self.create_timer(DRIVER_S, lambda: self._check_driver(mapping.topic))
        match mapping.source:
            case "joy":
                self.create_subscription(Joy, mapping.topic, lambda m: self._hear(Reading(np.array(m.axes), _pressed(m))), 10)
            case "twist":
                self.create_subscription(Twist, mapping.topic, self._on_twist, 10)
            case "twist_stamped":
                self.create_subscription(TwistStamped, mapping.topic, lambda m: self._on_twist(m.twist), 10)
            case "keys":
                self.create_subscription(String, mapping.topic, self._on_key, 10)
                self.create_timer(POLL_S, lambda: self._hear(self._keys.reading(time.monotonic())))
            case "leader":
                self._follow(mapping, rig)

    def _follow(self, mapping: LeaderMapping, rig: Rig) -> None:
        """Subscribes to a leader and to the arm that follows it."""
        robot = rig.config.robot
        self._buttons, self._follower = Newest(mapping.silent_s), Newest(robot.joint_max_age_s)
        self._joints, self._led_s, self._problem = JointMap(rig.robot.names), -LEADER_S, ""
        self.create_subscription(JointState, mapping.topic, self._on_leader, qos_profile_sensor_data)
        self.create_subscription(JointState, robot.joint_states_topic, self._on_joints, qos_profile_sensor_data)
        if mapping.buttons_topic:
            self.create_subscription(Joy, mapping.buttons_topic, lambda m: self._buttons.set(_pressed(m)), 10)

    def _check_driver(self, topic: str) -> None:
        """Logs when the device's driver is not there, and when it is there again."""
        is_there = bool(publishers_of(self, topic))
        if is_there != self._driver_was_there:
            if is_there:
                self.get_logger().info(f"{topic} has a publisher: the device's driver is there")
            else:
                self.get_logger().warning(f"no publisher on {topic}; is the device's driver running?")
        self._driver_was_there = is_there

    def run(self) -> None:
        measures = realtime.short_switch_interval(), *realtime.process_first(self.config.realtime.fifo_priority)
        self.get_logger().info("; ".join(map(str, measures)))
        super().run()

    def _read(self) -> None:
        """Reads the device; one that is missing or has been unplugged gives no reading."""
        reading = self._reader.read(time.monotonic())
        for line in self._reader.take_news():
            self.get_logger().info(line)
        if reading is not None:
            with self.refusals.guard("device"):
                self._hear(reading)

    def _on_twist(self, twist: Twist) -> None:
        linear, angular = twist.linear, twist.angular
        axes = np.array((linear.x, linear.y, linear.z, angular.x, angular.y, angular.z))
        self._hear(Reading(axes, frozenset()))

    def _on_key(self, message: String) -> None:
        for key in message.data[:64]:
            self._keys.press(key, time.monotonic())

    def _on_joints(self, message: JointState) -> None:
        """Raises ValueError if the message cannot be used."""
        stamp = message.header.stamp
        joints = self._joints(message.name, message.position, message.velocity, stamp.sec * 10**9 + stamp.nanosec)
        if joints is not None:
            self._follower.set(joints.position)

    def _on_leader(self, message: JointState) -> None:
        """Raises ValueError if the message does not fit the mapping."""
        now_s = time.monotonic()
        if now_s - self._led_s < LEADER_S:
            return
        self._led_s = now_s
        positions = dict(zip(message.name, message.position))
        self._hear(LeaderReading(positions, self._buttons.get() or frozenset(), self._follower.get()))
        if self._device.problem and self._device.problem != self._problem:
            self.get_logger().warning(f"the robot rests: {self._device.problem}", throttle_duration_sec=1.0)
        self._problem = self._device.problem

    def _hear(self, reading: Reading | LeaderReading) -> None:
        """Raises ValueError if the reading does not fit the mapping."""
        said = self._device.hear(reading, time.monotonic())
        action = [Vector(name=name, values=values) for name, values in said.action.items()]
        message = PersonAction(holds=said.holds, action=action)
        message.header.stamp = self.get_clock().now().to_msg()
        self._publisher.publish(message)
        if said.holds != self._holds:
            self._holds = said.holds
            self.get_logger().info("the person takes over" if said.holds else "the person hands back")
        for verb in said.verbs:
            if verb == "emergency_stop":  # at once, not after verbs that still wait for an answer
                self._console.do(EMERGENCY_STOP, "teleop")
            else:
                self._console.press(verb, "teleop")

    def work(self) -> None:
        """Executes one verb after the other."""
        for verb, success, message in self._console.work("teleop", self.stop):
            if not success:
                self.get_logger().warning(f"{verb}: not done: {message}")


class Newest:
    """The newest value of a topic, while it is fresh."""

    def __init__(self, max_age_s: float):
        self._max_age_s, self._value, self._at_s = max_age_s, None, 0.0

    def set(self, value: Any) -> None:
        self._value, self._at_s = value, time.monotonic()

    def get(self) -> Any:
        """The value; None if there is none or it is too old."""
        return self._value if time.monotonic() - self._at_s <= self._max_age_s else None


def _pressed(message: Joy) -> frozenset[int]:
    return frozenset(np.flatnonzero(message.buttons).tolist())


def main(args=None) -> int:
    return run_node(Teleop, args)


if __name__ == "__main__":
    sys.exit(main())
