"""A servo that knows where the disc is, as an estimate of the best possible return.

It is image-based: the features are the disc's position and size; joint speeds follow from a numerical Jacobian.
"""

from __future__ import annotations

import numpy as np

from jsac_ros.robots.robot import Robot
from jsac_ros.tasks.ur5_reacher.screen import Monitor, camera_axes

_STEP = 1e-4  # rad, of the numerical Jacobian
_DAMPING = 0.02
_GAIN = 4.0  # 1/s
_GOAL_DISTANCE = 0.27  # m; the disc then covers a larger share than the reward counts


def features(robot: Robot, monitor: Monitor, q: np.ndarray, disc: np.ndarray) -> np.ndarray:
    """[3]: the disc's centre across and down, over its depth, and the logarithm of the depth in m."""
    position, rotation = robot.forward(q)
    across, down, depth = np.stack(camera_axes(rotation)) @ (monitor.points(disc[None])[0] - position)
    depth = max(depth, 0.05)
    return np.array((across / depth, down / depth, np.log(depth)))


def servo_velocity(
    robot: Robot, monitor: Monitor, q: np.ndarray, disc: np.ndarray, joints: np.ndarray, max_speed: np.ndarray
) -> np.ndarray:
    """rad/s [n] of the joints with these indices towards the disc; if a speed is too large, all are scaled."""
    now = features(robot, monitor, q, disc)
    jacobian = np.empty((3, len(joints)))
    for column, joint in enumerate(joints):
        moved = q.copy()
        moved[joint] += _STEP
        jacobian[:, column] = (features(robot, monitor, moved, disc) - now) / _STEP
    error = np.array((0.0, 0.0, np.log(_GOAL_DISTANCE))) - now
    damped = jacobian @ jacobian.T + _DAMPING**2 * np.eye(3)
    velocity = _GAIN * jacobian.T @ np.linalg.solve(damped, error)
    return velocity / max(1.0, float(np.max(np.abs(velocity) / max_speed)))
