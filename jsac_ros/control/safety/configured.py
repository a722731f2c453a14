"""The gate of a configured system."""

from __future__ import annotations

import numpy as np

from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.control.motion import Limits
from jsac_ros.control.safety.bounds import bounds_of
from jsac_ros.control.safety.contact import contact_of
from jsac_ros.control.safety.cycle import ControllerCycle
from jsac_ros.control.safety.gate import Gate
from jsac_ros.control.safety.grippers import GripperGates
from jsac_ros.control.safety.rules import rule_limits_of
from jsac_ros.robots.gripper import grippers_of
from jsac_ros.robots.limits import joint_limits
from jsac_ros.robots.robot import Robot

_LONGEST_REST_S = 8.0  # a safety node that ends is given ten seconds (nodes/safety.py)


def gate_of(config: SystemConfig, robot: Robot, at_once: bool = False) -> Gate:
    """The gate of a configured system. Raises ConfigError if its limits cannot be kept or exclude the start pose.

    at_once: a motion begins when it is sent, as in a simulation without a clock, not at the controller's next cycle."""
    gate = _gate_of(config, robot, at_once)
    if gate.rest_s > _LONGEST_REST_S:
        sliding = "prismatic" if robot.prismatic.all() else "joint or max_prismatic" if robot.prismatic.any() else "joint"
        kind = "base" if config.robot.interface == "twist" else sliding
        raise ConfigError(
            f"safety.max_{kind}_...: at full speed the robot would need {gate.rest_s:.1f} s to rest; expected at most "
            f"{_LONGEST_REST_S:g} s, by a higher limit of acceleration or jerk or a lower one of speed"
        )
    return gate


def _gate_of(config: SystemConfig, robot: Robot, at_once: bool) -> Gate:
    safety, contact = config.safety, contact_of(config, robot)
    rule_limits, grippers = rule_limits_of(config), GripperGates(grippers_of(config))
    if rule_limits.command_max_age_s <= config.control.period_s:
        raise ConfigError(
            f"safety.command_max_age_s is {safety.command_max_age_s:g}; "
            f"expected more than control.period_s = {config.control.period_s:g}"
        )
    if config.robot.interface == "twist":
        if not robot.is_base:
            raise ConfigError(f"robot.interface is 'twist'; robot {robot.model!r} is not a mobile base")
        speed = np.array((safety.max_base_speed_m_s, safety.max_base_turn_rad_s))
        acceleration = np.array((safety.max_base_acceleration_m_s2, safety.max_base_turn_acceleration_rad_s2))
        return Gate(None, Limits(speed, acceleration), rule_limits, grippers=grippers)
    if robot.is_base:
        raise ConfigError(f"robot.interface is {config.robot.interface!r}; expected 'twist' for a mobile base")
    if config.robot.interface == "pose" and not robot.has_kinematics:
        raise ConfigError(f"robot.interface is 'pose'; robot {robot.model!r} has no kinematics to tell the tool's pose")
    bounds = bounds_of(safety, robot)
    if why := bounds.outside(robot.home):
        raise ConfigError(f"robot.home: {why}")
    allowed = joint_limits(safety, robot)
    limits = Limits(allowed.speed, allowed.acceleration, allowed.jerk)
    cycle = ControllerCycle() if config.robot.interface == "trajectory" and not at_once else None
    same_clock = config.robot.stamps == "header"
    return Gate(bounds, limits, rule_limits, allowed.jump, allowed.following_error, cycle, same_clock, contact, grippers)
