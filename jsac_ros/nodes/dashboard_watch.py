"""The dashboard's subscriptions while a page is open: cameras, commands, a person's commands, and joint states if a camera is
calibrated."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import cv2
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from jsac_ros.control.images import to_rgb
from jsac_ros.dashboard.hub import Hub
from jsac_ros.dashboard.projection import Overlay
from jsac_ros.dashboard.ticks import Strip
from jsac_ros.messages import to_ns
from jsac_ros.msg import Action, AppliedAction, PersonAction
from jsac_ros.nodes.polled import Polled, take
from jsac_ros.nodes.process import JsacNode
from jsac_ros.nodes.qos import HEARS_QUIETLY
from jsac_ros.replay.episodes import to_jpeg
from jsac_ros.rig import Rig
from jsac_ros.robots.joint_map import JointMap
from jsac_ros.ros_types import message_class

PERIOD_S = 0.1  # shows at most ten images per second and camera, and ten tool positions
LARGEST_SIDE = 640  # pixels; larger images are scaled down


class Watch:
    """Fills the hub's images, its parts `sources`, `overlay` and `person`, and its list `ticks`."""

    def __init__(self, node: JsacNode, hub: Hub, rig: Rig | None, images: list[str]):
        """rig: None if a Gymnasium environment replaces the robot; images: names of the images in the observation."""
        self._node, self._hub, self._config = node, hub, node.config
        self._sources = rig.sources if rig else {}
        self.cameras = [name for name in images if name in self._sources]
        control = self._config.control
        self.strip = Strip(control.period_s, by_camera=control.trigger != "clock")
        self._overlay = Overlay(self._config, rig.robot) if rig else None
        self._joints = JointMap(rig.robot.names) if rig else None
        self._views: dict[str, dict[str, list[int]]] = {}  # camera -> size of its images, crop
        self._subscriptions: list[Any] = []
        self._person_s = -math.inf  # when a person last said what to do in the policy's place

    def update(self) -> None:
        """Call every PERIOD_S."""
        if self._hub.viewers and not self._subscriptions:
            self._subscribe()
        elif not self._hub.viewers and self._subscriptions:
            for subscription in self._subscriptions:
                self._node.destroy_subscription(subscription)
            self._subscriptions.clear()
        for subscription in self._subscriptions:
            take(subscription)
        if columns := self.strip.take():
            self._hub.append("ticks", *columns)
        self._hub.set("person", time.monotonic() - self._person_s <= self._config.person.max_age_s + PERIOD_S)

    def _subscribe(self) -> None:
        """Subscribes to everything except the statuses, to be polled by `update`: an executor that wakes for each command and
        joint state would use a tenth of a core."""
        config = self._config
        topics: dict[str, list[str]] = {}
        for name in self.cameras:
            topics.setdefault(self._sources[name].topic, []).append(name)
        for topic, names in topics.items():
            shown = lambda message, _, names=names: self._on_image(names, message)
            self._poll(message_class(self._sources[names[0]].type), topic, shown, _best_effort(1))
        # All that arrive between two polls, with a margin
        several = _best_effort(10 + round(1.0 / config.control.period_s))
        self._poll(Action, "shadow_command" if config.shadow else "policy_command", self._on_command, several)
        self._poll(AppliedAction, "applied_action", self._on_applied, several)
        self._poll(PersonAction, "person_action", lambda message, _: self._on_person(message.holds), several)
        self._poll(Float64MultiArray, "human_action", lambda *_: self._on_person(True), several)
        if self._overlay and not self._overlay.is_empty:
            self._poll(JointState, config.robot.joint_states_topic, self._on_joints, _best_effort(3))  # a gripper may share it

    def _poll(self, kind: Any, topic: str, callback: Callable[[Any], None], qos: QoSProfile) -> None:
        self._subscriptions.append(
            self._node.create_subscription(kind, topic, callback, qos, callback_group=Polled(), event_callbacks=HEARS_QUIETLY)
        )

    def _on_image(self, cameras: list[str], message: Any) -> None:
        """Shows the whole image, without the camera's crop."""
        for name in cameras:
            camera = self._config.cameras[name]
            image = to_rgb(message, camera.channels, camera.depth_range_m)
            height, width = image.shape[:2]
            crop = list(camera.crop) or [0, 0, height, width]
            self._views[name] = {"size": [height, width], "crop": crop}
            self._hub.set("sources", dict(self._views))
            scale = LARGEST_SIDE / max(height, width)
            if scale < 1:
                image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            self._hub.set_image(name, to_jpeg(image if camera.channels == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)))

    def _on_command(self, message: Action, _: Any) -> None:
        self.strip.commanded(message.tick, 1e-9 * to_ns(message.header.stamp), 1e-9 * to_ns(message.observation_stamp))

    def _on_applied(self, message: AppliedAction, _: Any) -> None:
        self.strip.applied(message.tick, 1e-9 * to_ns(message.header.stamp))

    def _on_person(self, holds: bool) -> None:
        self._person_s = time.monotonic() if holds else -math.inf

    def _on_joints(self, message: JointState, _: Any) -> None:
        joints = self._joints(message.name, message.position, message.velocity, to_ns(message.header.stamp))
        if joints is not None:  # otherwise it belongs to another device
            self._hub.set("overlay", self._overlay.at(joints.position))


def _best_effort(depth: int) -> QoSProfile:
    """Best effort: a slow page gets the newest messages, and nothing is resent for it."""
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)
