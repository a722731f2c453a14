"""Over real DDS: a recording is played with its own spacing, and what is said is recorded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import domains
import numpy as np
import pytest
import rclpy
from bag_cases import SMALL, START_NS, Recorder, tiny_config
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray

from jsac_ros.bags import record as record_module
from jsac_ros.bags.play import published_name
from jsac_ros.bags.reader import Bag, Topic
from jsac_ros.bags.record import ANY, LATCHED, RELIABLE, qualities
from jsac_ros.bags.writer import BagWriter
from jsac_ros.messages import to_ns
from jsac_ros.msg import Action
from jsac_ros.parameters import dump

DOMAIN = domains.take()
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
            hear = lambda message, topic=topic: self.heard.append((topic, message, time.monotonic()))
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
        recorded_action=(Action, 100),
        commands=(Float64MultiArray, 100),
        **{"camera/image_raw": (Image, QoSProfile(depth=100))},
    )
    yield listener
    listener.close()


def start(*command: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", *command], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)


def player_config(folder, **overrides):
    record(folder / "bag")
    values = SMALL | {
        "control.trigger": "eye", "cameras.eye.height": 31, "cameras.eye.width": 35, "robot.type": "joints",
        "robot.joints": ("a", "b"), "robot.driver": "bag", "robot.interface": "none", "task.type": "shadow",
        "actions.body.type": "joint_velocity", "bag.path": str(folder / "bag"), "bag.action_topic": "/commands",
    }  # fmt: skip
    dump(tiny_config(values, **overrides), folder / "config.yaml")
    return str(folder / "config.yaml")


def test_the_player_says_everything_in_order_and_commands_nobody(actor, tmp_path):
    player = start("jsac_ros.nodes.player", "--ros-args", "--params-file", player_config(tmp_path))
    assert player.wait(60) == 0, player.stderr.read()
    images, joints = actor.messages("camera/image_raw"), actor.messages("joint_states")
    assert len(images) == len(joints) == len(actor.messages("recorded_action")) == COUNT
    assert actor.messages("commands") == []
    assert all(bytes(image.data) == FRAME.tobytes() for image in images)
    answers = {to_ns(m.observation_stamp): list(m.velocity) for m in actor.messages("recorded_action")}
    assert answers == {START_NS + k * 33_333_333: [float(k), 0.0] for k in range(COUNT)}, "each answers a frame"
    assert [m.header.stamp.nanosec for m in joints] == [k * 33_333_333 % 10**9 for k in range(COUNT)]
    arrived = [at for topic, _, at in actor.heard if topic == "joint_states"]
    assert arrived[-1] - arrived[0] > 0.8 * COUNT / 30  # with its own spacing, not at once


def test_the_player_refuses_a_recording_without_the_topic(actor, tmp_path):
    config = player_config(tmp_path, cameras__eye__topic="eye")
    player = start("jsac_ros.nodes.player", "--ros-args", "--params-file", config)
    assert player.wait(60) == 2
    assert "topic /eye is missing; it has" in player.stderr.read()


def test_play_sends_commands_where_no_robot_listens(actor, tmp_path):
    record(tmp_path / "bag")
    command = start("jsac_ros", "play", str(tmp_path / "bag"), "--rate", "2", "--wait", "3", "--live")
    assert command.wait(60) == 0, command.stderr.read()
    # It begins when the time to wait is over: how much is heard by then is up to discovery.
    assert 0 < len(actor.messages("camera/image_raw")) <= COUNT and actor.messages("commands") == []


def test_live_names_are_taken_only_when_they_are_asked_for():
    states = Topic("/joint_states", "sensor_msgs/msg/JointState", 1)
    assert published_name(states, live=False) == "recorded/joint_states"
    assert published_name(states, live=True) == "/joint_states"
    for live in (False, True):
        assert published_name(Topic("/commands", "std_msgs/msg/Float64MultiArray", 1), live) == "recorded/commands"
        assert published_name(Topic("/servo/in", "sensor_msgs/msg/JointState", 1), live) == "recorded/servo/in"


@pytest.mark.parametrize("when", ["before", "while"])
def test_play_gives_way_to_another_publisher(tmp_path, when):
    """A robot's driver that is there, or comes: it must be the only source of its joints."""
    record(tmp_path / "bag")
    robot = Listener("robot")
    try:
        if when == "before":
            robot.node.create_publisher(JointState, "joint_states", 10)
        command = start("jsac_ros", "play", str(tmp_path / "bag"), "--live", "--loop", "--wait", "2")
        if when == "while":
            heard: list = []
            robot.node.create_subscription(Image, "camera/image_raw", heard.append, 10)
            until(lambda: heard, 60)
            robot.node.create_publisher(JointState, "joint_states", 10)
        assert command.wait(60) == 2
        assert "/joint_states is also published by /robot; expected no other publisher" in command.stderr.read()
    finally:
        robot.close()


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


@pytest.fixture
def node():
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    node = rclpy.create_node("recorder", context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture
def recording(node, tmp_path):
    writer = BagWriter(tmp_path / "bag")
    yield record_module.Recording(node, writer)
    writer.close()


def test_what_did_not_arrive_is_counted(node, recording, monkeypatch):
    """More messages than the queue holds between two looks at it: the numbers of the first ones are missing."""
    monkeypatch.setattr(record_module, "_QUEUE", 10)
    said = node.create_publisher(Float64MultiArray, "said", QoSProfile(depth=100))
    recording.subscribe("said", "std_msgs/msg/Float64MultiArray")
    until(lambda: said.get_subscription_count() == 1)
    said.publish(Float64MultiArray(data=[0.0]))
    until(lambda: len(recording.take()) == 1)
    assert recording.lost == 0
    for k in range(25):
        said.publish(Float64MultiArray(data=[float(k)]))
    time.sleep(0.5)
    assert len(recording.take()) == 10
    assert recording.lost == 15 and "15 messages did not arrive" in recording.summary()


BEST_EFFORT = (ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        ([], {ANY}), ([RELIABLE], {RELIABLE}), ([RELIABLE, BEST_EFFORT], {ANY}), ([LATCHED], {LATCHED}),
        ([LATCHED, RELIABLE], {RELIABLE, LATCHED}), ([LATCHED, BEST_EFFORT], {ANY, LATCHED}),
    ],
)  # fmt: skip
def test_subscriptions_ask_for_no_more_than_every_publisher_offers(offered, expected):
    assert qualities(offered) == expected


def test_every_publisher_of_a_topic_is_recorded_whatever_its_quality(node, recording, monkeypatch):
    """Latched ones that have spoken before, best effort ones, and one that comes later; each message once."""
    monkeypatch.setattr(record_module, "DISCOVERY_PERIOD_S", 0.1)
    latched = QoSProfile(depth=5, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publishers = [node.create_publisher(Float64MultiArray, "said", latched)]
    publishers[0].publish(Float64MultiArray(data=[-1.0]))
    recording.subscribe("said", "std_msgs/msg/Float64MultiArray")
    taken: list = []

    def said() -> list[float]:
        taken.extend(recording.take())
        return [float(np.frombuffer(record.data[-8:], np.float64)[0]) for record in taken]

    until(lambda: said() == [-1.0])
    publishers.append(node.create_publisher(Float64MultiArray, "said", qos_profile_sensor_data))
    until(lambda: said() and publishers[1].get_subscription_count() >= 1)
    publishers.append(node.create_publisher(Float64MultiArray, "said", QoSProfile(depth=50)))
    until(lambda: said() and all(publisher.get_subscription_count() >= 1 for publisher in publishers))
    time.sleep(1.5)
    said()
    for k in range(20):
        for number, publisher in enumerate(publishers):
            publisher.publish(Float64MultiArray(data=[float(100 * number + k)]))
        time.sleep(0.01)
        said()
    expected = sorted([-1.0, *(float(100 * number + k) for number in range(3) for k in range(20))])
    until(lambda: sorted(said()) == expected)
    assert recording.lost == 0
