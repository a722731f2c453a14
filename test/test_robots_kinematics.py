"""Poses and Jacobians of the chain in plain floats, beside products of matrices and differences."""

import math

import numpy as np
import pytest

from jsac_ros.config import RobotParameters
from jsac_ros.robots.robot import Robot
from jsac_ros.robots.rotations import quaternion, rotation_of, rotation_vector, six_values, tilt_and_turn, turn, within
from jsac_ros.robots.ur import Ur5e

HALF_TURN = np.diag((-1.0, -1.0, 1.0, 1.0))


def random_pose(random):
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn(random.normal(size=3)), random.normal(size=3)
    return pose


def robot_of(seed, prismatic):
    random = np.random.default_rng(seed)
    links = np.array([random_pose(random) for _ in range(len(prismatic) + 1)])
    parameters = RobotParameters(type="some")
    return Robot(parameters, [f"j{i}" for i in range(len(prismatic))], links=links, prismatic=prismatic, base_turned=True)


def by_matrices(robot, q):
    pose = robot.links[0]
    for value, slides, link in zip(q, robot.prismatic, robot.links[1:]):
        joint = np.eye(4)
        if slides:
            joint[2, 3] = value
        else:
            joint[:3, :3] = turn(np.array((0.0, 0.0, value)))
        pose = pose @ joint @ link
    return pose


@pytest.mark.parametrize("prismatic", [np.zeros(6, bool), np.array([False, True, False, True])])
@pytest.mark.parametrize("frame", ["base", "base_link"])
def test_forward_is_the_product_of_the_links_and_the_jacobian_its_derivative(prismatic, frame):
    robot, q = robot_of(3, prismatic), np.random.default_rng(4).normal(size=len(prismatic))
    expected = by_matrices(robot, q) if frame == "base" else HALF_TURN @ by_matrices(robot, q)
    position, rotation, jacobian = robot.jacobian(q, frame)
    np.testing.assert_allclose(position, expected[:3, 3], atol=1e-12)
    np.testing.assert_allclose(rotation, expected[:3, :3], atol=1e-12)
    np.testing.assert_allclose(robot.forward(q, frame)[0], position)
    np.testing.assert_allclose(robot.tool_positions(q[None], frame)[0], position, atol=1e-12)
    step = 1e-6
    for j in range(len(q)):
        moved = q.copy()
        moved[j] += step
        place, turned = robot.forward(moved, frame)
        np.testing.assert_allclose(jacobian[:3, j], (place - position) / step, atol=1e-4)
        np.testing.assert_allclose(jacobian[3:, j], rotation_vector(turned @ rotation.T) / step, atol=1e-4)


def test_forward_refuses_another_number_of_joints():
    with pytest.raises(ValueError, match="q has 5 joints; ur5e has 6"):
        Ur5e(RobotParameters(type="ur5e")).forward(np.zeros(5))


@pytest.mark.parametrize("angle", [0.0, 1e-10, 1e-3, 1.0, math.pi - 1e-3])
def test_a_rotation_and_its_vector(angle):
    vector = angle * np.array((2.0, -1.0, 2.0)) / 3
    rotation = turn(vector)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(rotation_vector(rotation), vector, atol=1e-9)
    np.testing.assert_allclose(six_values(rotation), (*rotation[:, 0], *rotation[:, 1]))


def test_a_quaternion_is_found_for_every_rotation_and_back():
    random = np.random.default_rng(0)
    turned = [turn(random.normal(size=3) * 2) for _ in range(50)] + [
        np.diag(signs) for signs in ((1, -1, -1), (-1, 1, -1), (-1, -1, 1))
    ]
    for rotation in turned:
        found = quaternion(rotation)
        assert found[3] >= 0 and np.linalg.norm(found) == pytest.approx(1.0)
        np.testing.assert_allclose(rotation_of(found), rotation, atol=1e-12)


def test_tilt_and_turn_are_found_and_reduced():
    random = np.random.default_rng(1)
    for _ in range(50):
        tilt, about, way = random.uniform(0, 3), random.uniform(-3, 3), random.uniform(-np.pi, np.pi)
        leans = turn(tilt * np.array((np.cos(way), np.sin(way), 0.0)))
        rotation = leans @ turn(np.array((0.0, 0.0, about)))
        np.testing.assert_allclose(tilt_and_turn(rotation), (tilt, about), atol=1e-9)
        most = random.uniform(0, 3, 2)
        less = within(rotation, most)
        np.testing.assert_allclose(tilt_and_turn(less), (min(tilt, most[0]), np.clip(about, -most[1], most[1])), atol=1e-9)
        if tilt > most[0] and abs(about) < most[1]:
            np.testing.assert_allclose(
                turn(most[0] / tilt * rotation_vector(leans)) @ turn(np.array((0.0, 0.0, about))), less, atol=1e-9
            )
