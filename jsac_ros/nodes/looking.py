"""Looking: returns a camera's image or the joint positions on request. For `jsac-ros crop` and `jsac-ros teach`.

  python -m jsac_ros.nodes.looking '{"config": "a.yaml", "overrides": {}, "namespace": "/", "source": "joints", "wait_s": 5}'

Subscribes   one camera of the configuration, or the joint states
A process because only nodes import ROS. Every line on its standard input is a request, answered by a line of JSON. It ends at
the end of its input.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
import time
from typing import Any

import cv2
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data

from jsac_ros import dds
from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.control.images import to_rgb
from jsac_ros.parameters import load
from jsac_ros.rig import JOINTS, Rig
from jsac_ros.robots.joint_map import JointError, JointMap, Joints
from jsac_ros.ros_types import message_class


class Camera:
    """The newest image of a camera, uncropped and losslessly encoded."""

    def __init__(self, config: SystemConfig, name: str):
        self._config, self._newest = config.cameras[name], None

    def hear(self, message: Any) -> None:
        self._newest = time.monotonic(), message

    def told(self, since_s: float) -> dict[str, Any] | None:
        """The newest image; None if none has arrived since. Raises ValueError if it cannot be used."""
        if self._newest is None or self._newest[0] < since_s:
            return None
        image = to_rgb(self._newest[1], self._config.channels, self._config.depth_range_m)
        return {"png": base64.b64encode(cv2.imencode(".png", image[..., ::-1])[1]).decode()}

    def lacking(self) -> str:
        return ""


class JointStates:
    """The newest position of each joint of the robot."""

    def __init__(self, config: SystemConfig):
        self._map = JointMap(Rig(config).robot.names)
        self._newest: Joints | None = None
        self._problem = ""

    def hear(self, message: Any) -> None:
        try:
            self._newest = self._map(message.name, message.position, message.velocity, time.monotonic_ns()) or self._newest
            self._problem = ""
        except JointError as error:
            self._problem = str(error)

    def told(self, since_s: float) -> dict[str, Any] | None:
        """The position of all joints; None if some have not arrived since. Raises ValueError if they cannot be used."""
        if self._problem:
            raise ValueError(self._problem)
        if self._newest is None or self._newest.oldest_ns < since_s * 1e9:
            return None
        return {"position": self._newest.position.tolist()}

    def lacking(self) -> str:
        return self._map.lacking if len(self._map.missing) < len(self._map.names) else ""


def answer(heard: Camera | JointStates, topic: str, wait_s: float) -> dict[str, Any]:
    """The first value that arrives after this call."""
    began_s, problem = time.monotonic(), ""
    while time.monotonic() - began_s < wait_s:
        try:
            if told := heard.told(began_s):
                return told | {"topic": topic, "problem": "", "silent": False}
        except ValueError as error:
            problem = str(error)
            break
        time.sleep(0.005)
    problem = problem or heard.lacking()
    return {"topic": topic, "problem": problem or f"no message in {wait_s:g} s", "silent": not problem}


def main() -> int:
    asked = json.loads(sys.argv[1])
    try:
        config = load(asked["config"], asked["overrides"])
        source = Rig(config).sources[asked["source"]]
        heard = JointStates(config) if source.name == JOINTS else Camera(config, source.name)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    rclpy.init(args=["--ros-args", *dds.enclave("looking")])
    node = rclpy.create_node(f"looking_{os.getpid()}", namespace=asked["namespace"])
    node.create_subscription(message_class(source.type), source.topic, heard.hear, qos_profile_sensor_data)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=_spin, args=(executor,), name="hearing")
    thread.start()
    for _ in sys.stdin:
        print(json.dumps(answer(heard, node.resolve_topic_name(source.topic), asked["wait_s"])), flush=True)
    rclpy.try_shutdown()
    thread.join()
    return 0


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        pass


if __name__ == "__main__":
    sys.exit(main())
