"""`jsac-ros doctor`: every check says green, amber or red for what it is told, and a whole look finds live drivers."""

import json
import threading
import time
from pathlib import Path

import domains
import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image, JointState

from jsac_ros.__main__ import main
from jsac_ros.config import SystemConfig
from jsac_ros.control.realtime import Applied
from jsac_ros.doctor import devices, machine, topics
from jsac_ros.nodes import listening
from jsac_ros.parameters import from_parameters, load

DOMAIN = domains.take()
HEARD = {
    "topic": "camera/image_raw", "max_age_s": 0.2, "is_camera": True, "count": 120, "problem": "", "rate_hz": 30.0,
    "age_s": 0.02, "oldest_s": 0.04, "largest_gap_s": 0.05, "brightness": 120.0, "ahead_s": 0.0,
    "arrivals": [40, 40], "image_bytes": 921_600,
}  # fmt: skip


def config(**tree):
    return from_parameters({"cameras": {"wrist": {}}, "robot": {"driver": "external"}} | tree, kinds=("robot",))


def heard(**changes):
    return topics.judged("wrist", HEARD | changes, config())


def clock(ahead_s, within_s):
    (found,) = topics.clocks({"/camera": {"sources": ["wrist"], "ahead_s": ahead_s, "within_s": within_s}})
    return found


@pytest.mark.parametrize(
    ("found", "level"),
    [
        (machine.realtime(Applied("SCHED_FIFO 10", True, "on")), "green"),
        (machine.realtime(Applied("SCHED_FIFO 10", False, "not permitted")), "amber"),
        (machine.cores(4, 0.5), "green"),
        (machine.cores(4, 3.5), "amber"),
        (machine.cores(1, 0.0), "amber"),
        (machine.memory(8.0), "green"),
        (machine.memory(2.0), "amber"),
        (machine.memory(1.0), "red"),
        (machine.shared_memory(2.0), "green"),
        (machine.shared_memory(0.2), "amber"),
        (machine.shared_memory(0.03), "red"),
        (machine.disk(Path("runs"), 100.0, 4.0), "green"),
        (machine.disk(Path("runs"), 5.0, 4.0), "amber"),
        (machine.disk(Path("runs"), 0.5, 4.0), "red"),
        (machine.disk(Path("runs"), None, 4.0), "red"),
        (machine.clock(0), "green"),
        (machine.clock(5), "amber"),
        (machine.clock(-1), "green"),
        (machine.middleware({"FASTRTPS_DEFAULT_PROFILES_FILE": "/x/localhost.xml"}, ""), "green"),
        (machine.middleware({}, "rmw_cyclonedds_cpp"), "amber"),
        (devices.devices([("cpu", "cpu")], has_nvidia=False), "green"),
        (devices.devices([("cpu", "cpu")], has_nvidia=True), "amber"),
        (devices.devices([("gpu", "NVIDIA H100")], has_nvidia=True), "green"),
        (topics.loopback({"small": 0.1, "large": 0.2}), "green"),
        (topics.loopback({"small": 0.1, "large": None}), "red"),
        (topics.loopback({"small": None, "large": None}), "red"),
        (heard(), "green"),
        (heard(count=0), "red"),
        (heard(count=1, rate_hz=None), "red"),
        (heard(problem="its stamp is not set"), "red"),
        (heard(rate_hz=10.0, largest_gap_s=0.1), "amber"),
        (heard(oldest_s=0.3), "amber"),
        (heard(age_s=0.3, oldest_s=0.3), "red"),
        (heard(brightness=9.0), "amber"),
        (heard(arrivals=[9, 40]), "amber"),
        (heard(arrivals=None), "green"),
        (heard(ahead_s=0.02), "amber"),
        (heard(ahead_s=0.001), "green"),
        (clock(0.0004, 0.0003), "green"),
        (clock(0.012, 0.0005), "amber"),
        (clock(-0.03, 0.0005), "amber"),
        (clock(0.03, 0.027), "green"),
        (clock(-0.2, 0.001), "red"),
        (clock(None, None), "green"),
        (topics.judged("wrist", HEARD | {"count": 0}, config(robot={"driver": "sim"})), "green"),
        (topics.judged("joints", HEARD | {"is_camera": False, "brightness": None, "rate_hz": 125.0, "age_s": 0.002, "oldest_s": 0.004, "largest_gap_s": 0.02}, config()), "green"),
        (topics.judged("joints", HEARD | {"is_camera": False, "brightness": None, "rate_hz": 10.0, "age_s": 0.002}, config()), "red"),
    ],
)  # fmt: skip
def test_a_check_is_graded_and_names_a_cure(found, level):
    assert found.level == level
    assert bool(found.cure) == (level != "green") and found.said


def test_lost_images_are_counted_and_the_cure_is_the_actors():
    found = heard(arrivals=[9, 40])
    assert (
        "; 9 of 40 images arrive" in found.said and "localhost_shared_memory.xml, or set cameras.wrist.compressed" in found.cure
    )


def test_this_computer_is_read():
    names = [finding.name for finding in machine.check_machine(SystemConfig())]
    assert names == ["real-time rights", "cores", "memory", "/dev/shm", "disk", "clock", "DDS profile"]
    assert machine.store_gib(load("ur5_reacher_demo")) == pytest.approx(100_000 * (32 * 48 * 3 + 512) / 2**30)


@pytest.fixture
def drivers(monkeypatch):
    """A camera at 30 Hz and joint states at 100 Hz in the place of a real robot's."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    node, executor, ends = (
        rclpy.create_node("drivers", context=context),
        SingleThreadedExecutor(context=context),
        threading.Event(),
    )
    image = Image(height=64, width=96, encoding="rgb8", step=96 * 3, data=np.full(64 * 96 * 3, 8, np.uint8).tobytes())
    joints = JointState(name=["elbow_joint"], position=[0.0], velocity=[0.0])
    camera = node.create_publisher(Image, "camera/image_raw", qos_profile_sensor_data)
    states = node.create_publisher(JointState, "joint_states", qos_profile_sensor_data)

    def say(publisher, message):
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)

    node.create_timer(1 / 30, lambda: say(camera, image))
    node.create_timer(1 / 100, lambda: say(states, joints))
    executor.add_node(node)
    thread = threading.Thread(target=lambda: [executor.spin_once(timeout_sec=0.1) for _ in iter(ends.is_set, True)])
    thread.start()
    yield
    ends.set()
    thread.join()
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_live_drivers_are_measured_within_20_seconds(drivers, capsys):
    began_s = time.monotonic()
    status = main(["doctor", "ur5_reacher_demo", "robot.driver=external", "--json"])
    assert time.monotonic() - began_s < 20
    found = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert status == int(any(entry["level"] == "red" for entry in found.values()))
    assert found["JAX"]["level"] != "red" and found["DDS"]["level"] == "green"
    assert "Hz" in found["joints"]["said"] and "mean 8 of 255" in found["camera wrist"]["said"]
    assert found["camera wrist"]["level"] != "green" and found["camera wrist"]["cure"]
    assert found["clocks"]["level"] == "green" and "1 publishing nodes" in found["clocks"]["said"]


def test_nodes_that_do_not_answer_take_no_time_from_the_rest(monkeypatch):
    asked = []
    monkeypatch.setattr(listening, "CLOCKS_S", 0.1)
    monkeypatch.setattr(listening, "difference", lambda node, other: asked.append(other) or time.sleep(0.06))
    told = listening.clocks_of(None, {f"/driver_{k}": ["joints"] for k in range(6)})
    assert asked == ["/driver_0", "/driver_1"] and list(told) == asked


def test_a_wrong_configuration_is_refused(capsys):
    assert main(["doctor", "ur5_reachr"]) == 2
    assert "did you mean" in capsys.readouterr().err
