"""Universal Robots arms: nominal kinematics and limits (ur_description, ROS 2 driver).

The numbers are nominal; a calibrated arm differs by millimetres, so leave that much in a workspace box.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from jsac_ros.config import RobotParameters
from jsac_ros.robots.robot import Robot, links_from_dh

JOINTS = (
    "shoulder_pan_joint",
    "shoulder_lift_joint",
    "elbow_joint",
    "wrist_1_joint",
    "wrist_2_joint",
    "wrist_3_joint",
)
LINKS = ("shoulder_link", "upper_arm_link", "forearm_link", "wrist_1_link", "wrist_2_link", "wrist_3_link")
# Of ur_dashboard_msgs/SafetyMode, by number; the arm moves in the first two.
SAFETY_MODES = {
    1: "normal", 2: "reduced", 3: "protective stop", 4: "recovery", 5: "safeguard stop", 6: "system emergency stop",
    7: "robot emergency stop", 8: "violation", 9: "fault", 10: "validate joint ID", 11: "undefined",
    12: "automatic mode safeguard stop", 13: "three-position enabling stop",
}  # fmt: skip
MOVING_MODES = (1, 2)
FULL_SPEED_PERCENT = 100.0  # of speed_scaling_state_broadcaster, which multiplies the robot's 0..1 by it
_ALPHA = (math.pi / 2, 0.0, 0.0, math.pi / 2, -math.pi / 2, 0.0)
# The elbow cannot turn past the upper arm; a continuous wrist 3 is limited to one turn each way.
_REACH = np.array((2.0, 2.0, 1.0, 2.0, 2.0, 2.0)) * math.pi


class UrArm(Robot):
    """An arm whose six joints have the driver's names after `robot.joint_prefix` (its `tf_prefix`)."""

    d: ClassVar[tuple[float, float, float, float]]  # m: d1, d4, d5, d6
    a: ClassVar[tuple[float, float]]  # m: a2, a3
    speed: ClassVar[tuple[float, ...]] = (180.0,) * 6  # degrees/s

    def __init__(self, parameters: RobotParameters):
        d1, d4, d5, d6 = self.d
        super().__init__(
            parameters,
            names=[parameters.joint_prefix + joint for joint in JOINTS],
            lower=-_REACH,
            upper=_REACH,
            max_velocity=np.radians(self.speed),
            links=links_from_dh((0.0, *self.a, 0.0, 0.0, 0.0), (d1, 0.0, 0.0, d4, d5, d6), _ALPHA),
            base_turned=True,
        )

    @property
    def link_names(self) -> tuple[str, ...]:
        return tuple(self.prefix + link for link in LINKS)


class Ur3(UrArm):
    d, a = (0.1519, 0.11235, 0.08535, 0.0819), (-0.24365, -0.21325)
    speed = (180.0, 180.0, 180.0, 360.0, 360.0, 360.0)


class Ur3e(UrArm):
    d, a = (0.15185, 0.13105, 0.08535, 0.0921), (-0.24355, -0.2132)
    speed = Ur3.speed


class Ur5(UrArm):
    d, a = (0.089159, 0.10915, 0.09465, 0.0823), (-0.425, -0.39225)


class Ur5e(UrArm):
    d, a = (0.1625, 0.1333, 0.0997, 0.0996), (-0.425, -0.3922)


class Ur7e(Ur5e):
    """The UR5e under another name and with another payload."""


class Ur10(UrArm):
    d, a = (0.1273, 0.163941, 0.1157, 0.0922), (-0.612, -0.5723)
    speed = (120.0, 120.0, 180.0, 180.0, 180.0, 180.0)


class Ur10e(UrArm):
    d, a = (0.1807, 0.17415, 0.11985, 0.11655), (-0.6127, -0.57155)
    speed = Ur10.speed


class Ur12e(Ur10e):
    """The UR10e under another name and with another payload."""


class Ur8Long(UrArm):
    d, a = (0.2186, 0.1824, 0.1361, 0.1434), (-0.8989, -0.7149)
    speed = (180.0, 180.0, 240.0, 300.0, 300.0, 300.0)


class Ur15(UrArm):
    d, a = Ur8Long.d, (-0.6475, -0.5164)
    speed = Ur8Long.speed


class Ur16e(UrArm):
    d, a = Ur10e.d, (-0.4784, -0.36)
    speed = Ur10.speed


class Ur18(UrArm):
    d, a = Ur8Long.d, (-0.475, -0.3389)
    speed = Ur8Long.speed


class Ur20(UrArm):
    d, a = (0.2363, 0.201, 0.1593, 0.1543), (-0.862, -0.7287)
    speed = (120.0, 120.0, 150.0, 210.0, 210.0, 210.0)


class Ur30(UrArm):
    d, a = Ur20.d, (-0.637, -0.5037)
    speed = Ur20.speed
