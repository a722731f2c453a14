"""The ros2_control controllers of a simulated arm: from commands to desired joint positions.

Semantics of ROS 2 Jazzy's joint trajectory controller (UR's speed-scaled variant) and forward velocity controller. A new
trajectory replaces the previous one and starts at its current desired positions. Trajectory time advances at the speed
scaling of the robot; it stands still during a protective stop and continues afterwards. A velocity is kept until the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from jsac_ros.robots.robot import Robot
from jsac_ros.sim.commands import Commands
from jsac_ros.sim.trajectory import Trajectory

_MOMENT_S = 1e-4  # step of the finite differences for desired velocity and acceleration


class JointController:
    """Not thread-safe. Positions are rad (m if prismatic), float64 [N] in the robot's order."""

    def __init__(self, robot: Robot, interface: Literal["trajectory", "velocity"], max_acceleration: np.ndarray):
        """max_acceleration: [N] per s^2, of the velocity controller."""
        self._robot, self._max_acceleration = robot, max_acceleration
        self._commands = Commands(robot, interface)
        self._time_s = 0.0  # trajectory time, slowed by speed scaling
        self.restart(robot.home)

    def restart(self, q: np.ndarray) -> None:
        """Restarts the driver at the robot's current position; earlier commands are forgotten."""
        self._commands.failed = False
        self._trajectory = Trajectory(np.zeros(1), np.array([q], np.float64))
        self._velocity, self._wanted = np.zeros(len(q)), np.zeros(len(q))
        self._place = np.array(q, np.float64)  # desired position of the velocity controller

    def command_trajectory(self, names: Sequence[str], trajectory: Trajectory, starts_in_s: float = 0.0) -> None:
        """Raises CommandRefused if the real controller would reject the trajectory."""
        ordered = self._commands.trajectory(names, trajectory, starts_in_s)
        if ordered is None:
            self._trajectory = Trajectory(np.zeros(1), self._trajectory.at(self._time_s)[None])
        else:
            self._trajectory = self._from_here(ordered, self._time_s + starts_in_s)

    def command_velocity(self, velocity: Sequence[float]) -> None:
        """Raises CommandRefused. A wrong length puts the controller into failure until a restart; a command with a
        non-finite value is dropped and the previous one is kept."""
        self._wanted = self._commands.velocity(velocity)

    def desired(self, steps: int, dt: float, share: float) -> np.ndarray:
        """The next `steps` desired positions, dt seconds apart, [steps, N]. share: speed scaling, 0..1; 0: stopped."""
        if self._commands.interface == "velocity":
            return np.array([self._next_by_velocity(dt, share) for _ in range(steps)])
        times = self._time_s + share * dt * np.arange(1, steps + 1)
        self._time_s = float(times[-1])
        return self._trajectory.along(times)

    def _next_by_velocity(self, dt: float, share: float) -> np.ndarray:
        change = self._max_acceleration * dt
        wanted = np.zeros_like(self._wanted) if self._commands.failed else self._wanted * share
        self._velocity = self._velocity + np.clip(wanted - self._velocity, -change, change)
        self._place = np.clip(self._place + self._velocity * dt, self._robot.lower, self._robot.upper)
        return self._place

    def _from_here(self, trajectory: Trajectory, start_s: float) -> Trajectory:
        """The current desired state, then the points in the future."""
        times = trajectory.times + start_s
        ahead = times > self._time_s
        if not ahead.any():
            return Trajectory(times[-1:], trajectory.positions[-1:])
        before2, before, here = self._trajectory.along(self._time_s - _MOMENT_S * np.array((2, 1, 0)))
        velocity = (here - before) / _MOMENT_S
        acceleration = (here - 2 * before + before2) / _MOMENT_S**2

        def joined(first: np.ndarray, points: np.ndarray | None) -> np.ndarray | None:
            return None if points is None else np.vstack((first, points[ahead]))

        return Trajectory(
            np.append(self._time_s, times[ahead]),
            joined(here, trajectory.positions),
            joined(velocity, trajectory.velocities),
            joined(acceleration, trajectory.accelerations),
        )
