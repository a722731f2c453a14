"""Writes topics to a rosbag2 recording (MCAP).

  jsac-ros record recording
  jsac-ros record recording --topics /camera/image_raw /joint_states --duration 60

Messages are taken raw from the middleware's queues, many at a time and without an executor, which would cost more than the
messages; each keeps its time of arrival.
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
RESUME_PERIOD_S = 5.0  # between two looks for room on a full disk
DISCOVERY_PERIOD_S = 0.5
OVERLAP_S = 1.0  # that a subscription is kept after another one has taken its place
_QUEUE, _IMAGE_QUEUE = 5000, 120  # messages that may wait: ten seconds at 500 Hz, four at 30 Hz
_RECENT = 1000  # messages of a topic that are known again when a second subscription brings them

# By the steady clock: by rclpy's own nothing is logged while a clock that was set back catches up.
_EACH_SECOND = {"throttle_duration_sec": 1.0, "throttle_time_source_type": Clock(clock_type=ClockType.STEADY_TIME)}

Quality = tuple[ReliabilityPolicy, DurabilityPolicy]
ANY: Quality = (ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)  # hears every publisher, but no history
RELIABLE: Quality = (ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)
LATCHED: Quality = (ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)


def qualities(offered: Sequence[Quality]) -> set[Quality]:
    """The subscriptions that hear every publisher: as reliably as all of them allow, and what latched ones said before.

    A subscription that asks for more than a publisher offers does not hear it.
    """
    latched = [quality == LATCHED for quality in offered]
    if offered and all(latched):
        return {LATCHED}
    reliable = offered and all(reliability == ReliabilityPolicy.RELIABLE for reliability, _ in offered)
    return {RELIABLE if reliable else ANY} | ({LATCHED} if any(latched) else set())


class _Topic:
    """The subscriptions of one topic, and what they brought."""

    def __init__(self, node: Node, name: str, type_name: str, kind: type):
        self._node, self.name, self.type, self._kind = node, name, type_name, kind
        self.depth = _IMAGE_QUEUE if type_name in IMAGES else _QUEUE
        self._subscriptions: dict[Quality, Subscription] = {}
        self._ends_s: dict[Quality, float] = {}  # of those whose place another one has taken
        self._recent: dict[tuple[int, int], None] = {}
        self._newest = (0, 0)  # source time and number of the newest message
        self.adapt()

    def adapt(self) -> None:
        """To the publishers there are now; without any, to whichever comes first."""
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
        """What waits, each message once; how many were skipped; whether a queue was full."""
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
        """A smaller number is a publisher that was started again, an older message one that was latched."""
        (newest_ns, newest), self._newest = self._newest, max(self._newest, message)
        return max(message[1] - newest - 1, 0) if newest and message[0] > newest_ns else 0

    def close(self) -> None:
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()


class Recording:
    """Topics of `node` whose messages go to `writer`. The node must not be in an executor."""

    def __init__(self, node: Node, writer: BagWriter):
        self._node, self._writer, self._logger = node, writer, node.get_logger()
        self._topics: dict[str, _Topic] = {}
        self._flushed_s = self._adapted_s = time.monotonic()
        self.lost = 0  # messages whose numbers were skipped: published, but never here
        self.overruns = 0  # times that a queue was found full: messages may be missing
        self.problem = ""  # why nothing is written at present
        self._unwritten_s = 0.0  # that are missing
        self._full_s = self._looked_s = 0.0  # when the disk became full, and when it was looked for room last

    def subscribe(self, name: str, type_name: str) -> None:
        """Records one topic of whichever publishers. Raises ConfigError where its type is not installed."""
        topic, kind = self._node.resolve_topic_name(name), message_class(type_name, name)
        self._writer.add_topic(topic, type_name)
        self._topics[topic] = _Topic(self._node, topic, type_name, kind)

    def add(self, name: str, message: object, type_name: str, time_ns: int) -> None:
        """Writes a message that did not come over a topic."""
        topic = self._node.resolve_topic_name(name)
        if topic not in self._writer.topics:
            self._writer.add_topic(topic, type_name)
        self._write([Record(topic, time_ns, type_name, serialize_message(message), time_ns)])

    def take(self) -> list[Record]:
        """Writes everything that waits, in order of arrival, and returns it."""
        taken: list[Record] = []
        for topic in self._topics.values():
            messages, skipped, full = topic.take()
            taken += messages
            self.overruns += full
            # With several publishers numbers say nothing.
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
        self._logger.warning(f"there is room again: recording goes on; {gap_s:.1f} s are missing")
        return True

    @property
    def unwritten_s(self) -> float:
        """For how long nothing was written because the disk was full."""
        return self._unwritten_s + (time.monotonic() - self._full_s if self.problem else 0.0)

    def close(self) -> None:
        """Closes the writer, too."""
        try:
            self._writer.close()
        except DiskFull as error:
            self._stopped(error)

    def summary(self) -> str:
        words = f"{self._writer.count} messages, {self._writer.size_bytes >> 20} MiB in {self._writer.folder}"
        words += f"; {self.lost} messages did not arrive" if self.lost else ""
        words += f"; {self.unwritten_s:.1f} s are missing: the disk was full" if self.unwritten_s else ""
        return words + (f"; {self.overruns} times a queue was full, messages may be missing" if self.overruns else "")


def _never_called(_) -> None:
    """Messages are taken, not delivered."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="of the recording; made here")
    parser.add_argument("--topics", nargs="+", metavar="T", help="only these; otherwise all that appear")
    parser.add_argument("--duration", type=float, default=0.0, metavar="S", help="end after so many seconds (0: never)")
    parser.add_argument("--split", type=float, default=1024.0, metavar="MB", help="size of one file")


def main(arguments: argparse.Namespace) -> int:
    if not arguments.split > 0 or arguments.duration < 0:
        raise ConfigError(f"--split is {arguments.split}, --duration {arguments.duration}; expected more than 0, at least 0")
    stop = threading.Event()
    on_signals(endings(), lambda _: stop.set())
    domain_id = domain.domain_id()  # before there is a folder
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
    """Takes until asked to stop; topics that appear later are recorded from then on."""
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
            raise ConfigError(f"it is published as {type_name}, too")
        recording.subscribe(topic, type_name)
    except ConfigError as error:
        node.get_logger().warning(f"{topic} is not recorded: {error}")
