"""Frames of the simulated robot on /tf, with the real type of their messages and the quality of service of tf2_ros."""

import json
import os
import signal
import subprocess
import sys

import domains
import numpy as np
import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

import driver_types
from rig_cases import HOME, REACHER, config_of, robot_of
from test_robots_description import place_of

from jsac_ros.parameters import dump
from jsac_ros.robots.frames import Transform
from jsac_ros.robots.ur import LINKS

# As tf2_ros' listener, which starts late; ends when it has heard the frames for two seconds.
LISTENER = """
import json, time, rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from tf2_msgs.msg import TFMessage

rclpy.init()
node, heard, joints = rclpy.create_node("listener"), {"tf": [], "tf_static": []}, {}
static = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
node.create_subscription(TFMessage, "/tf", heard["tf"].append, QoSProfile(depth=100))
node.create_subscription(TFMessage, "/tf_static", heard["tf_static"].append, static)
stamp = lambda header: header.stamp.sec * 10**9 + header.stamp.nanosec
take = lambda state: joints.update({stamp(state.header): dict(zip(state.name, state.position))})
node.create_subscription(JointState, "joint_states", take, 10)
end_s = time.monotonic() + 30
while time.monotonic() < end_s and (len(heard["tf"]) < 50 or not heard["tf_static"]):
    rclpy.spin_once(node, timeout_sec=0.1)

def plain(t):
    place, turn = t.transform.translation, t.transform.rotation
    return [t.header.frame_id, t.child_frame_id, [place.x, place.y, place.z], [turn.x, turn.y, turn.z, turn.w]]

times = [stamp(m.transforms[0].header) for m in heard["tf"]]
said = {name: [[plain(t) for t in m.transforms] for m in messages] for name, messages in heard.items()}
print(json.dumps(said | {"times": times, "joints": joints.get(times[-2])}))
"""


def test_frames_are_those_of_the_joint_states(tmp_path):
    dump(config_of(REACHER), tmp_path / "config.yaml")
    environment = os.environ | driver_types.environment("tf2_msgs") | {"ROS_DOMAIN_ID": str(domains.take())}
    environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    node = [sys.executable, "-m", "jsac_ros.nodes.sim_robot", "--ros-args", "--params-file", tmp_path / "config.yaml"]
    process = subprocess.Popen(node, env=environment)
    try:
        listener = subprocess.run([sys.executable, "-c", LISTENER], env=environment, capture_output=True, text=True, timeout=60)
        assert listener.returncode == 0, listener.stderr
        said = json.loads(listener.stdout.splitlines()[-1])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    periods_s = np.diff(said["times"]) * 1e-9
    assert 1 / np.median(periods_s) == pytest.approx(25, rel=0.1)
    (static,), moving = said["tf_static"], said["tf"][-2]
    assert {child for _, child, _, _ in moving} == set(LINKS)
    assert {child for _, child, _, _ in static} == {"base", "base_link_inertia", "flange", "tool0"}
    robot = robot_of("ur5")
    q = np.array([said["joints"][name] for name in robot.names])
    np.testing.assert_allclose(q, HOME, atol=1e-3)
    position, rotation = place_of("tool0", [Transform(*one) for one in static + moving])
    np.testing.assert_allclose(position, robot.forward(q, "base_link")[0], atol=1e-9)
    np.testing.assert_allclose(rotation, robot.forward(q, "base_link")[1], atol=1e-9)
