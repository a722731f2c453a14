"""A mobile base with two driven wheels. Its joint states are those of the wheels, its commands m/s forward and rad/s left."""

from __future__ import annotations

import numpy as np

from jsac_ros.config import Positive, RobotParameters
from jsac_ros.robots.robot import Robot


class DiffDrive(Robot):
    is_base = True
    senses = ("joint_velocity",)  # wheel angles carry no information

    class Parameters(RobotParameters):
        # names of the left and the right wheel joint, without joint_prefix
        joints: tuple[str, str] = ("left_wheel_joint", "right_wheel_joint")
        wheel_radius_m: Positive = 0.036  # radius of the wheels; the default is the iRobot Create 2's
        track_m: Positive = 0.235  # distance between the wheels

    def __init__(self, parameters: DiffDrive.Parameters):
        super().__init__(parameters, [parameters.joint_prefix + name for name in parameters.joints])
        self.wheel_radius_m, self.track_m = parameters.wheel_radius_m, parameters.track_m

    def joint_speeds(self, motion: np.ndarray) -> np.ndarray:
        """[m/s, rad/s] -> rad/s of the left and the right wheel."""
        forward, turn = motion
        return np.array((forward - turn * self.track_m / 2, forward + turn * self.track_m / 2)) / self.wheel_radius_m
