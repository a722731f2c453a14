"""Joint positions that bring the tool to a pose, near the start: for resets, not for control."""

from __future__ import annotations

import numpy as np

from jsac_ros.robots.robot import Frame, Robot
from jsac_ros.robots.rotations import rotation_vector

_STEPS = 50
_LONGEST_STEP = 0.2  # rad, of one joint
_REACHED = 1e-6  # m and rad
_DAMPING = 1e-4


def inverse(
    robot: Robot, position: np.ndarray, rotation: np.ndarray, start: np.ndarray, frame: Frame = "base_link"
) -> np.ndarray | None:
    """rad (m if prismatic) [N] inside the joints' ranges, by damped Gauss-Newton; None if the pose is not reached."""
    q = np.array(start, np.float64)
    for _ in range(_STEPS):
        place, turned, jacobian = robot.jacobian(q, frame)
        error = np.concatenate((position - place, rotation_vector(rotation @ turned.T)))
        if np.abs(error).max() < _REACHED:
            return q if np.all((robot.lower <= q) & (q <= robot.upper)) else None
        step = jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + _DAMPING**2 * np.eye(6), error)
        q = q + step / max(1.0, np.abs(step).max() / _LONGEST_STEP)
    return None
