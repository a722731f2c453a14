"""Universal Robots' arms: nominal kinematics and limits (ur_description, ROS 2 driver).

The numbers are nominal; a calibrated arm differs by millimetres, so leave that much in a workspace box.
"""

from __future__ import annotations

import math

import numpy as np

from jsac_ros.robots.arm import Arm, links_from_dh

JOINTS = (
    "shoulder_pan_joint",
    "shoulder_lift_joint",
    "elbow_joint",
    "wrist_1_joint",
    "wrist_2_joint",
    "wrist_3_joint",
)
# Of ur_dashboard_msgs/SafetyMode, by number; the arm moves in the first two.
SAFETY_MODES = {
    1: "normal", 2: "reduced", 3: "protective stop", 4: "recovery", 5: "safeguard stop", 6: "system emergency stop",
    7: "robot emergency stop", 8: "violation", 9: "fault", 10: "validate joint ID", 11: "undefined",
    12: "automatic mode safeguard stop", 13: "three-position enabling stop",
}  # fmt: skip
MOVING_MODES = (1, 2)
_ALPHA = (math.pi / 2, 0.0, 0.0, math.pi / 2, -math.pi / 2, 0.0)
_FULL_TURN = 2 * math.pi
_DEGREE = math.pi / 180

# model: (a, d) in m, speed limits in degrees/s
_MODELS = {
    "ur5": (
        (0.0, -0.425, -0.39225, 0.0, 0.0, 0.0),
        (0.089159, 0.0, 0.0, 0.10915, 0.09465, 0.0823),
        (180.0,) * 6,
    ),
    "ur5e": (
        (0.0, -0.425, -0.3922, 0.0, 0.0, 0.0),
        (0.1625, 0.0, 0.0, 0.1333, 0.0997, 0.0996),
        (180.0,) * 6,
    ),
    "ur3e": (
        (0.0, -0.24355, -0.2132, 0.0, 0.0, 0.0),
        (0.15185, 0.0, 0.0, 0.13105, 0.08535, 0.0921),
        (180.0, 180.0, 180.0, 360.0, 360.0, 360.0),
    ),
}
MODELS = tuple(_MODELS)


def ur_arm(model: str, prefix: str = "") -> Arm:
    """The arm `model` with joint names prefixed as the driver's `tf_prefix` does. Raises KeyError if unknown."""
    a, d, speeds = _MODELS[model]
    # The elbow cannot turn past the upper arm; the endless wrist 3 of the e-series is kept to one turn each way.
    reach = np.array((_FULL_TURN, _FULL_TURN, math.pi, _FULL_TURN, _FULL_TURN, _FULL_TURN))
    return Arm(
        model=model,
        names=tuple(prefix + joint for joint in JOINTS),
        lower=-reach,
        upper=reach,
        max_velocity=np.array(speeds) * _DEGREE,
        links=links_from_dh(a, d, _ALPHA),
        base_turned=True,
    )
