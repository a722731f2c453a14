"""Position limits: joint ranges, and a box for the position and the orientation of the tool."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jsac_ros.config import ConfigError, SafetyConfig
from jsac_ros.robots.robot import Frame, Robot
from jsac_ros.robots.rotations import tilt_and_turn

# Margin inside every limit for effects that are not judged: noise and age of the joint states, and the tool's
# path between the judged poses.
JOINT_MARGIN = 0.002  # rad, or m of a prismatic joint
BOX_MARGIN_M = 0.002
BOX_MARGIN_RAD = 0.005
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Bounds:
    """Joint ranges [N] in rad or m and the tool's box; a robot that starts outside may only move back inside.

    `box`: lowest and highest position [3] in m; `rotations`: largest tilt and turn from the orientation at home, rad [2], inf
    for one that is not limited; None if neither is."""

    arm: Robot
    joint_lower: np.ndarray
    joint_upper: np.ndarray
    box: tuple[np.ndarray, np.ndarray] | None
    rotations: np.ndarray | None
    frame: Frame

    def joints_stay_inside(self, starts: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """starts [S, N]: where the robot may be now; offsets [K, N]: where it may go from there -> bool [N]."""
        highest, lowest = starts.max(axis=0), starts.min(axis=0)
        upper = np.maximum(self.joint_upper - JOINT_MARGIN, highest)
        lower = np.minimum(self.joint_lower + JOINT_MARGIN, lowest)
        return (highest + offsets.max(axis=0) <= upper + _ROUNDING) & (lowest + offsets.min(axis=0) >= lower - _ROUNDING)

    def tool_stays_inside(self, starts: np.ndarray, offsets: np.ndarray) -> bool:
        """As above, for the tool of the configured arm, by its forward kinematics."""
        if self.box is None and self.rotations is None:
            return True
        poses = np.concatenate((starts, (starts[:, None] + offsets).reshape(-1, starts.shape[1])))
        return self._places_inside(poses, len(starts)) and self._turned_inside(poses, len(starts))

    def _places_inside(self, poses: np.ndarray, starts: int) -> bool:
        """poses [P, N], of which the first are where the robot may be now."""
        if self.box is None:
            return True
        places = self.arm.tool_positions(poses, self.frame)
        here, there = places[:starts], places[starts:]
        upper = np.maximum(self.box[1] - BOX_MARGIN_M, here.max(axis=0))
        lower = np.minimum(self.box[0] + BOX_MARGIN_M, here.min(axis=0))
        return bool(np.all(there <= upper + _ROUNDING) and np.all(there >= lower - _ROUNDING))

    def _turned_inside(self, poses: np.ndarray, starts: int) -> bool:
        if self.rotations is None:
            return True
        turned = np.abs(tilt_and_turn(self._at_home.T @ self.arm.tool_rotations(poses)))
        most = np.maximum(self.rotations - BOX_MARGIN_RAD, turned[:starts].max(axis=0))
        return bool(np.all(turned[starts:] <= most + _ROUNDING))

    @cached_property
    def _at_home(self) -> np.ndarray:
        """[3, 3]: how the tool is turned at `robot.home`."""
        return self.arm.forward(self.arm.home)[1]

    def outside(self, q: np.ndarray) -> str | None:
        """Why the pose q, rad or m [N], is outside, in one line; None if it is inside."""
        ranges = zip(self.arm.names, q, self.joint_lower, self.joint_upper, self.arm.units)
        for name, value, low, high, unit in ranges:
            if not low <= value <= high:
                return f"{name} is at {value:.4f} {unit}; the limits are {low:.4f} to {high:.4f}"
        if self.box is not None:
            place = self.arm.forward(q, self.frame)[0]
            for axis, value, low, high in zip("xyz", place, *self.box):
                if not low <= value <= high:
                    return f"tool {axis} is at {value:.4f} m in {self.frame}; the box is {low:.4f} to {high:.4f}"
        if self.rotations is not None:
            turned = np.abs(tilt_and_turn(self._at_home.T @ self.arm.forward(q)[1]))
            for what, value, most in zip(("tilted", "turned"), turned, self.rotations):
                if value > most:
                    return f"tool is {what} by {value:.4f} rad from its orientation at robot.home; the limit is {most:g}"
        return None


def bounds_of(config: SafetyConfig, arm: Robot) -> Bounds:
    """The arm's own joint ranges, narrowed by the configured ones. Raises ConfigError."""
    lower = np.maximum(arm.lower, _row("safety.joint_lower", config.joint_lower, len(arm), arm.lower))
    upper = np.minimum(arm.upper, _row("safety.joint_upper", config.joint_upper, len(arm), arm.upper))
    for name, low, high in zip(arm.names, lower, upper):
        if not high - low > 2 * JOINT_MARGIN:
            raise ConfigError(f"safety.joint_lower {low:g} and joint_upper {high:g} leave {name} no room")
    return Bounds(arm, lower, upper, _box(config, arm), _rotations(config, arm), config.box_frame)


def rotations_of(config: SafetyConfig) -> np.ndarray | None:
    """Largest tilt and turn, rad [2], inf for one that is not limited; None if neither is."""
    limits = np.array((config.max_tilt_rad, config.max_turn_rad))
    return np.where(limits > 0, limits, np.inf) if limits.any() else None


def _rotations(config: SafetyConfig, arm: Robot) -> np.ndarray | None:
    limits = rotations_of(config)
    if limits is not None and not arm.has_kinematics:
        name = "max_tilt_rad" if config.max_tilt_rad else "max_turn_rad"
        raise ConfigError(f"safety.{name} is set; robot model {arm.model!r} has no kinematics to judge it by")
    return limits


def _row(name: str, values: tuple[float, ...], n: int, default: np.ndarray) -> np.ndarray:
    if not values:
        return default
    if len(values) != n or not np.isfinite(values).all():
        raise ConfigError(f"{name} is {list(values)}; expected {n} finite values, one for each joint")
    return np.array(values, np.float64)


def _box(config: SafetyConfig, arm: Robot) -> tuple[np.ndarray, np.ndarray] | None:
    if not config.box_lower and not config.box_upper:
        return None
    none = np.empty(0)
    lower = _row("safety.box_lower", config.box_lower or (np.nan,), 3, none)
    upper = _row("safety.box_upper", config.box_upper or (np.nan,), 3, none)
    if not np.all(upper - lower > 2 * BOX_MARGIN_M):
        raise ConfigError(f"safety.box_lower {lower.tolist()} and box_upper {upper.tolist()} leave the tool no room")
    if not arm.has_kinematics:
        raise ConfigError(f"safety.box_lower is set; robot model {arm.model!r} has no kinematics to judge a box by")
    return lower, upper
