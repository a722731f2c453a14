"""Derives joint limits, the tool box and home from taught poses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from jsac_ros.config import ConfigError
from jsac_ros.robots.limits import of_kind
from jsac_ros.robots.robot import Frame, Robot

_DIGITS = 1000.0  # limits are rounded to thousandths


def check_pose(q: np.ndarray, robot: Robot) -> None:
    """Raises ConfigError if a joint is outside the arm's limits."""
    for name, value, low, high, unit in zip(robot.names, q, robot.lower, robot.upper, robot.units):
        if not low <= value <= high:  # also if NaN
            raise ConfigError(f"{name} is at {value:.4f} {unit}; expected {low:.4f} to {high:.4f}, the limits of {robot.model}")


def learned(
    poses: Sequence[np.ndarray], home: np.ndarray | None, robot: Robot, frame: Frame, margin_m: float, margin_rad: float
) -> dict[str, tuple[float, ...]]:
    """{field of the configuration: its value}. poses: [N] each, in the order of the robot's joints, home included.

    The box gets a margin on all sides except below, where a table may be. Raises ConfigError if there are fewer than two poses,
    or if they coincide.
    """
    if len(poses) < 2:
        raise ConfigError(f"{len(poses)} poses were recorded; expected 2 or more, at opposite corners")
    home = None if home is None else np.round(home, 4)
    q = np.stack([*poses, *([] if home is None else [home])])  # includes the rounded home, which differs from the pose
    margins = of_kind(robot, margin_rad, margin_m)
    lower, upper = q.min(axis=0) - margins, q.max(axis=0) + margins
    fields = {
        "safety.joint_lower": _inside(_down(lower), robot.lower, math.ceil),
        "safety.joint_upper": _inside(_up(upper), robot.upper, math.floor),
    }
    if robot.has_kinematics:
        tool = robot.tool_positions(q, frame)
        low, high = tool.min(axis=0), tool.max(axis=0)
        if np.any(high - low < 0.005):
            axis = "xyz"[int(np.argmin(high - low))]
            raise ConfigError(
                f"all {len(poses)} poses of the tool are within {1e3 * (high - low).min():.0f} mm in {axis}; "
                "expected at least 5 mm: record a corner on the opposite side of the box"
            )
        fields["safety.box_lower"] = _down(low - (margin_m, margin_m, 0.0))
        fields["safety.box_upper"] = _up(high + margin_m)
    if home is not None:
        fields["robot.home"] = tuple(home.tolist())
    return fields


def _down(values: np.ndarray) -> tuple[float, ...]:
    return tuple(math.floor(value * _DIGITS) / _DIGITS for value in values.tolist())


def _up(values: np.ndarray) -> tuple[float, ...]:
    return tuple(math.ceil(value * _DIGITS) / _DIGITS for value in values.tolist())


def _inside(values: tuple[float, ...], limits: np.ndarray, rounded: Callable[[float], int]) -> tuple[float, ...]:
    """The values, limited to the arm's limits (rounded inwards)."""
    own = [rounded(limit * _DIGITS) / _DIGITS if math.isfinite(limit) else limit for limit in limits.tolist()]
    nearer = max if rounded is math.ceil else min
    return tuple(nearer(value, limit) for value, limit in zip(values, own))
