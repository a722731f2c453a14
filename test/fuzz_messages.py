"""Messages for the callbacks of nodes: as a node expects them, with some fields changed, or random."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from fuzz import change, message_class, random_message
from replay_cases import make_transition
from rig_cases import HOME

from jsac_ros.messages import to_message
from jsac_ros.nodes.transitions import CLASSES, to_time


def good(kind: type, topic: str, node: Any, rng: random.Random) -> Any:
    """As the node expects them."""
    fill = _GOOD.get(kind.__name__, lambda message, topic, node, rng: None)
    message = kind()
    fill(message, topic, node, rng)
    if "header" in kind.get_fields_and_field_types():
        message.header.stamp = node.get_clock().now().to_msg()
    return message


def _joints(message, topic, node, rng) -> None:
    message.name = [*("shoulder_pan_joint", "shoulder_lift_joint", "elbow_joint"), *(f"wrist_{k}_joint" for k in (1, 2, 3))]
    message.position, message.velocity, message.effort = list(HOME), [0.0] * 6, [0.0] * 6


def _picture(rng: random.Random, channels: int) -> np.ndarray:
    shape = (64, 96, channels) if channels > 1 else (64, 96)
    return np.random.default_rng(rng.randrange(99)).integers(0, 256, shape).astype(np.uint8 if channels > 1 else np.uint16)


def _image(message, topic, node, rng) -> None:
    picture = _picture(rng, 1 if "depth" in topic else 3)
    message.height, message.width = picture.shape[:2]
    message.encoding = "16UC1" if "depth" in topic else "rgb8"
    message.step, message.data = len(picture[0].tobytes()), picture.tobytes()


def _compressed(message, topic, node, rng) -> None:
    depth = "Depth" in topic
    coded = cv2.imencode(".png" if depth else ".jpg", _picture(rng, 1 if depth else 3))[1].tobytes()
    message.format = "16UC1; compressedDepth" if depth else "rgb8; jpeg compressed bgr8"
    message.data = bytes(12) * depth + coded


def _command(message, topic, node, rng) -> None:
    message.velocity = [0.0] * (2 if node.config.robot.interface == "twist" else 6)
    message.tick = node._commands - 1 if hasattr(node, "_applied") and hasattr(node, "session") else 0


def _person(message, topic, node, rng) -> None:
    message.holds = True
    message.action = [CLASSES.make("Vector", name="arm", values=CLASSES.array(np.zeros(5, np.float32)))]


def _status(message, topic, node, rng) -> None:
    message.state = "ready"


def _ack(message, topic, node, rng) -> None:
    message.robot, message.session, message.next_sequence = node.robot, node.session.session, 0


def _transition(message, topic, node, rng) -> None:
    sequence = getattr(node, "sent", 0)
    node.sent = sequence + 1
    made = to_message(make_transition(sequence=sequence, step=sequence % 9, episode=sequence // 9), CLASSES)
    for name in made.get_fields_and_field_types():
        setattr(message, name, getattr(made, name))


def _parameters(message, topic, node, rng) -> None:
    acting = node.acting
    message.info.layout_hash, message.info.parameter_count = acting._layout_hash, acting._count
    message.info.version, message.info.header.stamp = 8, to_time(time.time_ns())
    message.data = np.zeros(acting._count, np.float32).tobytes()


def _trajectory(message, topic, node, rng) -> None:
    kind = message_class("trajectory_msgs/msg/JointTrajectoryPoint")
    _joints(state := message_class("sensor_msgs/msg/JointState")(), topic, node, rng)
    message.joint_names = state.name
    for k in (0, 1, 2):
        point = kind(positions=list(HOME), velocities=[0.0] * 6, accelerations=[0.0] * 6)
        point.time_from_start.nanosec = 40_000_000 * k
        message.points.append(point)


def _truth(message, topic, node, rng) -> None:
    sizes = {"tip": 3, "tip_rotation": 9, "tip_velocity": 3, "puck": 3, "mark_from_puck": 3}
    values = {name: np.array([rng.gauss(0, 0.3) for _ in range(size)], np.float32) for name, size in sizes.items()}
    message.values = [CLASSES.make("Vector", name=name, values=CLASSES.array(value)) for name, value in values.items()]


def _values(message, topic, node, rng) -> None:
    message.data = [0.0] * (1 if "gripper" in topic else 6)


def _joy(message, topic, node, rng) -> None:
    message.axes, message.buttons = [0.0] * 8, [0] * 16


def _text(message, topic, node, rng) -> None:
    message.data = rng.choice(
        ("camera_late 0.2", "joint_jump 0.1", "none", "slider 1", "contact 0.1", "restart 0.1", "w", "wasd")
    )


def _clock(message, topic, node, rng) -> None:
    message.clock = Time(sec=1000 + rng.randrange(3))


_GOOD: dict[str, Callable] = {
    "JointState": _joints, "Image": _image, "CompressedImage": _compressed, "Action": _command, "AppliedAction": _command,
    "PersonAction": _person, "SafetyStatus": _status, "TransitionAck": _ack, "Transition": _transition,
    "PolicyParameters": _parameters, "JointTrajectory": _trajectory, "SimTruth": _truth, "Float64MultiArray": _values,
    "Joy": _joy, "String": _text, "Clock": _clock,
}  # fmt: skip


def tried_with(kind: type, topic: str, node: Any, rng: random.Random) -> Any:
    """Good, good but for some fields, or random."""
    what = rng.random()
    if what < 0.2:
        return random_message(kind, rng)
    message = good(kind, topic, node, rng) if what < 0.85 else kind()
    for _ in range(rng.choice((0, 0, 1, 2, 5))):
        if kind.get_fields_and_field_types():
            change(message, rng)
    return message
