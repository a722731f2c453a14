"""A motion that the gate sends to the robot: change the speed for a while, then come to rest.

A motion has two polynomial segments. Joint angles (or a base's path) are at most quartic in time, so a trajectory
controller that gets position, velocity and acceleration at the ends of a segment follows it exactly; without a
jerk limit they are quadratic, and position and velocity suffice.
All arrays are float64; N is the number of joints (2 for a base: forward, turn); rad, rad/s, rad/s^2 (m for prismatic joints
and for a base).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# With points closer than this, a millisecond of jitter between sender and controller would cause a jerk.
SHORTEST_BRAKE_S = 0.08


_EXPONENTS = np.arange(5)
_FIRST, _SECOND = np.array((1.0, 2.0, 3.0, 4.0))[:, None], np.array((2.0, 6.0, 12.0))[:, None]  # of derivatives


class Limits(NamedTuple):
    """[N] each."""

    speed: np.ndarray
    acceleration: np.ndarray
    jerk: np.ndarray | None = None  # None: not limited


class Segment(NamedTuple):
    duration_s: float
    coefficients: np.ndarray  # [5, N], ascending powers of the time since its start

    def at(self, t: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Position, velocity and acceleration [N] at t seconds. One product: for arrays of six the overhead dominates."""
        t2, t3 = t * t, t * t * t
        powers = ((1.0, t, t2, t3, t2 * t2), (0.0, 1.0, 2 * t, 3 * t2, 4 * t3), (0.0, 0.0, 2.0, 6 * t, 12 * t2))
        q, v, acc = np.array(powers) @ self.coefficients
        return q, v, acc

    def along(self, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `at`, [R, N] each, at R shares of the duration."""
        powers = (shares * self.duration_s)[:, None] ** _EXPONENTS
        c = self.coefficients
        return powers @ c, powers[:, :4] @ (c[1:] * _FIRST), powers[:, :3] @ (c[2:] * _SECOND)


class Motion(NamedTuple):
    start_s: float
    segments: tuple[Segment, ...]  # the last one ends at rest

    @property
    def duration_s(self) -> float:
        return sum(segment.duration_s for segment in self.segments)

    @property
    def cruise(self) -> np.ndarray:
        """[N]: the velocity that it ramps to before it brakes; 0 if it only brakes."""
        first = self.segments[0]
        return first.at(first.duration_s)[1]

    def at(self, now_s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Position, velocity and acceleration [N]; at rest after the end."""
        t = max(now_s - self.start_s, 0.0)
        for segment in self.segments:
            if t < segment.duration_s:
                return segment.at(t)
            t -= segment.duration_s
        position = segment.at(segment.duration_s)[0]
        return position, np.zeros_like(position), np.zeros_like(position)

    def points(self, with_start: bool = False) -> list[tuple[float, np.ndarray, np.ndarray, np.ndarray]]:
        """End of each segment, and the start if requested: seconds since the start, position, velocity, acceleration."""
        ends, elapsed = [(0.0, *self.segments[0].at(0.0))] if with_start else [], 0.0
        for segment in self.segments:
            elapsed += segment.duration_s
            ends.append((elapsed, *segment.at(segment.duration_s)))
        position = ends[-1][1]
        ends[-1] = (elapsed, position, np.zeros_like(position), np.zeros_like(position))  # without rounding
        return ends


def move(start_s, position, velocity, acceleration, target, duration_s, limits: Limits) -> Motion:
    """Towards the velocity `target` [N] for `duration_s`, as far as the limits allow, then brake."""
    first = _ramp(position, velocity, acceleration, target, duration_s, limits)
    return Motion(start_s, (first, _brake(*first.at(duration_s), limits)))


def stop(start_s, position, velocity, acceleration, limits: Limits) -> Motion:
    """To rest at once, all joints ending together: their path stays a straight line in joint space."""
    return Motion(start_s, (_brake(position, velocity, acceleration, limits),))


def _ramp(q, v, acc, target, duration_s, limits: Limits) -> Segment:
    if limits.jerk is None:
        change = np.clip((target - v) / duration_s, -limits.acceleration, limits.acceleration)
        return Segment(duration_s, np.stack((q, v, change / 2, np.zeros_like(q), np.zeros_like(q))))
    low, high = _smooth_range(acc, duration_s, limits)
    end = v + np.clip((target - v) / duration_s, low, high) * duration_s
    return _smooth(q, v, acc, end, duration_s)


def _brake(q, v, acc, limits: Limits) -> Segment:
    duration_s = max(float(brake_time(v, acc, limits)), SHORTEST_BRAKE_S)
    if limits.jerk is None:
        zero = np.zeros_like(q)
        return Segment(duration_s, np.stack((q, v, -v / (2 * duration_s), zero, zero)))
    return _smooth(q, v, acc, np.zeros_like(v), duration_s)


def _smooth(q, v, acc, end, duration_s) -> Segment:
    """Velocity as a cubic from (v, acc) to (end, 0): the acceleration never steps."""
    d, t = end - v, duration_s
    c3 = (3 * d / t - 2 * acc) / (3 * t)
    c4 = (acc - 2 * d / t) / (4 * t * t)
    return Segment(duration_s, np.stack((q, v, acc / 2, c3, c4)))


def _smooth_range(acc, duration_s, limits: Limits) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest mean acceleration [N] of a smooth ramp that keeps acceleration and jerk within limits.

    With x = t / T and mean acceleration d, a(x) = acc (1 - 4x + 3x^2) + 6 d x (1 - x); the jerk is extreme at the
    ends: (6d - 4acc) / T and (2acc - 6d) / T. If no value is within the limits, d = acc / 2 has the least jerk.
    """
    reach = limits.jerk * duration_s
    lows = [(4 * acc - reach) / 6, (2 * acc - reach) / 6]
    highs = [(4 * acc + reach) / 6, (2 * acc + reach) / 6]
    for x in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        given, share = acc * (1 - 4 * x + 3 * x * x), 6 * x * (1 - x)
        lows.append((-limits.acceleration - given) / share)
        highs.append((limits.acceleration - given) / share)
    low, high = np.max(lows, axis=0), np.min(highs, axis=0)
    nothing = low > high
    return np.where(nothing, acc / 2, low), np.where(nothing, acc / 2, high)


def brake_time(v: np.ndarray, acc: np.ndarray, limits: Limits) -> np.ndarray:
    """Seconds to rest from velocity v and acceleration acc, [..., N] -> [...]; all joints take as long as the slowest.

    With a jerk limit the brake is the cubic of `_smooth`: its acceleration stays below 3|v|/2T + |acc|/3, its jerk
    below 6|v|/T^2 + 4|acc|/T.
    """
    speed = np.abs(v)
    if limits.jerk is None:
        return (speed / limits.acceleration).max(axis=-1)
    c, j = np.abs(acc), limits.jerk
    by_acceleration = 1.5 * speed / np.maximum(limits.acceleration - c / 3, limits.acceleration / 2)
    by_jerk = (4 * c + np.sqrt(16 * c * c + 24 * speed * j)) / (2 * j)
    return np.maximum(by_acceleration, by_jerk).max(axis=-1)


_RAMP_SHARES = np.linspace(0.0, 1.0, 5)
_BRAKE_SHARES = np.array((0.0, 0.35, 0.7, 1.0))[:, None, None]
# Distance of a brake up to these shares of its duration T: in v T, and in initial acceleration times T^2.
_EVEN_WAY = _BRAKE_SHARES - _BRAKE_SHARES**2 / 2
_SMOOTH_WAY = _BRAKE_SHARES - _BRAKE_SHARES**3 + _BRAKE_SHARES**4 / 2
_SMOOTH_BEND = _BRAKE_SHARES**2 / 2 - 2 * _BRAKE_SHARES**3 / 3 + _BRAKE_SHARES**4 / 4


def reach(motion: Motion, limits: Limits, brake_s: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Positions that the motion may reach, relative to its start [K, N], and speeds on the way [K, N].

    They are along the motion itself and along the brake from every fifth of its first segment, so that stopping at
    any instant stays within what was judged. `brake_s`: judge as if braking took at least this long.
    """
    *ramps, brake = motion.segments
    origin = motion.segments[0].coefficients[0]
    if ramps:
        q, v, acc = ramps[0].along(_RAMP_SHARES)
    else:
        q, v, acc = (array[None] for array in brake.at(0.0))
    duration = np.maximum(brake_time(v, acc, limits), max(brake_s, SHORTEST_BRAKE_S))[:, None]  # [R, 1]
    if limits.jerk is None:
        way = q - origin + _EVEN_WAY * (v * duration)
    else:
        way = q - origin + _SMOOTH_WAY * (v * duration) + _SMOOTH_BEND * (acc * duration * duration)
    return way.reshape(-1, way.shape[-1]), np.abs(v)
