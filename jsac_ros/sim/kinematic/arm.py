"""An arm and its ros2_control controllers, as the safety node meets them: pure, stepped by its caller.

Semantics of the joint trajectory controller, the forward velocity controller and the UR driver (ROS 2 Jazzy sources).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from jsac_ros.robots.robot import Robot
from jsac_ros.robots.ur import FULL_SPEED_PERCENT
from jsac_ros.sim.trajectory import CommandRefused, Trajectory, check

_RAMP_UP = 0.01  # of the speed share, a cycle, after the robot was stopped


class SimArm:
    """Not thread-safe. `q`, `qd`, `acceleration` are float64 [N] in the arm's order."""

    def __init__(self, arm: Robot, q: np.ndarray, interface: Literal["trajectory", "velocity"], max_acceleration_rad_s2: float):
        self.arm = arm
        self.interface = interface
        self.q = np.array(q, np.float64)
        self.qd = np.zeros(len(arm))
        self.acceleration = np.zeros(len(arm))
        self.protective_stop = False
        self.speed_slider = 1.0  # share of full speed, on the pendant
        self._speed_share, self._ramps_up = 1.0, False
        self._start = self.q
        self._max_acceleration = max_acceleration_rad_s2
        self._time = 0.0  # of the controller, slowed as the robot is
        self._sampled = 0.0  # the controller's time of the angles that it has asked for last
        self.restart()

    def restart(self) -> None:
        """The driver starts again: no command is remembered; the arm brakes to rest and stays."""
        self.controller_failed = False
        self._trajectory: Trajectory | None = None
        self._next: tuple[Trajectory, list[int], float] | None = None
        self._velocity = np.zeros(len(self.arm))
        self._braking = True

    def reset(self, q: np.ndarray | None = None) -> None:
        """At once, at rest where it began or at q."""
        self.q = np.array(self._start if q is None else q, np.float64)
        self.qd, self.acceleration = np.zeros(len(self.arm)), np.zeros(len(self.arm))
        self.restart()

    @property
    def effort(self) -> np.ndarray:
        """[N]: the UR driver's effort is motor current, A: some for holding, some for accelerating."""
        return 0.4 * np.cos(self.q) + 0.2 * self.acceleration

    @property
    def pose(self) -> tuple[float, float, float]:
        """Of its foot."""
        return 0.0, 0.0, 0.0

    @property
    def speed_scaling(self) -> float:
        """Percent, as the driver's speed_scaling_state_broadcaster says it: the robot's 0..1 times 100."""
        return FULL_SPEED_PERCENT * self._speed_share

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
        check(trajectory, len(self.arm), starts_in_s)
        self._next = trajectory, [names.index(name) for name in self.arm.names], starts_in_s

    def _from_here(self, trajectory: Trajectory, order: list[int], starts_in_s: float) -> Trajectory:
        """In our order. Before a first point that is still to come is the arm's present state, whatever it was told before; a
        first point that is due counts itself."""

        def points(here: np.ndarray, there: np.ndarray | None) -> np.ndarray | None:
            if there is None:
                return None
            return np.vstack((here, there[:, order])) if joins else there[:, order]

        times = trajectory.times + self._time + starts_in_s
        joins = times[0] > self._time
        if joins:
            self._sampled = self._time
        return Trajectory(
            np.append(self._time, times) if joins else times,
            points(self.q, trajectory.positions),
            points(self.qd, trajectory.velocities),
            points(self.acceleration, trajectory.accelerations),
        )

    def command_velocity(self, velocity: Sequence[float]) -> None:
        """rad/s [N] in the controller's order, kept until another comes: there is no time-out.

        Raises CommandRefused: a wrong length fails the controller until a restart; a value that is not finite is
        dropped and the command before it continues.
        """
        if self.interface != "velocity":
            raise CommandRefused("the velocity controller is not active")
        if self.controller_failed:
            raise CommandRefused("the velocity controller has failed; restart the driver")
        if len(velocity) != len(self.arm):
            self.controller_failed = True
            raise CommandRefused(f"velocity command has {len(velocity)} values; expected {len(self.arm)}")
        if not all(map(math.isfinite, velocity)):
            raise CommandRefused("velocity command has a value that is not finite; the last one continues")
        self._velocity = np.array(velocity, np.float64)
        self._braking = False

    def step(self, dt: float) -> None:
        """Moves the arm on by `dt` seconds; then its controller takes what has come since the step before."""
        self._scale()
        self._move(dt)
        self._time += self._speed_share * dt
        if self._next:
            self._trajectory, self._next, self._braking = self._from_here(*self._next), None, False

    def _move(self, dt: float) -> None:
        """Within the acceleration and speed that the arm is able to do."""
        stopping = self._braking or self.protective_stop or self.controller_failed
        wanted = np.zeros_like(self.qd) if stopping else self._wanted(dt)
        fastest, change = self.arm.max_velocity, self._max_acceleration * dt
        qd = self.qd + np.clip(np.clip(wanted, -fastest, fastest) - self.qd, -change, change)
        q = self.q + (self.qd + qd) / 2 * dt
        self.q = np.clip(q, self.arm.lower, self.arm.upper)
        qd[self.q != q] = 0.0  # against the hard stop
        self.acceleration = (qd - self.qd) / dt
        self.qd = qd

    def _scale(self) -> None:
        """0 while the robot is stopped; afterwards the driver goes up by a hundredth a cycle to what the slider says."""
        if self.protective_stop:
            self._speed_share = 0.0
        else:
            self._speed_share = min(self._speed_share + _RAMP_UP, self.speed_slider) if self._ramps_up else self.speed_slider
        self._ramps_up = self._speed_share < self.speed_slider

    def _wanted(self, dt: float) -> np.ndarray:
        """rad/s [N] that the robot is to reach over the next `dt`: what the controller asks for, slowed."""
        share = self._speed_share
        if self._trajectory is None:
            return share * self._velocity
        # The speed that is due at the end of the step: with the mean over the step the arm would lag and then catch
        # up, at more than the acceleration that was asked for.
        # Of its own, slowed clock: a whole period ahead of it the arm would be asked for steps wherever our periods differ.
        end, moment = self._time + share * dt, dt / 64
        progress = (end - self._sampled) / dt
        speed = progress * (self._trajectory.at(end) - self._trajectory.at(end - moment)) / moment
        error = self._trajectory.at(self._sampled) - self.q
        self._sampled = end
        # Half of the error a step (all of it would swing), and never faster than it can brake again.
        pull = np.minimum(np.abs(error) / (2 * dt), np.sqrt(2 * self._max_acceleration * np.abs(error)))
        return speed + np.sign(error) * pull
