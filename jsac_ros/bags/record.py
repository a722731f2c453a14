"""`jsac-ros record`: writes topics to a rosbag2 recording (MCAP).

Messages are taken raw from the middleware's queues, many at a time and without an executor, whose bookkeeping costs
more than the messages; each keeps the time at which it arrived.
"""

from __future__ import annotations

import argparse
import signal
import threading
import time
from pathlib import Path

import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription

from jsac_ros.bags.play import message_class
from jsac_ros.bags.reader import IMAGES, BagError
from jsac_ros.bags.writer import BagWriter, DiskFull
from jsac_ros.config import ConfigError
from jsac_ros.signals import on_signals

TAKE_PERIOD_S = 0.02
FLUSH_PERIOD_S = 1.0
DISCOVERY_PERIOD_S = 1.0
_QUEUE, _IMAGE_QUEUE = 5000, 120  # messages that may wait: ten seconds at 500 Hz, four at 30 Hz


class Recording:
    """Subscriptions of `node` whose messages go to `writer`. The node must not be in an executor."""

    def __init__(self, node: Node, writer: BagWriter):
        self._node, self._writer, self._logger = node, writer, node.get_logger()
        self._subscriptions: dict[str, tuple[Subscription, int]] = {}  # topic -> and its queue's length
        self._sequences: dict[str, int] = {}  # topic -> its publisher's number of the last message taken
        self._flushed_s = time.monotonic()
        self.lost = 0  # messages whose numbers were skipped: published, but never here
        self.overruns = 0  # times that a queue was found full: messages may be missing
        self.problem = ""  # why nothing more is written

    def subscribe(self, name: str, kind: type, type_name: str, qos: QoSProfile | None = None) -> None:
        """Records one topic. Without `qos` any publisher is heard; its queue length is set here either way."""
        depth = _IMAGE_QUEUE if type_name in IMAGES else _QUEUE
        qos = qos or QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)
        qos.depth = depth
        topic = self._node.resolve_topic_name(name)
        self._writer.add_topic(topic, type_name)
        subscription = self._node.create_subscription(kind, name, _never_called, qos, raw=True)
        self._subscriptions[topic] = (subscription, depth)

    def add(self, name: str, message: object, type_name: str, time_ns: int) -> None:
        """Writes a message that did not come over a topic."""
        topic = self._node.resolve_topic_name(name)
        if topic not in self._writer.topics:
            self._writer.add_topic(topic, type_name)
        self._write([(time_ns, topic, serialize_message(message))])

    def take(self) -> list[tuple[int, str, bytes]]:
        """Writes everything that waits, in order of arrival, and returns it: (time_ns, topic, CDR)."""
        taken = []
        for topic, (subscription, depth) in self._subscriptions.items():
            before = len(taken)
            with subscription.handle:
                while (got := subscription.handle.take_message(subscription.msg_type, True)) is not None:
                    data, info = got
                    self._count_lost(topic, info["publication_sequence_number"])
                    taken.append((info["received_timestamp"], topic, data))
            self.overruns += len(taken) - before >= depth
        taken.sort(key=lambda message: message[0])
        self._write(taken)
        return taken

    def _count_lost(self, topic: str, sequence: int) -> None:
        """A smaller number is a publisher that was started again; with several publishers numbers say nothing."""
        skipped = sequence - self._sequences.get(topic, sequence) - 1
        self._sequences[topic] = sequence
        if skipped > 0 and self._node.count_publishers(topic) == 1:
            self.lost += skipped
            self._logger.warning(f"{skipped} messages of {topic} did not arrive", throttle_duration_sec=1.0)

    def _write(self, messages: list[tuple[int, str, bytes]]) -> None:
        if self.problem:
            return
        try:
            for time_ns, topic, data in messages:
                self._writer.write(topic, time_ns, data)
            if time.monotonic() - self._flushed_s > FLUSH_PERIOD_S:
                self._flushed_s = time.monotonic()
                self._writer.flush()
        except DiskFull as error:
            self.problem = str(error)
            self._logger.error(self.problem)
            for subscription, _ in self._subscriptions.values():
                self._node.destroy_subscription(subscription)
            self._subscriptions.clear()

    def summary(self) -> str:
        words = f"{self._writer.count} messages, {self._writer.size_bytes >> 20} MiB in {self._writer.folder}"
        words += f"; {self.lost} messages did not arrive" if self.lost else ""
        return words + (f"; {self.overruns} times a queue was full, messages may be missing" if self.overruns else "")


def _never_called(_) -> None:
    """Messages are taken, not delivered."""


def heard_by_all(node: Node, topic: str) -> QoSProfile:
    """As reliable and as lasting as every publisher there is; a subscriber that asks for more would not hear it."""
    offered = [end.qos_profile for end in node.get_publishers_info_by_topic(topic)]
    reliable = bool(offered) and all(o.reliability == ReliabilityPolicy.RELIABLE for o in offered)
    latched = bool(offered) and all(o.durability == DurabilityPolicy.TRANSIENT_LOCAL for o in offered)
    return QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="of the recording; made here")
    parser.add_argument("--topics", nargs="+", metavar="T", help="only these; otherwise all that appear")
    parser.add_argument("--duration", type=float, default=0.0, metavar="S", help="end after so many seconds (0: never)")
    parser.add_argument("--split", type=float, default=1024.0, metavar="MB", help="size of one file")


def main(arguments: argparse.Namespace) -> int:
    if not arguments.split > 0 or arguments.duration < 0:
        raise ConfigError(
            f"--split is {arguments.split}, --duration {arguments.duration}; expected more than 0, at least 0"
        )
    stop = threading.Event()
    on_signals((signal.SIGINT, signal.SIGTERM), stop.set)
    writer = BagWriter(Path(arguments.folder), int(arguments.split * 1e6))
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("recorder", start_parameter_services=False)
    recording = Recording(node, writer)
    try:
        _record(node, recording, arguments, stop)
    finally:
        writer.close()
        node.destroy_node()
        rclpy.try_shutdown()
    print(recording.summary())
    return 1 if recording.problem else 0


def _record(node: Node, recording: Recording, arguments: argparse.Namespace, stop: threading.Event) -> None:
    """Takes until asked to stop; topics that appear later are recorded from then on."""
    seen: set[str] = set()
    began_s, looked_s = time.monotonic(), -DISCOVERY_PERIOD_S
    while not stop.is_set() and not recording.problem:
        now_s = time.monotonic()
        if arguments.duration and now_s - began_s > arguments.duration:
            return
        if now_s - looked_s > DISCOVERY_PERIOD_S:
            looked_s = now_s
            for topic, (type_name, *_) in node.get_topic_names_and_types():
                if topic not in seen and (not arguments.topics or topic in arguments.topics):
                    seen.add(topic)
                    _add(node, recording, topic, type_name)
        recording.take()
        stop.wait(TAKE_PERIOD_S)
    recording.take()


def _add(node: Node, recording: Recording, topic: str, type_name: str) -> None:
    kind = message_class(type_name)
    if kind is None:
        node.get_logger().warning(f"{topic} is not recorded: type {type_name} is not installed")
        return
    try:
        recording.subscribe(topic, kind, type_name, heard_by_all(node, topic))
    except BagError as error:
        node.get_logger().warning(f"{topic} is not recorded: {error}")
