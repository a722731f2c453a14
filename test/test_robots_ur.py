"""Universal Robots' tables beside the kinematics and limits of their own description (ur_description, config/<ur_type>/)."""

import math
import tomllib
from pathlib import Path

import numpy as np
import pytest

from jsac_ros import plugins
from jsac_ros.config import RobotParameters

SLOW = (120, 120, 180, 180, 180, 180)
# default_kinematics.yaml: shoulder z, forearm x, wrist_1 x and z, wrist_2 -y, wrist_3 y, m; joint_limits.yaml: degrees/s.
DESCRIBED = {
    "ur3": ((0.1519, -0.24365, -0.21325, 0.11235, 0.08535, 0.0819), (180, 180, 180, 360, 360, 360)),
    "ur3e": ((0.15185, -0.24355, -0.2132, 0.13105, 0.08535, 0.0921), (180, 180, 180, 360, 360, 360)),
    "ur5": ((0.089159, -0.425, -0.39225, 0.10915, 0.09465, 0.0823), (180,) * 6),
    "ur5e": ((0.1625, -0.425, -0.3922, 0.1333, 0.0997, 0.0996), (180,) * 6),
    "ur7e": ((0.1625, -0.425, -0.3922, 0.1333, 0.0997, 0.0996), (180,) * 6),
    "ur10": ((0.1273, -0.612, -0.5723, 0.163941, 0.1157, 0.0922), SLOW),
    "ur10e": ((0.1807, -0.6127, -0.57155, 0.17415, 0.11985, 0.11655), SLOW),
    "ur12e": ((0.1807, -0.6127, -0.57155, 0.17415, 0.11985, 0.11655), SLOW),
    "ur16e": ((0.1807, -0.4784, -0.36, 0.17415, 0.11985, 0.11655), SLOW),
    "ur8long": ((0.2186, -0.8989, -0.7149, 0.1824, 0.1361, 0.1434), (180, 180, 240, 300, 300, 300)),
    "ur15": ((0.2186, -0.6475, -0.5164, 0.1824, 0.1361, 0.1434), (180, 180, 240, 300, 300, 300)),
    "ur18": ((0.2186, -0.475, -0.3389, 0.1824, 0.1361, 0.1434), (180, 180, 240, 300, 300, 300)),
    "ur20": ((0.2363, -0.862, -0.7287, 0.201, 0.1593, 0.1543), (120, 120, 150, 210, 210, 210)),
    "ur30": ((0.2363, -0.637, -0.5037, 0.201, 0.1593, 0.1543), (120, 120, 150, 210, 210, 210)),
}
POSE = (0.3, -1.1, 0.8, -0.4, 0.5, 0.2)  # rad


def about(axis, angle):
    c, s = math.cos(angle), math.sin(angle)
    turned = np.eye(4)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    turned[i, i], turned[i, j], turned[j, i], turned[j, j] = c, -s, s, c
    return turned


def origin(xyz, roll=0.0, pitch=0.0, yaw=0.0):
    """Of a joint of a URDF."""
    placed = about(2, yaw) @ about(1, pitch) @ about(0, roll)
    placed[:3, 3] = xyz
    return placed


def flange(kinematics, q):
    """As urdf/inc/ur_macro.xacro chains the joints, from `base_link_inertia`, which `base` is turned as."""
    shoulder_z, forearm_x, wrist_1_x, wrist_1_z, wrist_2_y, wrist_3_y = kinematics
    origins = (
        origin((0, 0, shoulder_z)), origin((0, 0, 0), roll=math.pi / 2), origin((forearm_x, 0, 0)),
        origin((wrist_1_x, 0, wrist_1_z)), origin((0, -wrist_2_y, 0), roll=math.pi / 2),
        origin((0, wrist_3_y, 0), roll=math.pi / 2, pitch=math.pi, yaw=math.pi),
    )  # fmt: skip
    pose = np.eye(4)
    for placed, angle in zip(origins, q, strict=True):
        pose = pose @ placed @ about(2, angle)
    return pose


def shipped():
    """{type: module:Class} of pyproject.toml."""
    document = tomllib.loads((Path(__file__).resolve().parent.parent / "pyproject.toml").read_text())
    robots = document["project"]["entry-points"]["jsac_ros.robots"]
    return {name: target for name, target in robots.items() if target.startswith("jsac_ros.robots.ur:")}


def test_every_shipped_arm_is_compared():
    assert shipped().keys() == DESCRIBED.keys()


@pytest.mark.parametrize("kind", DESCRIBED)
def test_an_arm_reaches_where_its_description_says_and_is_as_fast(kind):
    kinematics, degrees_s = DESCRIBED[kind]
    arm = plugins.load("robot", shipped()[kind])(RobotParameters(type=kind))
    for q in (POSE, np.zeros(6)):
        position, rotation = arm.forward(np.array(q), "base")
        expected = flange(kinematics, q)
        np.testing.assert_allclose(position, expected[:3, 3], atol=1e-9)
        np.testing.assert_allclose(rotation, expected[:3, :3], atol=1e-9)
        turned, _ = arm.forward(np.array(q), "base_link")
        np.testing.assert_allclose(turned, expected[:3, 3] * (-1.0, -1.0, 1.0), atol=1e-9)
    np.testing.assert_allclose(np.degrees(arm.max_velocity), degrees_s)


def test_the_numbers_at_one_pose():
    """Worked out once from the tables above; the UR5 and the UR18 at the pose."""
    np.testing.assert_allclose(flange(DESCRIBED["ur5"][0], np.zeros(6))[:3, 3], (-0.81725, -0.19145, -0.005491), atol=1e-9)
    np.testing.assert_allclose(flange(DESCRIBED["ur18"][0], np.zeros(6))[:3, 3], (-0.8139, -0.3258, 0.0825), atol=1e-9)
