"""Transitions on their way to replay: sent in order, held until they are acknowledged, sent again on request."""

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

# At the end, for the last acknowledgements: while they come, less than an actor has for its end.
_DRAIN_S, _LONGEST_DRAIN_S = 3.0, 8.0

# An array.array is the one type that a generated message takes over without looking at every element.
CLASSES = Classes(
    {f"jsac_ros/msg/{kind.__name__}": kind for kind in (Frame, Output, SourceStamp, Transition, Vector)}
    | {"builtin_interfaces/msg/Time": Time, "std_msgs/msg/Header": Header},
    lambda values: array.array(values.dtype.char, values.tobytes()),
)
to_time = CLASSES.time  # nanoseconds -> Time


class TransitionSender:
    """Sends the transitions of one session.

    `send` is one thread's, everything else happens in the executor.
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
        """Waits until replay has it all, or acknowledges nothing any more; then warns."""
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
        """Raises ValueError where it is not replay's, or of what was never sent."""
        if (message.robot, message.session) == (self._robot, self._session):
            self._key.check(message)
            self._publish(self.outbox.acknowledge(message.next_sequence, message.resend))

    def _publish(self, held: list[tuple[int, Transition]]) -> None:
        for sequence, message in held:
            with self._publishing:  # the other thread may send the same message again
                message.sequence, message.oldest_sequence = sequence, self.outbox.oldest
                self._key.sign(message)
                self._publisher.publish(message)
