"""The ros2_control controllers of a simulated arm: from commands to desired joint positions.

Semantics of ROS 2 Jazzy's joint trajectory controller (UR's speed-scaled variant) and forward velocity controller. A new
trajectory replaces the previous one and starts at its current desired positions. Trajectory time advances at the speed
scaling of the robot; it stands still during a protective stop and continues afterwards. A velocity is kept until the next one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from jsac_ros.robots.robot import Robot
from jsac_ros.sim.trajectory import CommandRefused, Trajectory, check

_MOMENT_S = 1e-4  # step of the finite differences for desired velocity and acceleration


class JointController:
    """Not thread-safe. Positions are rad (m if prismatic), float64 [N] in the robot's order."""

    def __init__(self, robot: Robot, interface: Literal["trajectory", "velocity"], max_acceleration: float):
        self._robot, self._interface, self._max_acceleration = robot, interface, max_acceleration
        self._time_s = 0.0  # trajectory time, slowed by speed scaling
        self.restart(robot.home)

    def restart(self, q: np.ndarray) -> None:
        """Restarts the driver at the robot's current position; earlier commands are forgotten."""
        self.failed = False
        self._trajectory = Trajectory(np.zeros(1), np.array([q], np.float64))
        self._velocity, self._wanted = np.zeros(len(q)), np.zeros(len(q))
        self._place = np.array(q, np.float64)  # desired position of the velocity controller

    def command_trajectory(self, names: Sequence[str], trajectory: Trajectory, starts_in_s: float = 0.0) -> None:
        """Raises CommandRefused if the real controller would reject the trajectory."""
        if self._interface != "trajectory":
            raise CommandRefused("the trajectory controller is not active")
        if sorted(names) != sorted(self._robot.names):
            raise CommandRefused(f"trajectory is for {', '.join(names)}; expected {', '.join(self._robot.names)}")
        if len(trajectory.times) == 0:
            self._trajectory = Trajectory(np.zeros(1), self._trajectory.at(self._time_s)[None])
            return
        check(trajectory, len(self._robot), starts_in_s)
        order = [names.index(name) for name in self._robot.names]
        self._trajectory = self._from_here(trajectory, order, self._time_s + starts_in_s)

    def command_velocity(self, velocity: Sequence[float]) -> None:
        """Raises CommandRefused. A wrong length puts the controller into failure until a restart; a command with a
        non-finite value is dropped and the previous one is kept."""
        if self._interface != "velocity":
            raise CommandRefused("the velocity controller is not active")
        if self.failed:
            raise CommandRefused("the velocity controller has failed; restart the driver")
        if len(velocity) != len(self._robot):
            self.failed = True
            raise CommandRefused(f"velocity command has {len(velocity)} values; expected {len(self._robot)}")
        if not all(map(math.isfinite, velocity)):
            raise CommandRefused("velocity command has a value that is not finite; the last one is kept")
        self._wanted = np.array(velocity, np.float64)

    def desired(self, steps: int, dt: float, share: float) -> np.ndarray:
        """The next `steps` desired positions, dt seconds apart, [steps, N]. share: speed scaling, 0..1; 0: stopped."""
        if self._interface == "velocity":
            return np.array([self._next_by_velocity(dt, share) for _ in range(steps)])
        times = self._time_s + share * dt * np.arange(1, steps + 1)
        self._time_s = float(times[-1])
        return self._trajectory.along(times)

    def _next_by_velocity(self, dt: float, share: float) -> np.ndarray:
        change = self._max_acceleration * dt
        wanted = np.zeros_like(self._wanted) if self.failed else self._wanted * share
        self._velocity = self._velocity + np.clip(wanted - self._velocity, -change, change)
        self._place = np.clip(self._place + self._velocity * dt, self._robot.lower, self._robot.upper)
        return self._place

    def _from_here(self, trajectory: Trajectory, order: list[int], start_s: float) -> Trajectory:
        """The trajectory in the robot's joint order: the current desired state, then the points in the future."""
        times = np.asarray(trajectory.times, np.float64) + start_s
        ahead = times > self._time_s
        if not ahead.any():
            return Trajectory(times[-1:], np.asarray(trajectory.positions)[-1:, order])
        before2, before, here = self._trajectory.along(self._time_s - _MOMENT_S * np.array((2, 1, 0)))
        velocity = (here - before) / _MOMENT_S
        acceleration = (here - 2 * before + before2) / _MOMENT_S**2

        def joined(first: np.ndarray, points: np.ndarray | None) -> np.ndarray | None:
            return None if points is None else np.vstack((first, np.asarray(points)[ahead][:, order]))

        return Trajectory(
            np.append(self._time_s, times[ahead]),
            joined(here, trajectory.positions),
            joined(velocity, trajectory.velocities),
            joined(acceleration, trajectory.accelerations),
        )
