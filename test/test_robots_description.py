"""The URDF that the simulator publishes: read back it is the same robot, with the links and frames of the real driver's."""

import numpy as np
import pytest
from rig_cases import robot_of

from jsac_ros import plugins
from jsac_ros.config import RobotParameters
from jsac_ros.robots.frames import Frames
from jsac_ros.robots.robot import Robot
from jsac_ros.robots.rotations import turn
from jsac_ros.robots.ur import LINKS, UrArm
from jsac_ros.robots.urdf import parsed

URS = [name for name in plugins.names("robot") if issubclass(plugins.load("robot", name), UrArm)]
PI = np.pi
SHOULDER = {"ur5": 0.089159, "ur5e": 0.1625}  # m, of ur_description's shoulder_link above base_link


class Gantry(Robot):
    """A lab's own: it slides without end, turns without end, and leans."""

    def __init__(self):
        slanted = np.eye(4)
        slanted[:3, :3], slanted[:3, 3] = turn(np.array((0.3, -0.2, 0.9))), (0.1, 0.2, 0.3)
        links = np.array((slanted, slanted @ slanted, slanted @ slanted @ slanted))
        super().__init__(RobotParameters(type="gantry"), ("slide", "spin"), links=links, prismatic=np.array((True, False)))


def read_back(robot, tmp_path):
    (tmp_path / "robot.urdf").write_text(robot.description)
    prefix = robot.prefix
    return robot_of("urdf", urdf=str(tmp_path / "robot.urdf"), base_link=f"{prefix}base_link", tool_link=f"{prefix}tool0")


def quaternion_matrix(q):
    x, y, z, w = q
    angle = 2 * np.arctan2(np.linalg.norm((x, y, z)), w)
    return turn(np.array((x, y, z)) / max(np.linalg.norm((x, y, z)), 1e-12) * angle)


def place_of(link, transforms, root="base_link"):
    """Position and rotation of a link in the frame of `root`, along the transforms."""
    above, position, rotation = {t.child: t for t in transforms}, np.zeros(3), np.eye(3)
    while link != root:
        step = above[link]
        turned = quaternion_matrix(step.rotation)
        position, rotation = step.position + turned @ position, turned @ rotation
        link = step.parent
    return position, rotation


@pytest.mark.parametrize("kind", URS)
def test_a_urs_description_is_the_same_arm(tmp_path, kind):
    table = robot_of(kind, joint_prefix="left_")
    arm = read_back(table, tmp_path)
    assert arm.names == table.names
    np.testing.assert_allclose((arm.lower, arm.upper, arm.max_velocity), (table.lower, table.upper, table.max_velocity))
    for q in np.random.default_rng(0).uniform(-3, 3, (20, 6)):
        for mine, its in zip(arm.forward(q), table.forward(q, "base_link")):
            np.testing.assert_allclose(mine, its, atol=1e-12)


@pytest.mark.parametrize("kind", ["ur5", "ur5e"])
def test_links_and_frames_are_those_of_the_driver(kind):
    robot = robot_of(kind)
    urdf = parsed(robot.description, "here")
    assert {*LINKS, "base_link", "base_link_inertia", "base", "flange", "tool0"} == set(urdf.link_map)
    assert urdf.get_root() == "base_link" and all(urdf.link_map[link].visual for link in LINKS)
    assert urdf.joint_map["shoulder_pan_joint"].child == "shoulder_link"
    origins = [urdf.joint_map[name].origin for name in robot.names]  # of ur_description's default_kinematics.yaml
    assert origins[0].xyz == [0, 0, SHOULDER[kind]] and origins[1].rpy == pytest.approx([PI / 2, 0, 0])
    (d1, d4, d5, d6), (a2, a3) = robot.d, robot.a
    expected = ([0, 0, d1], [0, 0, 0], [a2, 0, 0], [a3, 0, d4], [0, -d5, 0], [0, d6, 0])
    for origin, xyz in zip(origins, expected):
        np.testing.assert_allclose(origin.xyz, xyz, atol=1e-12)
    frames, q = Frames(robot.description), np.random.default_rng(1).uniform(-3, 3, 6)
    transforms = frames.fixed + frames.moved(dict(zip(robot.names, q)))
    position, rotation = place_of("tool0", transforms)
    np.testing.assert_allclose(position, robot.forward(q, "base_link")[0], atol=1e-12)
    np.testing.assert_allclose(rotation, robot.forward(q, "base_link")[1], atol=1e-12)
    np.testing.assert_allclose(place_of("base", transforms)[1], np.diag((-1, -1, 1)), atol=1e-12)
    np.testing.assert_allclose(place_of("flange", transforms)[1][:, 0], rotation[:, 2], atol=1e-12)  # its x is forward


def test_a_robot_of_a_labs_own_has_a_description_too(tmp_path):
    robot = Gantry()
    arm = read_back(robot, tmp_path)
    frames = Frames(robot.description)
    assert arm.lower[1] == -np.inf and list(arm.prismatic) == [True, False] and arm.names == robot.names
    for q in np.random.default_rng(0).uniform(-2, 2, (5, 2)):
        seen = place_of("tool0", frames.fixed + frames.moved(dict(zip(robot.names, q))))
        for mine, its, tf in zip(arm.forward(q), robot.forward(q), seen):
            np.testing.assert_allclose(mine, its, atol=1e-12)
            np.testing.assert_allclose(tf, its, atol=1e-12)


def test_a_urdf_file_is_published_as_it_is(tmp_path):
    """With what hangs beside the chain: a joint that follows another."""
    (tmp_path / "hand.urdf").write_text(
        '<robot name="hand"><link name="base"/><link name="one"/><link name="two"/><!-- kept -->'
        '<joint name="j" type="revolute"><parent link="base"/><child link="one"/><axis xyz="0 2 0"/>'
        '<limit lower="-1" upper="1" velocity="1" effort="1"/></joint>'
        '<joint name="k" type="prismatic"><parent link="base"/><child link="two"/><origin xyz="1 0 0" rpy="0 0 1.5707963"/>'
        '<axis xyz="1 0 0"/><limit lower="-1" upper="1" velocity="1" effort="1"/><mimic joint="j" multiplier="-2" offset="0.1"/>'
        "</joint></robot>"
    )
    robot = robot_of("urdf", urdf=str(tmp_path / "hand.urdf"), base_link="base", tool_link="one")
    assert robot.description == (tmp_path / "hand.urdf").read_text()
    first, second = Frames(robot.description).moved({"j": 0.4})
    assert first.parent == "base" and first.child == "one"
    np.testing.assert_allclose(first.rotation, (0, np.sin(0.2), 0, np.cos(0.2)), atol=1e-12)
    np.testing.assert_allclose(second.position, (1, -0.7, 0), atol=1e-6)
    assert Frames(robot.description).moved({"gripper": 0.1}) == []


@pytest.mark.parametrize("kind, parameters", [("joints", {"joints": ("a",)}), ("diff_drive", {})])
def test_a_robot_without_kinematics_has_none(kind, parameters):
    assert robot_of(kind, **parameters).description == ""
