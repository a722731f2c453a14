"""Publishes a recording with its original timing.

  jsac-ros play runs/NAME/bag --rate 2
  jsac-ros play recording --live --clock --loop

Messages are published unchanged, under `recorded/`. With `--live` sensor topics keep their names, so that nodes can use the
recording instead of a robot; command topics never keep theirs, so that no robot moves. The player ends with an error if
another node publishes one of its topics, at the start or later. Messages of types that are not installed are skipped.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import rclpy
from builtin_interfaces.msg import Time
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock

from jsac_ros import domain
from jsac_ros.bags.reader import IMAGES, Bag, BagError, Record, Topic
from jsac_ros.config import ConfigError
from jsac_ros.ros_graph import UNNAMED, publishers_of
from jsac_ros.ros_types import message_class
from jsac_ros.signals import endings, on_signals

# An image is published this much after joint states and commands of the same time, as DDS keeps no order between topics.
FRAME_LAG_S = 0.003
CLOCK_PERIOD_S = 0.025
QUEUE = 200  # messages that a slow subscriber may lag behind
ACK_TIMEOUT_S = 5.0
SETTLE_S = 1.0  # a publisher sees a match before the subscriber does; best-effort messages in between are lost
LOOK_PERIOD_S = 0.2  # of the check for other publishers of the topics
NAMES_S = 1.0  # until the name of a newly discovered publisher is known
_SENSORS = {
    "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo", "sensor_msgs/msg/Imu",
    "sensor_msgs/msg/LaserScan", "sensor_msgs/msg/PointCloud2", "sensor_msgs/msg/BatteryState",
    "sensor_msgs/msg/Range", "nav_msgs/msg/Odometry", "tf2_msgs/msg/TFMessage",
    "diagnostic_msgs/msg/DiagnosticArray",
}  # fmt: skip


def published_name(topic: Topic, live: bool) -> str:
    """The name that a topic is published under. A JointState may be a command unless its topic ends with `joint_states`."""
    is_joint_states = topic.type == "sensor_msgs/msg/JointState" and topic.name.endswith("joint_states")
    return topic.name if live and (topic.type in _SENSORS or is_joint_states) else f"recorded{topic.name}"


class Played(NamedTuple):
    """A recorded topic to play."""

    topic: str
    type: str
    count: int
    name: str  # to publish it under


class Playback:
    """Publishes records from a node."""

    def __init__(self, node: Node, topics: Iterable[Played], rate: float = 1.0, clock: bool = False):
        self._node, self._rate, self._logger = node, rate, node.get_logger()
        self._publishers = {}
        self.skipped: dict[str, int] = {}  # messages of types that are not installed, by type
        for topic, type_name, count, name in topics:
            try:
                kind = message_class(type_name)
            except ConfigError:
                self.skipped[type_name] = self.skipped.get(type_name, 0) + count
                continue
            if count:
                self._publishers[topic] = node.create_publisher(kind, name, QoSProfile(depth=QUEUE))
        self._clock = node.create_publisher(Clock, "/clock", 10) if clock else None
        self._looked_s = 0.0
        self.published = 0
        self.late_ms = 0.0  # worst
        for kind, count in self.skipped.items():
            self._logger.warning(f"{count} messages of type {kind} skipped: the type is not installed")

    @property
    def topics(self) -> tuple[str, ...]:
        """The recorded topics that are published."""
        return tuple(self._publishers)

    def wait_for(self, ready: Callable[[str], bool], stop: threading.Event, what: str) -> None:
        """Blocks until `ready(topic)` is true for every published topic; logs the topics that it waits for."""
        said = time.monotonic()
        while not stop.is_set():
            waiting = [
                publisher.topic_name
                for publisher in self._publishers.values()
                if not (publisher.get_subscription_count() and ready(publisher.topic_name))
            ]
            if not waiting:
                stop.wait(SETTLE_S)
                return
            if time.monotonic() - said > 5.0:
                self._logger.info(f"waiting for {what} on {', '.join(waiting)}")
                said = time.monotonic()
            stop.wait(0.05)

    def play(self, records: Iterable[Record], stop: threading.Event, first_ns: int) -> None:
        """Plays once, from `first_ns` on; returns when all subscribers have acknowledged, or when `stop` is set.

        Raises BagError if another node publishes one of the topics, as subscribers could not tell the sources apart.
        """
        self._refuse_others()
        began_s = time.monotonic()
        for record in records:
            due_s = began_s + (record.time_ns - first_ns) * 1e-9 / self._rate
            if record.type in IMAGES:
                due_s += FRAME_LAG_S
            if not self._wait_until(due_s, record.time_ns, stop):
                return
            if time.monotonic() - self._looked_s > LOOK_PERIOD_S:
                self._refuse_others()
            self._publishers[record.topic].publish(record.data)
            self.published += 1
            self.late_ms = max(self.late_ms, (time.monotonic() - due_s) * 1e3)
        for publisher in self._publishers.values():
            publisher.wait_for_all_acked(Duration(seconds=ACK_TIMEOUT_S))

    def _refuse_others(self) -> None:
        self._looked_s = time.monotonic()
        for publisher in (*self._publishers.values(), *([self._clock] if self._clock else [])):
            name = publisher.topic_name
            if self._node.count_publishers(name) > 1:
                others = ", ".join(self._others_on(name)) or "another node"
                raise BagError(f"{name} is also published by {others}; expected no other publisher of the topics played")

    def _others_on(self, topic: str) -> list[str]:
        """Names of the other publishers; waits up to NAMES_S for them."""
        until_s = time.monotonic() + NAMES_S
        while UNNAMED in (names := publishers_of(self._node, topic)) and time.monotonic() < until_s:
            time.sleep(0.05)
        if (ours := self._node.get_fully_qualified_name()) in names:
            names.remove(ours)  # removes one entry: a second one is another node with our name
        return names

    def _wait_until(self, due_s: float, time_ns: int, stop: threading.Event) -> bool:
        """Waits and publishes /clock meanwhile. False if `stop` is set first."""
        while not stop.is_set():
            left_s = due_s - time.monotonic()
            if self._clock is not None:
                now_ns = time_ns - int(max(left_s, 0.0) * self._rate * 1e9)
                self._clock.publish(Clock(clock=Time(sec=now_ns // 10**9, nanosec=now_ns % 10**9)))
            if left_s <= 0:
                return True
            stop.wait(left_s if self._clock is None else min(left_s, CLOCK_PERIOD_S))
        return False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", help="a rosbag2 folder, or one .mcap or .db3 file")
    parser.add_argument("--rate", type=float, default=1.0, metavar="R", help="playback speed, as a factor (default 1)")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="start this many seconds into the recording")
    parser.add_argument("--loop", action="store_true", help="repeat until interrupted")
    parser.add_argument("--live", action="store_true", help="publish sensor topics under their own names, not under recorded/")
    parser.add_argument("--clock", action="store_true", help="publish /clock for nodes with use_sim_time")
    parser.add_argument("--topics", nargs="+", metavar="T", help="play only these topics")
    parser.add_argument("--wait", type=float, default=1.0, metavar="S", help="wait this long for subscribers before the start")


def main(arguments: argparse.Namespace) -> int:
    if not arguments.rate > 0:
        raise ConfigError(f"--rate is {arguments.rate}; expected more than 0")
    stop = threading.Event()
    on_signals(endings(), lambda _: stop.set())
    with Bag(arguments.bag) as bag:
        if not 0 <= arguments.start <= bag.duration_s:
            raise ConfigError(f"--start is {arguments.start}; the recording is {bag.duration_s:.1f} s long")
        topics = [bag.topic(name) for name in arguments.topics] if arguments.topics else bag.topics.values()
        rclpy.init(args=[], domain_id=domain.domain_id(), signal_handler_options=SignalHandlerOptions.NO)
        node = rclpy.create_node("player")
        try:
            played = [Played(*topic, published_name(topic, arguments.live)) for topic in topics]
            playback = Playback(node, played, arguments.rate, arguments.clock)
            stop.wait(arguments.wait)
            first_ns = bag.start_ns + int(arguments.start * 1e9)
            while not stop.is_set():
                playback.play(bag.messages(playback.topics, first_ns), stop, first_ns)
                if not arguments.loop:
                    break
        finally:
            node.destroy_node()
            rclpy.try_shutdown()
    skipped = sum(playback.skipped.values())
    print(f"{playback.published} messages published, {skipped} skipped, at most {playback.late_ms:.1f} ms late")
    for line in bag.warnings:
        print(f"warning: {line}")
    if not playback.published and not stop.is_set():
        raise BagError(f"bag {bag.path}: no message could be published")
    return 0
