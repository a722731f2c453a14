"""Description, frames and camera intrinsics of a simulated robot, as its drivers would publish them.

Publishes  robot_description (the URDF, like robot_state_publisher); if tf2_msgs is installed, /tf of the joints 25 times a
           second and /tf_static of fixed frames; camera_info beside each image topic, like image_transport
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, JointState
from std_msgs.msg import Header, String

from jsac_ros.config import ConfigError, source_size
from jsac_ros.nodes.qos import LATCHED
from jsac_ros.rig import Rig
from jsac_ros.robots.frames import Frames, Transform
from jsac_ros.ros_types import message_class
from jsac_ros.sim.sim import Sim

_TF_HZ = 25.0


class SimDescription:
    def __init__(self, node: Node, rig: Rig, sim: Sim, cameras: Mapping[str, str]):
        """cameras: {image topic: its camera}. Raises ConfigError if the URDF cannot be read."""
        self._node, self._prefix = node, rig.robot.prefix
        self._every = max(1, round(rig.config.sim.joint_rate_hz / _TF_HZ))  # joint states per /tf message
        self._heard = 0
        self._tf = None
        if urdf := rig.robot.description:
            self._description = node.create_publisher(String, "robot_description", LATCHED)
            self._description.publish(String(data=urdf))
            self._serve_frames(Frames(urdf))
        self._infos = {}
        for topic, camera in cameras.items():
            matrix = sim.camera_matrix(camera)
            if matrix is not None:
                info = _camera_info(matrix, *source_size(rig.config.cameras[camera]))
                self._infos[topic] = node.create_publisher(CameraInfo, info_topic(topic), QoSProfile(depth=10)), info

    def _serve_frames(self, frames: Frames) -> None:
        try:
            self._tf_message = message_class("tf2_msgs/msg/TFMessage")
        except ConfigError:
            self._node.get_logger().info("no /tf: package tf2_msgs is not installed")
            return
        self._frames = frames
        self._tf = self._node.create_publisher(self._tf_message, "/tf", QoSProfile(depth=100))
        self._tf_static = self._node.create_publisher(self._tf_message, "/tf_static", LATCHED)
        header = Header(stamp=self._node.get_clock().now().to_msg())
        self._tf_static.publish(self._tf_message(transforms=[_stamped(fixed, header) for fixed in frames.fixed]))

    def joints(self, state: JointState) -> None:
        """Call when a joint state has been published."""
        self._heard += 1
        if self._tf is None or self._heard % self._every or not self._tf.get_subscription_count():
            return
        positions = dict(zip(state.name, state.position))
        positions |= {name.removeprefix(self._prefix): position for name, position in positions.items()}  # as in a URDF file
        transforms = [_stamped(moved, state.header) for moved in self._frames.moved(positions)]
        self._tf.publish(self._tf_message(transforms=transforms))

    def image(self, topic: str, header: Header) -> None:
        """Call when an image has been published."""
        publisher, info = self._infos.get(topic, (None, None))
        if publisher is not None and publisher.get_subscription_count():
            info.header = header
            publisher.publish(info)


def info_topic(image_topic: str) -> str:
    """The camera_info topic that belongs to an image topic."""
    folder, slash, _ = image_topic.removesuffix("/compressed").rpartition("/")
    return f"{folder}{slash}camera_info"


def _camera_info(matrix: np.ndarray, height: int, width: int) -> CameraInfo:
    """The intrinsics of a camera without distortion, without a header."""
    projection = np.hstack((matrix, np.zeros((3, 1))))
    return CameraInfo(
        height=height, width=width, distortion_model="plumb_bob", d=[0.0] * 5, k=matrix.ravel(), r=np.eye(3).ravel(),
        p=projection.ravel(),
    )  # fmt: skip


def _stamped(transform: Transform, header: Header) -> TransformStamped:
    message = TransformStamped(child_frame_id=transform.child)
    message.header.stamp, message.header.frame_id = header.stamp, transform.parent
    place, turn = message.transform.translation, message.transform.rotation
    place.x, place.y, place.z = transform.position
    turn.x, turn.y, turn.z, turn.w = transform.rotation
    return message
