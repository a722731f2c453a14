"""How a motion reaches the robot's driver: one class for each command interface.

trajectory  one short JointTrajectory per motion; it ends at rest, so the arm stops by itself when no more come.
            There is one for each command of the actor (25 a second), not one for each period of the gate. One that continues
            from the motion before says when (its stamp) and from where (a point at time zero): without them the
            controller starts its spline from the measured state, which lags behind what it was told and, where the
            speed slider is not at 100 %, has a fraction of the planned speed; the arm would jolt at every message. One
            from rest has stamp zero, "now".
velocity    the motion's velocity, every period of the gate. The controller repeats the last one until another comes, so this
            process has to live to stop it; zeros are repeated at rest.
twist       the same for a mobile base, whose drivers stop by themselves when they hear nothing. Twist or TwistStamped.
"""

from __future__ import annotations

import array
import time
from collections.abc import Callable

import numpy as np
from builtin_interfaces.msg import Duration, Time
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from jsac_ros.config import RobotParameters
from jsac_ros.control.motion import Motion
from jsac_ros.nodes.qos import SAYS_QUIETLY

_REPEAT_ZEROS = 12  # periods between two zeros at rest


class TrajectoryCommands:
    def __init__(self, node: Node, topic: str, names: tuple[str, ...], with_acceleration: bool):
        self._publisher = node.create_publisher(JointTrajectory, topic, 1, event_callbacks=SAYS_QUIETLY)
        self.topic = self._publisher.topic_name
        self._names, self._with_acceleration = list(names), with_acceleration
        self._clock = node.get_clock()

    def send(self, motion: Motion, begins_s: float | None) -> None:
        """A new motion takes the place of what the robot executes; `begins_s` (steady clock): where it continues from that."""
        stamp = None
        if begins_s is not None:
            stamp_ns = self._clock.now().nanoseconds + round((begins_s - time.monotonic()) * 1e9)
            stamp = Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)
        self._publisher.publish(trajectory_message(motion, self._names, self._with_acceleration, stamp))

    def period(self, velocity: np.ndarray) -> None:
        """Once a period of the gate: what the robot should be doing now. Its trajectory says so already."""


class VelocityCommands:
    def __init__(self, node: Node, topic: str, kind: type, message: Callable[[np.ndarray], object]):
        self._publisher = node.create_publisher(kind, topic, 1, event_callbacks=SAYS_QUIETLY)
        self.topic = self._publisher.topic_name
        self._message = message
        self._zeros = 0

    def send(self, motion: Motion, begins_s: float | None) -> None:
        """The next period says it."""

    def period(self, velocity: np.ndarray) -> None:
        self._zeros = 0 if velocity.any() else self._zeros + 1
        if self._zeros <= 2 or self._zeros % _REPEAT_ZEROS == 0:
            self._publisher.publish(self._message(velocity))


def commands_of(node: Node, config: RobotParameters, names: tuple[str, ...], jerk_limited: bool):
    """The configured interface, its publisher made."""
    if config.interface == "trajectory":
        return TrajectoryCommands(node, config.trajectory_topic, names, jerk_limited)
    if config.interface == "velocity":
        return VelocityCommands(node, config.velocity_topic, Float64MultiArray, velocity_message)
    from geometry_msgs.msg import Twist, TwistStamped  # not above: 1 MB of the safety node's 80 that no arm has use for

    if not config.twist_stamped:
        return VelocityCommands(node, config.twist_topic, Twist, twist_message)
    clock = node.get_clock()
    stamped = lambda velocity: twist_stamped_message(velocity, clock.now().to_msg())
    return VelocityCommands(node, config.twist_topic, TwistStamped, stamped)


def trajectory_message(
    motion: Motion, names: list[str], with_acceleration: bool, begins: Time | None = None
) -> JointTrajectory:
    """Points at the ends of the segments, the last at rest; with `begins` stamped so and with a point for the start.

    Accelerations only where the motion is smooth: with them the controller's splines are quintic, without cubic.
    """
    message = JointTrajectory(joint_names=names)
    if begins is not None:
        message.header.stamp = begins
    for after_s, q, qd, qdd in motion.points(with_start=begins is not None):
        point = JointTrajectoryPoint(positions=_doubles(q), velocities=_doubles(qd))
        if with_acceleration:
            point.accelerations = _doubles(qdd)
        seconds, nanoseconds = divmod(round(after_s * 1e9), 1_000_000_000)
        point.time_from_start = Duration(sec=seconds, nanosec=nanoseconds)
        message.points.append(point)
    return message


def velocity_message(velocity: np.ndarray) -> Float64MultiArray:
    return Float64MultiArray(data=_doubles(velocity))


def twist_message(velocity: np.ndarray):
    """[m/s, rad/s] -> Twist: forward along x, turn about z."""
    from geometry_msgs.msg import Twist

    message = Twist()
    message.linear.x, message.angular.z = map(float, velocity)
    return message


def twist_stamped_message(velocity: np.ndarray, stamp: Time):
    """[m/s, rad/s] -> TwistStamped; its driver drops what is older than its time-out."""
    from geometry_msgs.msg import TwistStamped

    message = TwistStamped(twist=twist_message(velocity))
    message.header.stamp, message.header.frame_id = stamp, "base_link"
    return message


def _doubles(values: np.ndarray) -> array.array:
    return array.array("d", values.tobytes())
