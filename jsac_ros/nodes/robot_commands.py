"""Sends motions to the robot's driver: one class per command interface.

trajectory  one short JointTrajectory per motion, which ends at rest, so that the arm stops by itself if no more follow. One is
            sent per command of the actor (25 per second), not per period of the gate. If it continues the previous motion, it
            has a stamp and a point at time zero. Without them the controller would start its spline at the measured state,
            which lags behind the commanded one and, with the speed slider below 100 %, has only a fraction of the planned
            speed: the arm would jolt at every message. A motion from rest has stamp zero, "now".
velocity    the motion's velocity, every period of the gate. The controller repeats the last one until the next, so that only
            a living safety process can stop the arm; zeros are repeated at rest.
pose        the tool's pose in base_link or base, every period of the gate while it changes, for a Cartesian compliance
            controller. The controller keeps the last pose, so that an arm whose sender dies stops within one period's way. At
            rest none is sent: a repeated pose would pull back an arm that a person has moved, or whose controller restarts.
twist       the same as velocity for a mobile base, whose drivers stop by themselves without commands. Twist or TwistStamped.
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
from jsac_ros.robots.robot import Robot
from jsac_ros.robots.rotations import quaternion

_REPEAT_ZEROS = 12  # periods between repeated zeros at rest


class TrajectoryCommands:
    def __init__(self, node: Node, topic: str, names: tuple[str, ...], with_acceleration: bool):
        self._publisher = node.create_publisher(JointTrajectory, topic, 1, event_callbacks=SAYS_QUIETLY)
        self.topic = self._publisher.topic_name
        self._names, self._with_acceleration = list(names), with_acceleration
        self._clock = node.get_clock()

    def send(self, motion: Motion, begins_s: float | None) -> None:
        """Replaces the motion that the robot executes. begins_s: start on the steady clock if it continues the previous one."""
        stamp = None
        if begins_s is not None:
            stamp_ns = self._clock.now().nanoseconds + round((begins_s - time.monotonic()) * 1e9)
            stamp = Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)
        self._publisher.publish(trajectory_message(motion, self._names, self._with_acceleration, stamp))

    def period(self, velocity: np.ndarray, position: np.ndarray | None = None) -> None:
        """Call once per period of the gate with the commanded velocity and position, [N] each; position None: none yet. Does
        nothing, as the trajectory contains them."""


class VelocityCommands:
    def __init__(self, node: Node, topic: str, kind: type, message: Callable[[np.ndarray], object]):
        self._publisher = node.create_publisher(kind, topic, 1, event_callbacks=SAYS_QUIETLY)
        self.topic = self._publisher.topic_name
        self._message = message
        self._zeros = 0

    def send(self, motion: Motion, begins_s: float | None) -> None:
        """Does nothing: the next period sends its velocity."""

    def period(self, velocity: np.ndarray, position: np.ndarray | None = None) -> None:
        self._zeros = 0 if velocity.any() else self._zeros + 1
        if self._zeros <= 2 or self._zeros % _REPEAT_ZEROS == 0:
            self._publisher.publish(self._message(velocity))


class PoseCommands:
    def __init__(self, node: Node, config: RobotParameters, robot: Robot):
        # Imported late: 1 of the safety node's 80 MB, which other interfaces do not need.
        from geometry_msgs.msg import PoseStamped

        topic = config.pose_topic
        self._publisher = node.create_publisher(PoseStamped, topic, 1, event_callbacks=SAYS_QUIETLY)
        self.topic = self._publisher.topic_name
        self._robot, self._frame, self._clock = robot, config.pose_frame, node.get_clock()
        self._frame_id = f"{config.joint_prefix}{config.pose_frame}"
        self._sent: np.ndarray | None = None  # position of the last pose

    def send(self, motion: Motion, begins_s: float | None) -> None:
        """Does nothing: the next period sends its pose."""

    def period(self, velocity: np.ndarray, position: np.ndarray | None = None) -> None:
        if position is None or (self._sent is not None and np.array_equal(position, self._sent)):
            return
        self._sent = position
        pose = self._robot.forward(position, self._frame)
        self._publisher.publish(pose_message(*pose, self._frame_id, self._clock.now().to_msg()))


def commands_of(node: Node, config: RobotParameters, robot: Robot, jerk_limited: bool):
    """The commands of the configured interface, with their publisher."""
    if config.interface == "trajectory":
        return TrajectoryCommands(node, config.trajectory_topic, robot.names, jerk_limited)
    if config.interface == "velocity":
        return VelocityCommands(node, config.velocity_topic, Float64MultiArray, velocity_message)
    if config.interface == "pose":
        return PoseCommands(node, config, robot)
    from geometry_msgs.msg import Twist, TwistStamped  # imported late: 1 of the safety node's 80 MB, which arms do not need

    if not config.twist_stamped:
        return VelocityCommands(node, config.twist_topic, Twist, twist_message)
    clock = node.get_clock()
    stamped = lambda velocity: twist_stamped_message(velocity, clock.now().to_msg())
    return VelocityCommands(node, config.twist_topic, TwistStamped, stamped)


def trajectory_message(
    motion: Motion, names: list[str], with_acceleration: bool, begins: Time | None = None
) -> JointTrajectory:
    """Points at the ends of the segments, the last one at rest. begins: stamp; adds a point for the start.

    with_acceleration: for a jerk-limited motion; the controller's splines are quintic with accelerations, cubic without.
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


def pose_message(position: np.ndarray, rotation: np.ndarray, frame_id: str, stamp: Time):
    """m [3] and [3, 3] -> PoseStamped."""
    from geometry_msgs.msg import PoseStamped

    message = PoseStamped()
    message.header.stamp, message.header.frame_id = stamp, frame_id
    place, turned = message.pose.position, message.pose.orientation
    place.x, place.y, place.z = position.tolist()
    turned.x, turned.y, turned.z, turned.w = quaternion(rotation)
    return message


def twist_message(velocity: np.ndarray):
    """[m/s, rad/s] -> Twist: forward along x, turn about z."""
    from geometry_msgs.msg import Twist

    message = Twist()
    message.linear.x, message.angular.z = map(float, velocity)
    return message


def twist_stamped_message(velocity: np.ndarray, stamp: Time):
    """[m/s, rad/s] -> TwistStamped, whose driver drops messages older than its time-out."""
    from geometry_msgs.msg import TwistStamped

    message = TwistStamped(twist=twist_message(velocity))
    message.header.stamp, message.header.frame_id = stamp, "base_link"
    return message


def _doubles(values: np.ndarray) -> array.array:
    return array.array("d", values.tobytes())
