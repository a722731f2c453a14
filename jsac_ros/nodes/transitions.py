"""`types.Step` to `msg/Transition` and on its way to replay; `jsac_ros.messages` has the way back."""

from __future__ import annotations

import array
import time

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from rclpy.node import Node

from jsac_ros.msg import Transition, TransitionAck
from jsac_ros.replay.outbox import Outbox
from jsac_ros.types import Step

JPEG_QUALITY = 95
HELD_TRANSITIONS = 2000  # 80 s at 25 Hz; what replay may miss while it is restarted
_DRAIN_S = 3.0  # at the end: for the last acknowledgements


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


class TransitionSender:
    """Sends the steps of one session: at once, held until replay acknowledges them, again when it asks.

    `send` is one thread's, everything else happens in the executor.
    """

    def __init__(self, node: Node, robot: str, session: int):
        self._robot, self._session = robot, session
        self.outbox: Outbox[Transition] = Outbox(HELD_TRANSITIONS)
        self._publisher = node.create_publisher(Transition, "transitions", 200)
        node.create_subscription(TransitionAck, "transition_ack", self._on_ack, 10)
        node.create_timer(1.0, lambda: self._send_again(self.outbox.stalled()))

    def send(self, step: Step) -> None:
        message = to_message(step)
        message.sequence = self.outbox.sent
        self.outbox.add(message)
        message.oldest_sequence = self.outbox.oldest
        self._publisher.publish(message)

    def drain(self) -> None:
        """Waits until replay has it all, at most a few seconds."""
        deadline = time.monotonic() + _DRAIN_S
        while len(self.outbox) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _on_ack(self, message: TransitionAck) -> None:
        if (message.robot, message.session) == (self._robot, self._session):
            self._send_again(self.outbox.acknowledge(message.next_sequence, message.resend))

    def _send_again(self, messages: list[Transition]) -> None:
        for held in messages:
            held.oldest_sequence = self.outbox.oldest
            self._publisher.publish(held)
