"""Listening: measures the messages on the topics of a configuration, and tests DDS with a loopback. For `jsac-ros doctor`.

  python -m jsac_ros.nodes.listening '{"config": "my_ur5.yaml", "overrides": {}, "namespace": "/", "seconds": 4}'

Subscribes   cameras, joint states and sensors of the configuration, and a test topic
Calls        get_parameters of the nodes that publish them, with an empty list, to measure their computers' clocks
Publishes    the test topic: one small message and one of a megabyte, with the transport of a system's processes
A process because only nodes import ROS, and because a middleware that hangs must not block the doctor. It prints JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from std_msgs.msg import UInt8MultiArray

from jsac_ros import dds, domain
from jsac_ros.config import CameraConfig, SystemConfig
from jsac_ros.control.arrivals import Arrivals
from jsac_ros.control.images import to_rgb
from jsac_ros.control.stamps import StampError, taken_ns
from jsac_ros.nodes.clocks import difference
from jsac_ros.parameters import load
from jsac_ros.rig import Rig, Source
from jsac_ros.ros_graph import UNNAMED, publishers_of
from jsac_ros.ros_types import message_class

SIZES = {"small": 100, "large": 1_000_000}  # bytes
LOOPBACK_S = 5.0
MOST_CLOCKS = 8  # nodes whose clock is measured, 2.7 s each at most
CLOCKS_S = 2.5  # after which no further clock is measured: the doctor has 20 s for everything


class Ear:
    """Measures one source: arrivals, ages and problems."""

    def __init__(self, source: Source, camera: CameraConfig | None):
        self._source, self._camera = source, camera
        self._arrived_s: list[float] = []
        self._ages_s: list[float] = []
        self._ahead_s = 0.0  # most by which a stamp was ahead of its arrival
        self._brightness: list[float] = []
        self._problem = ""
        self._arrivals, self._image_bytes = Arrivals(), 0

    def hear(self, message: Any, info: dict) -> None:
        self._arrived_s.append(time.monotonic())
        if self._camera:
            self._arrivals.take(info.get("publication_sequence_number"))
            self._image_bytes = len(message.data)
        now_ns, header = time.time_ns(), getattr(message, "header", None)
        stamp_ns = header.stamp.sec * 10**9 + header.stamp.nanosec if header else now_ns
        if self._source.stamps == "header":
            self._ahead_s = max(self._ahead_s, (stamp_ns - now_ns) * 1e-9)
        try:
            self._ages_s.append((now_ns - taken_ns(stamp_ns, now_ns, self._source.stamps)) * 1e-9)
            if self._camera and not self._camera.depth_range_m:
                self._brightness.append(float(to_rgb(message, self._camera.channels).mean()))
        except (StampError, ValueError) as error:
            self._problem = str(error)

    def told(self) -> dict[str, Any]:
        """The measurements as JSON values; None without messages."""
        count, ages = len(self._arrived_s), np.array(self._ages_s)
        gaps = np.diff(self._arrived_s)
        return {
            "topic": self._source.topic, "max_age_s": self._source.max_age_s, "is_camera": self._camera is not None,
            "count": count, "problem": self._problem, "rate_hz": float(1 / gaps.mean()) if count > 1 else None,
            "age_s": float(np.median(ages)) if len(ages) else None, "oldest_s": float(ages.max()) if len(ages) else None,
            "largest_gap_s": float(gaps.max()) if count > 1 else None, "ahead_s": self._ahead_s,
            "brightness": float(np.median(self._brightness)) if self._brightness else None,
            "arrivals": self._arrivals.counts, "image_bytes": self._image_bytes,
        }  # fmt: skip


def listen(config: SystemConfig, namespace: str, seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns {source: its measurements}, {publishing node: its sources and the offset of its clock}."""
    rig = Rig.of(config)
    ears = {name: Ear(source, config.cameras.get(name)) for name, source in rig.sources.items()}
    with _Node("doctor", namespace) as (node, executor):
        for name, source in rig.sources.items():
            node.create_subscription(message_class(source.type), source.topic, ears[name].hear, qos_profile_sensor_data)
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            executor.spin_once(timeout_sec=left_s)
        publishers: dict[str, list[str]] = {}
        for name, source in rig.sources.items():
            for other in set(publishers_of(node, node.resolve_topic_name(source.topic))) - {UNNAMED}:
                publishers.setdefault(other, []).append(name)
        clocks = clocks_of(node, publishers)
    return {name: ear.told() for name, ear in ears.items()}, clocks


def clocks_of(node: Any, publishers: dict[str, list[str]]) -> dict[str, Any]:
    """publishers: {node: sources that it publishes}. Nodes for which there was no time are left out."""
    told: dict[str, Any] = {}
    end_s = time.monotonic() + CLOCKS_S
    for other, names in sorted(publishers.items())[:MOST_CLOCKS]:
        if time.monotonic() < end_s:
            told[other] = _clock(node, other, names)
    return told


def _clock(node: Any, other: str, sources: list[str]) -> dict[str, Any]:
    """The clock offset of a node as JSON values; None if the node does not answer."""
    found = difference(node, other)
    return {
        "sources": sources, "ahead_s": found.ahead_s if found else None, "within_s": found.within_s if found else None,
    }  # fmt: skip


def loopback() -> dict[str, float | None]:
    """Seconds until a message of each size has arrived from one participant at another; None if it has not."""
    topic, took_s, began_s = f"doctor_{os.getpid()}", dict.fromkeys(SIZES), time.monotonic()
    names = {size: name for name, size in SIZES.items()}

    def hear(message: UInt8MultiArray) -> None:
        if (name := names.get(len(message.data))) is not None:  # else it is not ours
            took_s[name] = took_s[name] or time.monotonic() - began_s

    with _Node("doctor_hears", "/") as (hearing, executor), _Node("doctor_says", "/") as (saying, _):
        hearing.create_subscription(UInt8MultiArray, topic, hear, QoSProfile(depth=4))
        publisher = saying.create_publisher(UInt8MultiArray, topic, QoSProfile(depth=4))
        messages = {name: UInt8MultiArray(data=bytes(size)) for name, size in SIZES.items()}
        while time.monotonic() - began_s < LOOPBACK_S and None in took_s.values():
            for name in messages:
                if took_s[name] is None:
                    publisher.publish(messages[name])
            executor.spin_once(timeout_sec=0.1)
            executor.spin_once(timeout_sec=0.0)
    return took_s


class _Node:
    """A node with a separate context (a DDS participant), and its executor."""

    def __init__(self, name: str, namespace: str):
        self._context = rclpy.Context()
        arguments = ["--ros-args", *dds.enclave("listening")]
        rclpy.init(args=arguments, context=self._context, domain_id=domain.domain_id())
        self._node = rclpy.create_node(f"{name}_{os.getpid()}", namespace=namespace, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)

    def __enter__(self):
        return self._node, self._executor

    def __exit__(self, *_) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)


def main() -> int:
    asked = json.loads(sys.argv[1])
    told: dict[str, Any] = {"loopback": loopback(), "sources": {}, "clocks": {}}
    if asked["config"]:
        config = load(asked["config"], asked["overrides"])
        told["sources"], told["clocks"] = listen(config, asked["namespace"], asked["seconds"])
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
