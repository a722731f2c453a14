"""What the configuration allows each joint, in the joint's own unit: rad, or m if it is prismatic."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jsac_ros.config import ConfigError, SafetyConfig
from jsac_ros.robots.robot import Robot


class JointLimits(NamedTuple):
    """[N] each, in the order of the robot's joints."""

    speed: np.ndarray  # per s; the robot's own are included
    acceleration: np.ndarray  # per s^2
    jerk: np.ndarray | None  # per s^3; None: not limited
    jump: np.ndarray  # between two joint states, beyond what was commanded
    following_error: np.ndarray


def joint_limits(safety: SafetyConfig, robot: Robot) -> JointLimits:
    """Raises ConfigError if only some of the robot's joints have a limit of jerk."""
    return JointLimits(
        np.minimum(robot.max_velocity, of_kind(robot, safety.max_joint_speed_rad_s, safety.max_prismatic_speed_m_s)),
        of_kind(robot, safety.max_joint_acceleration_rad_s2, safety.max_prismatic_acceleration_m_s2),
        _jerk(safety, robot),
        of_kind(robot, safety.joint_jump_rad, safety.prismatic_jump_m),
        of_kind(robot, safety.following_error_rad, safety.prismatic_following_error_m),
    )


def of_kind(robot: Robot, turning: float, sliding: float) -> np.ndarray:
    """float64 [N]: `turning` for a revolute joint, `sliding` for a prismatic one."""
    return np.where(robot.prismatic, sliding, turning).astype(np.float64)


def _jerk(safety: SafetyConfig, robot: Robot) -> np.ndarray | None:
    jerk = of_kind(robot, safety.max_joint_jerk_rad_s3, safety.max_prismatic_jerk_m_s3)
    if jerk.any() and not jerk.all():  # one motion of all joints is smooth or it is not
        raise ConfigError(
            f"safety.max_joint_jerk_rad_s3 is {safety.max_joint_jerk_rad_s3:g} and max_prismatic_jerk_m_s3 "
            f"{safety.max_prismatic_jerk_m_s3:g}; expected both or none for {robot.model}, which has joints of both kinds"
        )
    return jerk if jerk.any() else None
