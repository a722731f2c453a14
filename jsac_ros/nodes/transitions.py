"""Sends transitions to replay: in order, kept until they are acknowledged, resent on request."""

from __future__ import annotations

import array
import threading
import time

from builtin_interfaces.msg import Time
from rclpy.node import Node
from std_msgs.msg import Header

from jsac_ros import types
from jsac_ros.messages import Classes, to_message
from jsac_ros.msg import Frame, Output, SourceStamp, Transition, TransitionAck, Vector
from jsac_ros.replay.outbox import Outbox
from jsac_ros.run_key import RunKey

# Waits for the last acknowledgements: for the next one, and in total (less than an actor has to exit).
_DRAIN_S, _LONGEST_DRAIN_S = 3.0, 8.0

# array.array is the only type that a generated message accepts without checking every element.
CLASSES = Classes(
    {f"jsac_ros/msg/{kind.__name__}": kind for kind in (Frame, Output, SourceStamp, Transition, Vector)}
    | {"builtin_interfaces/msg/Time": Time, "std_msgs/msg/Header": Header},
    lambda values: array.array(values.dtype.char, values.tobytes()),
)
to_time = CLASSES.time  # nanoseconds -> Time


class TransitionSender:
    """Sends the transitions of one session.

    One thread calls `send` and `drain`; everything else runs in the executor.
    """

    def __init__(self, node: Node, robot: str, session: int, key: RunKey):
        self._node, self._robot, self._session, self._key = node, robot, session, key
        self.outbox: Outbox[Transition] = Outbox()
        self._publishing = threading.Lock()
        self._publisher = node.create_publisher(Transition, "transitions", 200)
        node.create_subscription(TransitionAck, "transition_ack", self._on_ack, 10)
        node.create_timer(1.0, lambda: self._publish(self.outbox.stalled()))

    def send(self, transition: types.Transition) -> None:
        self._publish(self.outbox.add(to_message(transition, CLASSES)))

    def drain(self) -> None:
        """Waits until replay has acknowledged everything; if it stops acknowledging, logs a warning and returns."""
        begun_s = heard_s = time.monotonic()
        least = len(self.outbox)
        while held := len(self.outbox):
            now_s = time.monotonic()
            if held < least:
                least, heard_s = held, now_s
            if now_s - heard_s > _DRAIN_S or now_s - begun_s > _LONGEST_DRAIN_S:
                self._node.get_logger().warning(f"{held} transitions were not acknowledged by replay and are lost")
                return
            time.sleep(0.02)

    def _on_ack(self, message: TransitionAck) -> None:
        """Raises ValueError if the message is not from replay, or acknowledges transitions that were never sent."""
        if (message.robot, message.session) == (self._robot, self._session):
            self._key.check(message)
            self._publish(self.outbox.acknowledge(message.next_sequence, message.resend))

    def _publish(self, held: list[tuple[int, Transition]]) -> None:
        for sequence, message in held:
            with self._publishing:  # the other thread may resend the same message
                message.sequence, message.oldest_sequence = sequence, self.outbox.oldest
                self._key.sign(message)
                self._publisher.publish(message)
