"""Kinematics, limits and joint names of the arms."""

import numpy as np
import pytest
from rig_cases import HOME, config_of, robot_of

from jsac_ros import plugins
from jsac_ros.config import ConfigError

BOX_LOWER = np.array((-0.4, 0.17, 0.37))  # published, m, base_link
BOX_UPPER = np.array((0.15, 0.7, 0.63))


def test_ur5_at_zero_is_stretched_out_along_minus_x():
    position, rotation = robot_of("ur5").forward(np.zeros(6))
    # Sum of the links by hand: x = a2 + a3, y = -(d4 + d6), z = d1 - d5.
    np.testing.assert_allclose(position, (-0.81725, -0.19145, -0.005491), atol=1e-12)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)


def test_the_start_pose_is_inside_the_published_box_only_in_base_link():
    arm, home = robot_of("ur5"), np.array(HOME)
    inside = {f: bool(np.all((p := arm.forward(home, f)[0]) > BOX_LOWER) and np.all(p < BOX_UPPER))
              for f in ("base", "base_link")}  # fmt: skip
    assert inside == {"base": False, "base_link": True}


@pytest.mark.parametrize("model", [name for name in plugins.names("robot") if name.startswith("ur") and name != "urdf"])
def test_turning_the_first_joint_turns_the_tool_about_z(model):
    arm, q = robot_of(model), np.array((0.1, -1.0, 0.8, -0.4, 0.3, 0.9))
    turned = q.copy()
    turned[0] += 0.5
    c, s = np.cos(0.5), np.sin(0.5)
    about_z = np.array(((c, -s, 0), (s, c, 0), (0, 0, 1)))
    np.testing.assert_allclose(arm.forward(turned)[0], about_z @ arm.forward(q)[0], atol=1e-12)


def test_limits_of_the_models():
    assert np.rad2deg(robot_of("ur5").upper).round().tolist() == [360, 360, 180, 360, 360, 360]
    assert np.rad2deg(robot_of("ur3e").max_velocity).round().tolist() == [180, 180, 180, 360, 360, 360]


def test_forward_refuses_a_wrong_number_of_joints_and_an_arm_without_kinematics():
    with pytest.raises(ValueError, match="q has 5 joints; ur5 has 6"):
        robot_of("ur5").forward(np.zeros(5))
    named = robot_of("joints", joints=("a", "b"))
    assert named.names == ("a", "b") and not named.has_kinematics
    with pytest.raises(ValueError, match="no kinematics"):
        named.forward(np.zeros(2))


def test_joints_are_named_with_the_prefix_and_in_the_robots_own_order():
    assert robot_of("ur5e", joint_prefix="left_").names[0] == "left_shoulder_pan_joint"
    with pytest.raises(ConfigError, match="robot.joints: unknown key"):
        config_of(robot__joints=("wrist_3_joint", "shoulder_pan_joint"))
    with pytest.raises(ConfigError, match="robot.joints"):
        config_of(robot__type="joints", robot__home=None)
    with pytest.raises(ConfigError, match="robot.home has 1 values; ur5 has 6 joints"):
        robot_of("ur5", home=(0.0,))
