"""The way home between two episodes: a straight joint move with feedback."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# A third of the time accelerating, a third cruising, a third braking: per unit of distance and duration. Between
# the quickest motion (no cruise, or only cruise) and the smoothest (minimum jerk, a quarter slower at the same limits).
PEAK_SPEED = 1.5
_PEAK_ACCELERATION = 4.5
# Feedback and rounding need part of the limits.
_SHARE = 0.95


@dataclass(frozen=True)
class HomeMove:
    """From `start` to `home` (rad or m, [N]) in `duration_s` seconds from `began_s`."""

    start: np.ndarray
    home: np.ndarray
    began_s: float
    duration_s: float

    def velocity(self, position: np.ndarray, now_s: float, gain: float) -> np.ndarray:
        """rad/s or m/s [N] that follow the profile from `position`; `gain` (1/s) pulls back onto it."""
        done, speed = self._profile(now_s)
        way = self.home - self.start
        return way * (speed / self.duration_s) + gain * (self.start + way * done - position)

    def behind(self, position: np.ndarray, now_s: float) -> np.ndarray:
        """The deviation of each joint from its planned position now, rad or m [N]."""
        done, _ = self._profile(now_s)
        return np.abs(self.start + (self.home - self.start) * done - position)

    def over(self, now_s: float) -> bool:
        return now_s - self.began_s >= self.duration_s

    def _profile(self, now_s: float) -> tuple[float, float]:
        return _profile(min(max((now_s - self.began_s) / self.duration_s, 0.0), 1.0))


def _profile(u: float) -> tuple[float, float]:
    """Share of the duration -> share of the way, and its derivative."""
    if u < 1 / 3:
        return 2.25 * u * u, 4.5 * u
    if u < 2 / 3:
        return 1.5 * u - 0.25, 1.5
    return 1 - 2.25 * (1 - u) ** 2, 4.5 * (1 - u)


def plan_home(
    start: np.ndarray, home: np.ndarray, now_s: float, duration_s: float, max_speed: np.ndarray, max_acceleration: np.ndarray
) -> HomeMove:
    """A move of `duration_s`, or longer if the limits ([N] each) require it; the gate applies a jerk limit."""
    way = np.abs(home - start)
    by_speed = PEAK_SPEED * float((way / max_speed).max(initial=0.0)) / _SHARE
    by_acceleration = (_PEAK_ACCELERATION * float((way / max_acceleration).max(initial=0.0)) / _SHARE) ** 0.5
    return HomeMove(start.copy(), home, now_s, max(duration_s, by_speed, by_acceleration))
