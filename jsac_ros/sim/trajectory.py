"""A joint trajectory, interpolated as the joint trajectory controller does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


class CommandRefused(ValueError):
    """The controller rejects the command; the message is one line with the reason."""


@dataclass(frozen=True)
class Trajectory:
    """Points in the order of time, on the controller's clock.

    Interpolation is linear; cubic with velocities, quintic with velocities and accelerations.
    """

    times: np.ndarray  # s [K]
    positions: np.ndarray  # rad [K, N]
    velocities: np.ndarray | None = None  # rad/s [K, N]
    accelerations: np.ndarray | None = None  # rad/s^2 [K, N]

    @property
    def rows(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Positions, velocities and accelerations."""
        return self.positions, self.velocities, self.accelerations

    def at(self, time: float) -> np.ndarray:
        """Desired positions [N]; before the first point those of the first, after the last point those of the last."""
        return self.along(np.array([time]))[0]

    def along(self, times: np.ndarray) -> np.ndarray:
        """Desired positions [M, N] at times [M]."""
        if len(self.times) == 1:
            return np.broadcast_to(self.positions, (len(times), self.positions.shape[1])).copy()
        k = np.clip(np.searchsorted(self.times, times, side="right"), 1, len(self.times) - 1)
        span = (self.times[k] - self.times[k - 1])[:, None]
        u = np.clip((times[:, None] - self.times[k - 1][:, None]) / span, 0.0, 1.0)
        start, way = self.positions[k - 1], self.positions[k] - self.positions[k - 1]
        if self.velocities is None:
            return start + u * way
        v0, v1 = self.velocities[k - 1] * span, self.velocities[k] * span
        if self.accelerations is None:
            return start + u * (v0 + u * ((3 * way - 2 * v0 - v1) + u * (v0 + v1 - 2 * way)))
        a0, a1 = self.accelerations[k - 1] * span**2 / 2, self.accelerations[k] * span**2 / 2
        c3 = 10 * way - 6 * v0 - 4 * v1 - 3 * a0 + a1
        c4 = -15 * way + 8 * v0 + 7 * v1 + 3 * a0 - 2 * a1
        c5 = 6 * way - 3 * (v0 + v1) - a0 + a1
        return start + u * (v0 + u * (a0 + u * (c3 + u * (c4 + u * c5))))


def check(trajectory: Trajectory, joints: int, starts_in_s: float) -> None:
    """Raises CommandRefused if a controller cannot execute the points, or if the last one is over."""
    shape = (len(trajectory.times), joints)
    for what in trajectory.rows:
        if what is not None and np.shape(what) != shape:
            raise CommandRefused(f"trajectory points are not {shape[0]} points of {shape[1]} joints")
        if what is not None and not np.isfinite(what).all():
            raise CommandRefused("trajectory has a value that is not finite")
    if trajectory.times[0] < 0 or np.any(np.diff(trajectory.times) <= 0):
        raise CommandRefused("trajectory times do not increase")
    if trajectory.velocities is not None and np.any(trajectory.velocities[-1] != 0):
        raise CommandRefused("trajectory does not end at rest")
    if starts_in_s + trajectory.times[-1] < 0:
        raise CommandRefused(f"trajectory ends {-starts_in_s - trajectory.times[-1]:.3f} s in the past")
