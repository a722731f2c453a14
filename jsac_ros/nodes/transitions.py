"""`types.Step` to `msg/Transition`; `jsac_ros.messages` has the way back."""

from __future__ import annotations

import array

import cv2
import numpy as np
from builtin_interfaces.msg import Time

from jsac_ros.msg import Transition
from jsac_ros.types import Step

JPEG_QUALITY = 95


def to_time(stamp_ns: int) -> Time:
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    return Time(sec=seconds, nanosec=nanoseconds)


def _floats(values: np.ndarray) -> array.array:
    """The one type that a generated message takes over without looking at every element."""
    return array.array("f", np.asarray(values, np.float32).tobytes())


def to_message(step: Step, jpeg: bool = False) -> Transition:
    """The wire form of a step. `jpeg` (lossy, colour or grey) saves bandwidth between two hosts."""
    message = Transition()
    message.header.stamp = to_time(step.stamp_ns)
    message.robot, message.session, message.sequence = step.robot, step.session, step.sequence
    message.episode, message.step = step.episode, step.step
    message.is_first, message.is_last = step.is_first, step.is_last
    message.intervened, message.success = step.intervened, step.success
    message.height, message.width, message.channels = step.frame.shape
    if jpeg and step.frame.size:
        coded = cv2.imencode(".jpg", step.frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        message.encoding, message.frame = "jpeg", array.array("B", coded.tobytes())
    else:
        message.encoding, message.frame = "raw", array.array("B", step.frame.tobytes())
    message.proprioception = _floats(step.proprioception)
    message.action, message.executed = _floats(step.action), _floats(step.executed)
    message.reward, message.mask = float(step.reward), float(step.mask)
    message.frame_stamp, message.joint_stamp = to_time(step.frame_stamp_ns), to_time(step.joint_stamp_ns)
    message.policy_version, message.lateness = step.policy_version, float(step.lateness_s)
    return message
