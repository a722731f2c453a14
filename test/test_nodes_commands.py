"""What nodes say to a robot's driver, and what the simulated driver makes of it; without DDS."""

import re
import threading
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from builtin_interfaces.msg import Time
from gate_cases import Cell
from geometry_msgs.msg import PoseStamped

from jsac_ros.config import ConfigError
from jsac_ros.nodes.robot_commands import PoseCommands, pose_message
from jsac_ros.nodes.sim_robot import SimRobot
from jsac_ros.robots.rotations import HALF_TURN, rotation_of
from jsac_ros.sim.faults import Faults
from jsac_ros.sim.mujoco.plugin import Unstable
from jsac_ros.sim.trajectory import CommandRefused
from jsac_ros.supervision import WRONG_CONFIGURATION


class Node:
    """Keeps what is published."""

    def __init__(self):
        self.sent = []

    def create_publisher(self, kind, topic, *_, **__):
        return SimpleNamespace(topic_name=topic, publish=self.sent.append)

    def get_clock(self):
        return SimpleNamespace(now=lambda: SimpleNamespace(to_msg=lambda: Time(sec=3)))


def posed(message):
    place, turned = message.pose.position, message.pose.orientation
    return np.array((place.x, place.y, place.z)), rotation_of((turned.x, turned.y, turned.z, turned.w))


def test_a_pose_is_sent_while_it_changes_and_stands_after_that():
    """Behind the gate: no pose before the first motion, one a period on the way to rest, none at rest."""
    node, cell = Node(), Cell("velocity", **{"robot.interface": "pose", "robot.pose_frame": "base"})
    commands = PoseCommands(node, cell.config.robot, cell.arm)

    def periods(count):
        before = len(node.sent)
        for _ in range(count):
            commands.period(cell.gate.velocity(cell.now), cell.gate.position(cell.now))
            cell.run(0.008)
        return len(node.sent) - before

    assert commands.topic == "cartesian_compliance_controller/target_frame" and periods(5) == 0
    cell.command([0.2, 0.0, 0.2, 0.0, 0.0, 0.0])
    assert 15 <= periods(60) <= 40 and periods(20) == 0
    position, rotation = posed(node.sent[-1])
    expected = cell.arm.forward(cell.gate.position(cell.now), "base")
    np.testing.assert_allclose(position, expected[0], atol=1e-9)
    np.testing.assert_allclose(rotation, expected[1], atol=1e-9)
    places = np.array([posed(message)[0] for message in node.sent])
    assert np.linalg.norm(np.diff(places, axis=0), axis=1).max() < 0.008 * 0.5, "no further than a period's way"
    assert {message.header.frame_id for message in node.sent} == {"base"} and node.sent[0].header.stamp.sec == 3


@pytest.mark.parametrize("frame", ["base", "base_link"])
def test_the_simulated_driver_takes_poses_in_its_frame_only(frame):
    taken, refused = [], []
    robot = SimpleNamespace(joint_prefix="left_", pose_frame=frame)
    driver = SimpleNamespace(
        config=SimpleNamespace(robot=robot), rig=SimpleNamespace(robot=SimpleNamespace(base_turned=True)),
        _lock=threading.Lock(), _restarting=False, _refuse=lambda error: refused.append(str(error)),
        _sim=SimpleNamespace(command_pose=lambda *pose: taken.append(pose)),
    )  # fmt: skip
    rotation = rotation_of((0.5, -0.5, 0.5, 0.5))
    place = np.array((0.1, 0.2, 0.3))
    SimRobot._on_pose(driver, pose_message(place, rotation, f"left_{frame}", Time()))
    turned = HALF_TURN if frame == "base" else np.eye(3)
    np.testing.assert_allclose(taken[0][0], turned @ place)
    np.testing.assert_allclose(taken[0][1], turned @ rotation, atol=1e-12)
    SimRobot._on_pose(driver, PoseStamped())
    assert refused == [f"pose is in ''; expected 'left_{frame}'"] and len(taken) == 1

    def refuse(*_):
        raise CommandRefused("not active")

    driver._sim.command_pose = refuse
    SimRobot._on_pose(driver, pose_message(place, rotation, f"left_{frame}", Time()))
    assert refused[1:] == ["not active"]


def test_faults_of_the_simulation_reach_it_once_when_they_begin_and_end():
    told = []
    faults = {"slip": "the fingers slip"}
    sim = SimpleNamespace(faults=faults, fault=lambda *what: told.append(what), protective_stop=False, speed_slider=1.0)
    node = SimpleNamespace(_sim=sim, _faults=Faults(faults), _begun=set(), _restarting=False)
    node._faults.request("slip 1.0", 10.0)
    for now_s in (10.1, 10.5, 11.1, 11.2):
        SimRobot._apply_faults(node, now_s)
    assert told == [("slip", True), ("slip", False)]


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ConfigError("no OpenGL to render with"), WRONG_CONFIGURATION, "no OpenGL to render with"),
        (Unstable("the physics diverged"), 1, r"the simulation stopped: Unstable: the physics diverged \(.*:\d+\)"),
    ],
)
def test_a_thread_of_the_simulation_that_raises_ends_its_process_in_one_line(error, status, line):
    ended = []

    def loop():
        raise error

    SimRobot._guarded(SimpleNamespace(fail=lambda said, code=1: ended.append((said, code))), loop)
    assert len(ended) == 1 and ended[0][1] == status and re.fullmatch(line, ended[0][0])
