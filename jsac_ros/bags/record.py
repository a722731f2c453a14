"""Writes topics to a rosbag2 recording (MCAP).

  jsac-ros record recording
  jsac-ros record recording --topics /camera/image_raw /joint_states --duration 60

Serialized messages are taken from the middleware's queues in batches, without an executor, whose overhead would be larger
than the work itself. Each message keeps its time of arrival.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription

from jsac_ros import domain
from jsac_ros.bags.reader import IMAGES
from jsac_ros.bags.recorded_file import Record
from jsac_ros.bags.writer import BagWriter, DiskFull
from jsac_ros.config import ConfigError
from jsac_ros.ros_types import message_class
from jsac_ros.signals import endings, on_signals

TAKE_PERIOD_S = 0.02
FLUSH_PERIOD_S = 1.0
RESUME_PERIOD_S = 5.0  # between checks for free space on a full disk
DISCOVERY_PERIOD_S = 0.5
OVERLAP_S = 1.0  # for which a replaced subscription is kept
_QUEUE, _IMAGE_QUEUE = 5000, 120  # queued messages: ten seconds at 500 Hz, four at 30 Hz
_RECENT = 1000  # messages per topic that are recognised as duplicates when a second subscription delivers them

# Throttled by the steady clock: with rclpy's default clock nothing is logged after the wall clock is set back.
_EACH_SECOND = {"throttle_duration_sec": 1.0, "throttle_time_source_type": Clock(clock_type=ClockType.STEADY_TIME)}

Quality = tuple[ReliabilityPolicy, DurabilityPolicy]
ANY: Quality = (ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)  # matches every publisher, without history
RELIABLE: Quality = (ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)
LATCHED: Quality = (ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)


def qualities(offered: Sequence[Quality]) -> set[Quality]:
    """The QoS of the subscriptions that match every publisher, reliable if all are, and receive latched messages.

    A subscription that requests more than a publisher offers does not match it.
    """
    latched = [quality == LATCHED for quality in offered]
    if offered and all(latched):
        return {LATCHED}
    reliable = offered and all(reliability == ReliabilityPolicy.RELIABLE for reliability, _ in offered)
    return {RELIABLE if reliable else ANY} | ({LATCHED} if any(latched) else set())


class _Topic:
    """The subscriptions of one topic."""

    def __init__(self, node: Node, name: str, type_name: str, kind: type):
        self._node, self.name, self.type, self._kind = node, name, type_name, kind
        self.depth = _IMAGE_QUEUE if type_name in IMAGES else _QUEUE
        self._subscriptions: dict[Quality, Subscription] = {}
        self._ends_s: dict[Quality, float] = {}  # when to destroy replaced subscriptions
        self._recent: dict[tuple[int, int], None] = {}
        self._newest = (0, 0)  # source time and number of the newest message
        self.adapt()

    def adapt(self) -> None:
        """Matches the subscriptions to the present publishers; without any, subscribes so that the first one matches."""
        ends = self._node.get_publishers_info_by_topic(self.name)
        offered = [(end.qos_profile.reliability, end.qos_profile.durability) for end in ends]
        if not offered and self._subscriptions:
            return
        wanted, now_s = qualities(offered), time.monotonic()
        for quality in wanted - self._subscriptions.keys():
            reliability, durability = quality
            profile = QoSProfile(depth=self.depth, reliability=reliability, durability=durability)
            self._subscriptions[quality] = self._node.create_subscription(
                self._kind, self.name, _never_called, profile, raw=True
            )
        for quality in list(self._subscriptions):
            if quality in wanted:
                self._ends_s.pop(quality, None)
            elif self._ends_s.setdefault(quality, now_s + OVERLAP_S) < now_s:
                self._node.destroy_subscription(self._subscriptions.pop(quality))
                del self._ends_s[quality]

    def take(self) -> tuple[list[Record], int, bool]:
        """Queued messages without duplicates; the number of lost messages; whether a queue was full."""
        taken, skipped, full = [], 0, False
        for subscription in self._subscriptions.values():
            count = 0
            with subscription.handle:
                while (got := subscription.handle.take_message(subscription.msg_type, True)) is not None:
                    data, info = got
                    count += 1
                    published_ns, arrived_ns = info["source_timestamp"], info["received_timestamp"]
                    message = (published_ns, info["publication_sequence_number"])
                    if message not in self._recent:
                        self._remember(message)
                        skipped += self._skipped_before(message)
                        taken.append(Record(self.name, arrived_ns, self.type, data, published_ns))
            full |= count >= self.depth
        return taken, skipped, full

    def _remember(self, message: tuple[int, int]) -> None:
        self._recent[message] = None
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]

    def _skipped_before(self, message: tuple[int, int]) -> int:
        """Messages lost before this one. A smaller number means a restarted publisher, an older time a latched message."""
        (newest_ns, newest), self._newest = self._newest, max(self._newest, message)
        return max(message[1] - newest - 1, 0) if newest and message[0] > newest_ns else 0

    def close(self) -> None:
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()


class Recording:
    """Records topics with `node` to `writer`. The node must not be in an executor."""

    def __init__(self, node: Node, writer: BagWriter):
        self._node, self._writer, self._logger = node, writer, node.get_logger()
        self._topics: dict[str, _Topic] = {}
        self._flushed_s = self._adapted_s = time.monotonic()
        self.lost = 0  # messages that were published but did not arrive, by their sequence numbers
        self.overruns = 0  # how often a queue was full: messages may be missing
        self.problem = ""  # why nothing is written at present
        self._unwritten_s = 0.0  # seconds missing from the recording
        self._full_s = self._looked_s = 0.0  # when the disk became full, and when free space was last checked

    def subscribe(self, name: str, type_name: str) -> None:
        """Records one topic from all of its publishers. Raises ConfigError if its type is not installed."""
        topic, kind = self._node.resolve_topic_name(name), message_class(type_name, name)
        self._writer.add_topic(topic, type_name)
        self._topics[topic] = _Topic(self._node, topic, type_name, kind)

    def add(self, name: str, message: object, type_name: str, time_ns: int) -> None:
        """Writes a message that was not received on a topic."""
        topic = self._node.resolve_topic_name(name)
        if topic not in self._writer.topics:
            self._writer.add_topic(topic, type_name)
        self._write([Record(topic, time_ns, type_name, serialize_message(message), time_ns)])

    def take(self) -> list[Record]:
        """Writes all queued messages in order of arrival and returns them."""
        taken: list[Record] = []
        for topic in self._topics.values():
            messages, skipped, full = topic.take()
            taken += messages
            self.overruns += full
            # With several publishers gaps in the numbers mean nothing.
            if skipped and self._node.count_publishers(topic.name) == 1:
                self.lost += skipped
                self._logger.warning(f"{skipped} messages of {topic.name} did not arrive", **_EACH_SECOND)
        taken.sort(key=lambda record: record.time_ns)
        self._write(taken)
        if time.monotonic() - self._adapted_s > DISCOVERY_PERIOD_S:
            self._adapted_s = time.monotonic()
            for topic in self._topics.values():
                topic.adapt()
        return taken

    def _write(self, messages: list[Record]) -> None:
        if self.problem and not self._resumed():
            return
        try:
            for record in messages:
                self._writer.write(record.topic, record.time_ns, record.data, record.published_ns)
            if time.monotonic() - self._flushed_s > FLUSH_PERIOD_S:
                self._flushed_s = time.monotonic()
                self._writer.flush()
        except DiskFull as error:
            self._stopped(error)

    def _stopped(self, error: DiskFull) -> None:
        self.problem = error.strerror
        self._full_s = self._looked_s = time.monotonic()
        self._logger.error(self.problem)

    def _resumed(self) -> bool:
        """Whether there is room again."""
        now_s = time.monotonic()
        if now_s - self._looked_s < RESUME_PERIOD_S:
            return False
        self._looked_s = now_s
        if not self._writer.resume():
            return False
        self._unwritten_s, self.problem, gap_s = self.unwritten_s, "", now_s - self._full_s
        self._logger.warning(f"the disk has room again: recording continues; {gap_s:.1f} s are missing")
        return True

    @property
    def unwritten_s(self) -> float:
        """Seconds during which the disk was full and nothing was written."""
        return self._unwritten_s + (time.monotonic() - self._full_s if self.problem else 0.0)

    def close(self) -> None:
        """Closes the writer."""
        try:
            self._writer.close()
        except DiskFull as error:
            self._stopped(error)

    def summary(self) -> str:
        words = f"{self._writer.count} messages, {self._writer.size_bytes >> 20} MiB in {self._writer.folder}"
        words += f"; {self.lost} messages did not arrive" if self.lost else ""
        words += f"; {self.unwritten_s:.1f} s are missing: the disk was full" if self.unwritten_s else ""
        return words + (f"; a queue was full {self.overruns} times: messages may be missing" if self.overruns else "")


def _never_called(_) -> None:
    """A callback that no executor calls: messages are taken from the queue."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="a new folder for the recording")
    parser.add_argument("--topics", nargs="+", metavar="T", help="record only these topics (default: all)")
    parser.add_argument("--duration", type=float, default=0.0, metavar="S", help="end after this many seconds (0: never)")
    parser.add_argument("--split", type=float, default=1024.0, metavar="MB", help="largest size of a file (default 1024)")


def main(arguments: argparse.Namespace) -> int:
    if not arguments.split > 0 or arguments.duration < 0:
        raise ConfigError(f"--split is {arguments.split}, --duration {arguments.duration}; expected more than 0, at least 0")
    stop = threading.Event()
    on_signals(endings(), lambda _: stop.set())
    domain_id = domain.domain_id()  # may raise: before the folder is created
    writer = BagWriter(Path(arguments.folder), int(arguments.split * 1e6))
    rclpy.init(args=[], domain_id=domain_id, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("recorder", start_parameter_services=False)
    recording = Recording(node, writer)
    try:
        _record(node, recording, arguments, stop)
    finally:
        recording.close()
        node.destroy_node()
        rclpy.try_shutdown()
    print(recording.summary())
    return 1 if recording.unwritten_s else 0


def _record(node: Node, recording: Recording, arguments: argparse.Namespace, stop: threading.Event) -> None:
    """Records until stopped; topics that appear later are recorded from then on."""
    chosen = {node.resolve_topic_name(name) for name in arguments.topics or ()}
    seen: set[tuple[str, str]] = set()
    began_s, looked_s = time.monotonic(), -DISCOVERY_PERIOD_S
    while not stop.is_set():
        now_s = time.monotonic()
        if arguments.duration and now_s - began_s > arguments.duration:
            return
        if now_s - looked_s > DISCOVERY_PERIOD_S:
            looked_s = now_s
            for topic, types in node.get_topic_names_and_types():
                for type_name in types:
                    if (topic, type_name) not in seen and (not chosen or topic in chosen):
                        _add(node, recording, topic, type_name, first=all(name != topic for name, _ in seen))
                        seen.add((topic, type_name))
        recording.take()
        stop.wait(TAKE_PERIOD_S)
    recording.take()


def _add(node: Node, recording: Recording, topic: str, type_name: str, first: bool) -> None:
    try:
        if not first:
            raise ConfigError(f"a publisher uses another type, {type_name}")
        recording.subscribe(topic, type_name)
    except ConfigError as error:
        node.get_logger().warning(f"{topic} is not recorded: {error}")
