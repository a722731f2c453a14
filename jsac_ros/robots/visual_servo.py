"""Servos that know where the target is: what a near perfect policy earns.

The arm's is image-based: the picture's features are the disc's place and size; joint speeds follow from a numerical
Jacobian.
"""

from __future__ import annotations

import math

import numpy as np

from jsac_ros.robots.arena import LENGTH
from jsac_ros.robots.arm import Arm
from jsac_ros.robots.reacher_screen import Monitor, camera_axes
from jsac_ros.robots.sim_base import SimBase

_STEP = 1e-4  # rad, of the numerical Jacobian
_DAMPING = 0.02
_GAIN = 4.0  # 1/s
_GOAL_DISTANCE = 0.27  # m; the disc then covers more red than the reward counts


def features(arm: Arm, monitor: Monitor, q: np.ndarray, disc: np.ndarray) -> np.ndarray:
    """[3]: the disc's centre across and down, over its depth, and the logarithm of the depth in m."""
    position, rotation = arm.forward(q)
    across, down, depth = np.stack(camera_axes(rotation)) @ (monitor.points(disc[None])[0] - position)
    depth = max(depth, 0.05)
    return np.array((across / depth, down / depth, np.log(depth)))


def servo_velocity(
    arm: Arm, monitor: Monitor, q: np.ndarray, disc: np.ndarray, joints: int, max_speed: np.ndarray
) -> np.ndarray:
    """rad/s [joints] of the first joints towards the disc; the direction is kept where a speed is too large."""
    now = features(arm, monitor, q, disc)
    jacobian = np.empty((3, joints))
    for j in range(joints):
        moved = q.copy()
        moved[j] += _STEP
        jacobian[:, j] = (features(arm, monitor, moved, disc) - now) / _STEP
    error = np.array((0.0, 0.0, np.log(_GOAL_DISTANCE))) - now
    damped = jacobian @ jacobian.T + _DAMPING**2 * np.eye(3)
    velocity = _GAIN * jacobian.T @ np.linalg.solve(damped, error)
    return velocity / max(1.0, float(np.max(np.abs(velocity) / max_speed)))


def drive_to_sign(base: SimBase, max_speed: np.ndarray) -> np.ndarray:
    """[m/s, rad/s] of a base that knows its pose: it turns to the sign and drives at it, slower the more it is off."""
    bearing = math.remainder(math.atan2(base.sign_y - base.y, LENGTH - base.x) - base.heading, math.tau)
    return max_speed * (max(0.0, 1.0 - abs(bearing)), np.clip(_GAIN * bearing / max_speed[1], -1.0, 1.0))
