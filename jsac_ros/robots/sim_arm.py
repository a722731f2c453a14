"""An arm and its ros2_control controllers, as the safety node meets them: pure, stepped by whoever holds the clock.

Semantics of the joint trajectory controller, the forward velocity controller and the UR driver (ROS 2 Jazzy sources).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jsac_ros.robots.arm import Arm


@dataclass(frozen=True)
class Trajectory:
    """Points in the order of time, on the arm's own clock; the first is where the arm was when it came in.

    Between points: straight lines, cubics where velocities are given, quintics where accelerations are too.
    """

    times: np.ndarray  # s [K]
    positions: np.ndarray  # rad [K, N]
    velocities: np.ndarray | None = None  # rad/s [K, N]
    accelerations: np.ndarray | None = None  # rad/s^2 [K, N]

    def at(self, time: float) -> np.ndarray:
        """Desired angles, rad [N]; the last point's after the end."""
        k = int(np.searchsorted(self.times, time, side="right"))
        if k == 0:
            return self.positions[0]
        if k == len(self.times):
            return self.positions[-1]
        span = self.times[k] - self.times[k - 1]
        u = (time - self.times[k - 1]) / span
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


class CommandRefused(ValueError):
    """The controller does not take this message; one line that says why."""


class SimArm:
    """Not thread-safe. `q`, `qd`, `acceleration` are float64 [N] in the arm's order."""

    def __init__(
        self, arm: Arm, q: np.ndarray, interface: Literal["trajectory", "velocity"], max_acceleration_rad_s2: float
    ):
        self.arm = arm
        self.interface = interface
        self.q = np.array(q, np.float64)
        self.qd = np.zeros(len(arm))
        self.acceleration = np.zeros(len(arm))
        self.protective_stop = False
        self._max_acceleration = max_acceleration_rad_s2
        self._time = 0.0  # stands still in a protective stop, as the scaled controller's does
        self.restart()

    def restart(self) -> None:
        """The driver starts again: no command is remembered; the arm brakes to rest and stays."""
        self.controller_failed = False
        self._trajectory: Trajectory | None = None
        self._next: tuple[Trajectory, list[int], float] | None = None
        self._velocity = np.zeros(len(self.arm))
        self._braking = True

    @property
    def program_running(self) -> bool:
        return not self.protective_stop

    def command_trajectory(self, names: Sequence[str], trajectory: Trajectory, starts_in_s: float = 0.0) -> None:
        """Replaces what is being executed, from the next step on. Points in the order of `names`; their times count
        from the begin of that step, or from `starts_in_s` after it.

        Raises CommandRefused where the real controller would not take it.
        """
        if self.interface != "trajectory":
            raise CommandRefused("the trajectory controller is not active")
        if sorted(names) != sorted(self.arm.names):
            raise CommandRefused(f"trajectory is for {', '.join(names)}; expected {', '.join(self.arm.names)}")
        if len(trajectory.times) == 0:
            self._trajectory, self._next, self._braking = None, None, True
            return
        _check(trajectory, len(self.arm))
        self._next = trajectory, [names.index(name) for name in self.arm.names], starts_in_s

    def _from_here(self, trajectory: Trajectory, order: list[int], start: float) -> Trajectory:
        """In our order, with the arm's present state before the points that are still to come."""
        times = np.asarray(trajectory.times, np.float64) + start
        ahead = times > self._time
        if not ahead.any():
            return Trajectory(times[-1:], np.asarray(trajectory.positions)[-1:, order])

        def joined(here: np.ndarray, points: np.ndarray | None) -> np.ndarray | None:
            return None if points is None else np.vstack((here, np.asarray(points)[ahead][:, order]))

        return Trajectory(
            np.append(self._time, times[ahead]),
            joined(self.q, trajectory.positions),
            joined(self.qd, trajectory.velocities),
            joined(self.acceleration, trajectory.accelerations),
        )

    def command_velocity(self, velocity: Sequence[float]) -> None:
        """rad/s [N] in the controller's order, kept until another comes: there is no time-out.

        Raises CommandRefused: a wrong length fails the controller until a restart; a value that is not finite is
        dropped and the command before it goes on.
        """
        if self.interface != "velocity":
            raise CommandRefused("the velocity controller is not active")
        if self.controller_failed:
            raise CommandRefused("the velocity controller has failed; restart the driver")
        if len(velocity) != len(self.arm):
            self.controller_failed = True
            raise CommandRefused(f"velocity command has {len(velocity)} values; expected {len(self.arm)}")
        if not all(map(math.isfinite, velocity)):
            raise CommandRefused("velocity command has a value that is not finite; the last one goes on")
        self._velocity = np.array(velocity, np.float64)
        self._braking = False

    def step(self, dt: float) -> None:
        """Moves the arm on by `dt` seconds, within the acceleration and speed it is able to do."""
        stopping = self._braking or self.protective_stop or self.controller_failed
        wanted = np.zeros_like(self.qd) if stopping else self._wanted(dt)
        fastest, change = self.arm.max_velocity, self._max_acceleration * dt
        qd = self.qd + np.clip(np.clip(wanted, -fastest, fastest) - self.qd, -change, change)
        q = self.q + (self.qd + qd) / 2 * dt
        self.q = np.clip(q, self.arm.lower, self.arm.upper)
        qd[self.q != q] = 0.0  # against the hard stop
        self.acceleration = (qd - self.qd) / dt
        self.qd = qd
        if not self.protective_stop:
            self._time += dt
        if self._next:  # the controller looks once a cycle
            trajectory, order, starts_in_s = self._next
            self._trajectory = self._from_here(trajectory, order, self._time + starts_in_s)
            self._next, self._braking = None, False

    def _wanted(self, dt: float) -> np.ndarray:
        """rad/s [N] that the controller asks for over the next `dt`."""
        if self._trajectory is None:
            return self._velocity
        # The speed that is due at the end of the step: with the mean over the step the arm would lag and then catch
        # up, at more than the acceleration that was asked for.
        end, moment = self._time + dt, dt / 64
        speed = (self._trajectory.at(end) - self._trajectory.at(end - moment)) / moment
        error = self._trajectory.at(self._time) - self.q
        # Half of the error a step (all of it would swing), and never faster than it can brake again.
        pull = np.minimum(np.abs(error) / (2 * dt), np.sqrt(2 * self._max_acceleration * np.abs(error)))
        return speed + np.sign(error) * pull


def _check(trajectory: Trajectory, joints: int) -> None:
    """Raises CommandRefused where the points cannot be executed."""
    shape = (len(trajectory.times), joints)
    for what in (trajectory.positions, trajectory.velocities, trajectory.accelerations):
        if what is not None and np.shape(what) != shape:
            raise CommandRefused(f"trajectory points are not {shape[0]} points of {shape[1]} joints")
        if what is not None and not np.isfinite(what).all():
            raise CommandRefused("trajectory has a value that is not finite")
    if trajectory.times[0] < 0 or np.any(np.diff(trajectory.times) <= 0):
        raise CommandRefused("trajectory times do not increase")
    if trajectory.velocities is not None and np.any(trajectory.velocities[-1] != 0):
        raise CommandRefused("trajectory does not end at rest")
