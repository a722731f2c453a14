"""Over real DDS: a recording is played with its own spacing, and what is said is recorded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import rclpy
from bag_cases import START_NS, Recorder, tiny_config
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray

from jsac_ros.bags import record as record_module
from jsac_ros.bags.play import published_name
from jsac_ros.bags.reader import Bag, Topic
from jsac_ros.bags.writer import BagWriter
from jsac_ros.config import dump

DOMAIN = 190 + os.getpid() % 20
ENVIRONMENT = os.environ | {"ROS_DOMAIN_ID": str(DOMAIN), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
FRAME = np.arange(31 * 35 * 3, dtype=np.uint32).astype(np.uint8).reshape(31, 35, 3)
COUNT = 30
pytestmark = pytest.mark.timeout(240)


def record(folder) -> None:
    recorder = Recorder(folder)
    for k in range(COUNT):
        time_ns = START_NS + k * 33_333_333
        recorder.joints(time_ns, ("a", "b"), (0.1 * k, 0.0))
        recorder.floats("/commands", time_ns, (float(k), 0.0))
        recorder.image(time_ns, FRAME)
    recorder.writer.close()


def until(condition, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Listener:
    """A node in a thread; `heard` holds (topic, message, steady time) in order of arrival."""

    def __init__(self, name: str, **topics):
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node(name, context=self.context)
        self.heard: list[tuple[str, object, float]] = []
        for topic, (kind, qos) in topics.items():
            hear = lambda message, topic=topic: self.heard.append((topic, message, time.monotonic()))  # noqa: E731
            self.node.create_subscription(kind, topic, hear, qos)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self._stop = threading.Event()
        self.thread = threading.Thread(target=self._spin)
        self.thread.start()

    def _spin(self) -> None:
        while not self._stop.is_set():
            self.executor.spin_once(timeout_sec=0.05)

    def messages(self, topic: str) -> list:
        return [message for heard, message, _ in self.heard if heard == topic]

    def close(self) -> None:
        self._stop.set()
        self.thread.join()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def actor():
    """Stands in for the actor: the player waits for a node of this name."""
    listener = Listener(
        "actor",
        joint_states=(JointState, qos_profile_sensor_data),
        recorded_action=(Float64MultiArray, 100),
        commands=(Float64MultiArray, 100),
        **{"camera/image_raw": (Image, QoSProfile(depth=100))},
    )
    yield listener
    listener.close()


def start(*command: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", *command], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)


def player_config(folder, **overrides):
    record(folder / "bag")
    values = {
        "robot__model": "joints", "robot__joints": ("a", "b"), "robot__driver": "bag", "robot__interface": "none",
        "task__name": "shadow", "task__controlled_joints": 2, "task__home": (0.0, 0.0),
        "bag__path": str(folder / "bag"), "bag__action_topic": "/commands",
    }  # fmt: skip
    dump(tiny_config(**values | overrides), folder / "config.yaml")
    return str(folder / "config.yaml")


def test_the_player_says_everything_in_order_and_commands_nobody(actor, tmp_path):
    player = start("jsac_ros.nodes.player", "--ros-args", "--params-file", player_config(tmp_path))
    assert player.wait(60) == 0, player.stderr.read()
    images, joints = actor.messages("camera/image_raw"), actor.messages("joint_states")
    assert len(images) == len(joints) == len(actor.messages("recorded_action")) == COUNT
    assert actor.messages("commands") == []
    assert all(bytes(image.data) == FRAME.tobytes() for image in images)
    assert [m.data[0] for m in actor.messages("recorded_action")] == [float(k) for k in range(COUNT)]
    assert [m.header.stamp.nanosec for m in joints] == [k * 33_333_333 % 10**9 for k in range(COUNT)]
    arrived = [at for topic, _, at in actor.heard if topic == "joint_states"]
    assert arrived[-1] - arrived[0] > 0.8 * COUNT / 30  # with its own spacing, not at once


def test_the_player_refuses_a_recording_without_the_topic(actor, tmp_path):
    config = player_config(tmp_path, camera__topic="eye")
    player = start("jsac_ros.nodes.player", "--ros-args", "--params-file", config)
    assert player.wait(60) == 2
    assert "topic /eye is missing; it has" in player.stderr.read()


def test_play_sends_commands_where_no_robot_listens(actor, tmp_path):
    record(tmp_path / "bag")
    command = start("jsac_ros", "play", str(tmp_path / "bag"), "--rate", "2", "--wait", "3")
    assert command.wait(60) == 0, command.stderr.read()
    # It begins when the time to wait is over: how much is heard by then is up to discovery.
    assert 0 < len(actor.messages("camera/image_raw")) <= COUNT and actor.messages("commands") == []
    assert published_name(Topic("/commands", "std_msgs/msg/Float64MultiArray", 1)) == "recorded/commands"
    assert published_name(Topic("/servo/in", "sensor_msgs/msg/JointState", 1)) == "recorded/servo/in"
    assert published_name(Topic("/joint_states", "sensor_msgs/msg/JointState", 1)) == "/joint_states"


def test_what_is_said_is_recorded_until_the_end(tmp_path):
    """Every message of a talker that speaks while the recorder listens, then SIGINT."""
    recorder = start("jsac_ros", "record", str(tmp_path / "bag"), "--topics", "/joint_states", "/camera/image_raw")
    talker = Listener("talker")
    try:
        joints = talker.node.create_publisher(JointState, "joint_states", 500)
        images = talker.node.create_publisher(Image, "camera/image_raw", 50)
        deadline = time.monotonic() + 60
        while not (joints.get_subscription_count() and images.get_subscription_count()):
            assert time.monotonic() < deadline and recorder.poll() is None
            time.sleep(0.05)
        time.sleep(0.5)
        image = Image(height=31, width=35, encoding="rgb8", step=105, data=FRAME.tobytes())
        for k in range(300):
            joints.publish(JointState(name=["a"], position=[float(k)]))
            if k % 10 == 0:
                images.publish(image)
            time.sleep(0.002)
        time.sleep(1.0)
    finally:
        talker.close()
        recorder.send_signal(signal.SIGINT)
    assert recorder.wait(30) == 0, recorder.stderr.read()
    with Bag(tmp_path / "bag") as bag:
        assert not bag.damage
        said = [bag.decode(m).position[0] for m in bag.messages(["/joint_states"])]
        assert said == [float(k) for k in range(300)]
        assert [bytes(bag.decode(m).data) for m in bag.messages(["/camera/image_raw"])] == [FRAME.tobytes()] * 30


def test_a_killed_recorder_leaves_what_it_wrote(tmp_path):
    recorder = start("jsac_ros", "record", str(tmp_path / "bag"), "--topics", "/joint_states")
    talker = Listener("talker")
    try:
        joints = talker.node.create_publisher(JointState, "joint_states", 500)
        deadline = time.monotonic() + 60
        while not joints.get_subscription_count():
            assert time.monotonic() < deadline and recorder.poll() is None
            time.sleep(0.05)
        names = [f"joint_{i}" for i in range(100)]
        for k in range(400):  # several chunks
            joints.publish(JointState(name=names, position=[float(k)] * 100))
            time.sleep(0.002)
        time.sleep(3.0)
    finally:
        talker.close()
        recorder.kill()
        recorder.wait()
    with Bag(tmp_path / "bag") as bag:
        said = [bag.decode(m).position[0] for m in bag.messages()]
        assert bag.damage
    assert len(said) > 200 and said == [float(k) for k in range(int(said[0]), int(said[0]) + len(said))]


def test_what_did_not_arrive_is_counted(tmp_path, monkeypatch):
    """More messages than the queue holds between two looks at it: the numbers of the first ones are missing."""
    monkeypatch.setattr(record_module, "_QUEUE", 10)
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    node = rclpy.create_node("recorder", context=context)
    writer = BagWriter(tmp_path / "bag")
    try:
        said = node.create_publisher(Float64MultiArray, "said", QoSProfile(depth=100))
        recording = record_module.Recording(node, writer)
        recording.subscribe("said", Float64MultiArray, "std_msgs/msg/Float64MultiArray", QoSProfile(depth=1))
        until(lambda: said.get_subscription_count() == 1)
        said.publish(Float64MultiArray(data=[0.0]))
        until(lambda: len(recording.take()) == 1)
        assert recording.lost == 0
        for k in range(25):
            said.publish(Float64MultiArray(data=[float(k)]))
        time.sleep(0.5)
        assert len(recording.take()) == 10
        assert recording.lost == 15 and "15 messages did not arrive" in recording.summary()
    finally:
        writer.close()
        node.destroy_node()
        rclpy.shutdown(context=context)
