"""Messages as they come off the wire or out of a bag, read without ROS: any object with the message's fields will do."""

from __future__ import annotations

import cv2
import numpy as np

from jsac_ros.types import Step


def to_ns(time) -> int:
    """builtin_interfaces/Time to nanoseconds."""
    return time.sec * 1_000_000_000 + time.nanosec


def from_message(message) -> Step:
    """`msg/Transition` to a step. Raises ValueError when the frame is not what the message says it is."""
    shape = (message.height, message.width, message.channels)
    data = np.frombuffer(message.frame, np.uint8)
    if message.encoding == "jpeg":
        flags = cv2.IMREAD_GRAYSCALE if message.channels == 1 else cv2.IMREAD_COLOR
        frame = cv2.imdecode(data, flags)
        frame = frame if frame is None else frame.reshape(*frame.shape[:2], -1)[..., ::-1]
        if frame is None or frame.shape != shape:
            raise ValueError(f"frame of {message.robot} step {message.step}: jpeg is not {shape}")
    elif message.encoding == "raw":
        if data.size != shape[0] * shape[1] * shape[2]:
            raise ValueError(f"frame of {message.robot} step {message.step}: {data.size} bytes, expected {shape}")
        frame = data.reshape(shape)
    else:
        raise ValueError(f"frame of {message.robot} step {message.step}: encoding {message.encoding!r}, expected raw or jpeg")
    return Step(
        robot=message.robot, session=message.session, sequence=message.sequence, episode=message.episode,
        step=message.step, is_first=message.is_first, is_last=message.is_last, intervened=message.intervened,
        success=message.success, frame=frame, proprioception=np.asarray(message.proprioception, np.float32),
        action=np.asarray(message.action, np.float32), executed=np.asarray(message.executed, np.float32),
        reward=message.reward, mask=message.mask, stamp_ns=to_ns(message.header.stamp),
        frame_stamp_ns=to_ns(message.frame_stamp), joint_stamp_ns=to_ns(message.joint_stamp),
        policy_version=message.policy_version, lateness_s=message.lateness,
    )  # fmt: skip
