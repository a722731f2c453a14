"""The motion closest to a command that the limits allow: judged as a whole, slowed down until it fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jsac_ros.control.motion import Limits, Motion, move, reach
from jsac_ros.control.safety.bounds import Bounds

CHANGED = 1e-6  # rad/s, m/s; anything smaller is rounding
_HALVINGS = 5  # bisections of the allowed share of a command: resolution of 3 %

ToMotion = Callable[[np.ndarray], Motion]  # target velocity [N] -> the motion within the limits


class Start(NamedTuple):
    """The state at which a motion begins: s on the motions' clock, and [N] each."""

    time_s: float
    position: np.ndarray
    velocity: np.ndarray
    acceleration: np.ndarray


def shape(
    velocity: np.ndarray, start: Start, starts: np.ndarray, duration_s: float, limits: Limits, bounds: Bounds | None
) -> tuple[Motion | None, tuple[str, ...]]:
    """velocity [N] for `duration_s` -> the motion to send, names of the rules that changed it. None: none is allowed or needed;
    the previous motion and the brake from it stay valid.

    `starts` [S, N]: all positions where the robot may be. `bounds` None: a base, limited in speed and acceleration.
    """
    rules = []
    fastest = np.max(np.abs(velocity) / limits.speed, initial=1.0)
    if fastest > 1:
        rules.append("speed")
    target = velocity / fastest  # as a whole: the direction is kept
    if not np.any(target) and not np.any(start.velocity):
        return None, tuple(rules)

    def motion_to(target: np.ndarray) -> Motion:
        return move(*start, target, duration_s, limits)

    motion = motion_to(target)
    if np.abs(motion.cruise - target).max() > CHANGED:
        rules.append("acceleration" if limits.jerk is None else "jerk")
    if bounds is None or _allowed(motion, starts, limits, bounds):
        return motion, tuple(rules)
    within_joints = _within_joint_ranges(motion_to, starts, target, limits, bounds)
    if np.any(within_joints != target):
        rules.append("joint_limit")
        motion = motion_to(within_joints)
    if not _allowed(motion, starts, limits, bounds):
        rules.append("box")
        motion = _less(motion_to, starts, within_joints, limits, bounds)
    stays = motion is None or not np.any(start.velocity) and np.abs(motion.cruise).max() < CHANGED
    return None if stays else motion, tuple(rules)


def _within_joint_ranges(
    motion_to: ToMotion, starts: np.ndarray, target: np.ndarray, limits: Limits, bounds: Bounds
) -> np.ndarray:
    """Slows down only the joints that would leave their range: [N]. At a limit the other joints continue."""
    # A joint that is slowed down may brake together with faster ones: judge all as if they took the longest brake.
    brake_s = max(motion_to(wanted).segments[-1].duration_s for wanted in (target, np.zeros_like(target)))

    def inside(target: np.ndarray) -> np.ndarray:
        offsets, _ = reach(motion_to(target), limits, brake_s)
        return bounds.joints_stay_inside(starts, offsets)

    allowed = inside(target)
    if allowed.all():
        return target
    share, step = np.where(allowed, 1.0, 0.0), np.where(allowed, 0.0, 0.5)
    for _ in range(_HALVINGS):
        more = share + step
        share = np.where(inside(more * target), more, share)
        step = step / 2
    return share * target


def _allowed(motion: Motion, starts: np.ndarray, limits: Limits, bounds: Bounds) -> bool:
    offsets, speeds = reach(motion, limits)
    return (
        bool(bounds.joints_stay_inside(starts, offsets).all())
        and bounds.tool_stays_inside(starts, offsets)
        and bool(np.all(speeds <= np.maximum(limits.speed, speeds[0]) + CHANGED))
    )


def _less(motion_to: ToMotion, starts: np.ndarray, target: np.ndarray, limits: Limits, bounds: Bounds) -> Motion | None:
    """As much of the whole command as is allowed, with its direction kept; None if not even its braking is."""
    best = motion_to(np.zeros_like(target))
    if not _allowed(best, starts, limits, bounds):
        return None
    share, step = 0.0, 0.5
    for _ in range(_HALVINGS):
        motion = motion_to((share + step) * target)
        if _allowed(motion, starts, limits, bounds):
            best, share = motion, share + step
        step /= 2
    return best
