"""Which arm a configuration means."""

from __future__ import annotations

import numpy as np

from jsac_ros.config import ConfigError, RobotConfig
from jsac_ros.robots import ur
from jsac_ros.robots.arm import Arm

# Of a mobile base, whose joint states are its wheels'; it is commanded by m/s forward and rad/s to the left.
WHEELS = ("left_wheel_joint", "right_wheel_joint")


def arm_of(config: RobotConfig) -> Arm:
    """Names, limits and kinematics of the configured robot. Raises ConfigError with one line."""
    if config.model in ur.MODELS:
        return _in_order(ur.ur_arm(config.model, config.joint_prefix), config.joints)
    if config.model == "diff_drive":
        return _names_only("diff_drive", config.joints or WHEELS)
    if config.model == "joints":
        if not config.joints:
            raise ConfigError("robot.joints is []; model 'joints' expects the joint names")
        return _names_only("joints", tuple(config.joint_prefix + name for name in config.joints))
    from jsac_ros.robots.urdf import urdf_arm  # only here: the parser takes megabytes that safety is not to have

    return _in_order(urdf_arm(config.urdf, config.base_link, config.tool_link), config.joints)


def _names_only(model: str, names: tuple[str, ...]) -> Arm:
    unlimited = np.full(len(names), np.inf)
    return Arm(model=model, names=names, lower=-unlimited, upper=unlimited, max_velocity=unlimited)


def _in_order(arm: Arm, joints: tuple[str, ...]) -> Arm:
    """Kinematics fix the order of a known arm's joints; a configured list can only confirm it."""
    if joints and tuple(joints) != arm.names:
        raise ConfigError(f"robot.joints is {list(joints)}; {arm.model} has {list(arm.names)}, in this order")
    return arm
