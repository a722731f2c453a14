"""Puts the messages of cameras, robot and sensors into the slots that the actor's control thread reads."""

from __future__ import annotations

import time
from collections import defaultdict

from rclpy.qos import QoSProfile, qos_profile_sensor_data
from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState

from jsac_ros.control.inputs import Inputs
from jsac_ros.messages import from_outputs, from_velocity, to_ns
from jsac_ros.msg import Action
from jsac_ros.nodes.polled import Polled, take
from jsac_ros.nodes.process import JsacNode
from jsac_ros.nodes.qos import LATCHED
from jsac_ros.rig import Rig
from jsac_ros.ros_types import message_class
from jsac_ros.types import Command


class DriverTopics:
    """The constructor subscribes; the control thread calls `take`."""

    def __init__(self, node: JsacNode, rig: Rig, inputs: Inputs, follows_clock: bool):
        """follows_clock: time comes from /clock, which need not run at real time."""
        config, self._rig, self._inputs, self._follows_clock = node.config, rig, inputs, follows_clock
        # Every image of a recording is a step: reliable, with a queue for busy moments.
        qos = QoSProfile(depth=100) if config.robot.driver == "bag" else qos_profile_sensor_data
        cameras = defaultdict(list)
        for name in rig.images:
            source = rig.sources[name]
            cameras[source.topic, source.type].append(name)
        for (topic, kind), names in cameras.items():
            node.create_subscription(message_class(kind), topic, self._on_images_of(names), qos)
        # An executor that wakes for each of 500 joint states per second uses half a core, so each tick takes the queued
        # messages instead. Not so with a recording, whose images wait for their joint states, nor with /clock, in whose
        # time it is unknown how long a message has waited for its tick.
        polled = {} if config.robot.driver == "bag" or follows_clock else {"callback_group": Polled()}
        take_later = [node.create_subscription(JointState, config.robot.joint_states_topic, self._on_joints, qos, **polled)]
        for name in rig.sensors:
            source = rig.sources[name]
            heard = lambda message, info, name=name: inputs.on_sensor(name, message, _published_ns(info), self._waited_s(info))
            kind = message_class(source.type, f"sensors.{name}.type")
            take_later.append(node.create_subscription(kind, source.topic, heard, qos, **polled))
            if not source.max_age_s:  # perhaps published once, before the actor started: also latched
                take_later.append(node.create_subscription(kind, source.topic, heard, LATCHED, **polled))
        self._polled: list[Subscription] = take_later if polled else []
        if inputs.needs_answers:
            node.create_subscription(Action, "recorded_action", self._on_recorded_action, 100)

    def take(self) -> None:
        """Takes the messages since the last tick that the executor does not deliver."""
        for subscription in self._polled:
            take(subscription)

    def _on_images_of(self, cameras: list[str]):
        """The callback for cameras that share a topic."""

        def on_image(message, info: dict) -> None:
            for name in cameras:
                self._inputs.on_image(name, message, _published_ns(info), _number(info))

        return on_image

    def _on_joints(self, message: JointState, info: dict) -> None:
        self._inputs.on_joints(message, _published_ns(info), self._waited_s(info), _number(info))

    def _on_recorded_action(self, message: Action) -> None:
        """A message without a velocity means that nothing had been commanded yet."""
        command = None
        if len(message.velocity):
            sizes = {name: 1 for name in self._rig.grippers if name in {output.name for output in message.outputs}}
            motion = from_velocity(message.velocity, self._rig.robot.motion_size)
            command = Command(motion, from_outputs("recorded_action", message.outputs, sizes))
        self._inputs.on_recorded_action(to_ns(message.observation_stamp), command)

    def _waited_s(self, info: dict) -> float:
        """Seconds since a message arrived; 0 with /clock, which need not run at real time."""
        return 0.0 if self._follows_clock else max(time.time_ns() - info["received_timestamp"], 0) * 1e-9


def _published_ns(info: dict) -> int:
    """When the message was published, on its publisher's clock; 0 if the middleware does not provide it."""
    return info.get("source_timestamp") or 0


def _number(info: dict) -> int | None:
    """The publisher's sequence number of the message; None if the middleware does not provide it."""
    return info.get("publication_sequence_number")
