"""A kinematic arm with its ros2_control controllers, as the safety node sees them. Pure: the caller steps it.

Semantics of the joint trajectory controller, the forward velocity controller and the UR driver, from their Jazzy sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from jsac_ros.robots.robot import Robot
from jsac_ros.robots.ur import FULL_SPEED_PERCENT
from jsac_ros.sim.commands import Commands
from jsac_ros.sim.trajectory import Trajectory

_RAMP_UP = 0.01  # increase of the speed share per cycle after a stop


class SimArm:
    """Not thread-safe. `q`, `qd`, `acceleration` are float64 [N] in the arm's order."""

    def __init__(self, arm: Robot, q: np.ndarray, interface: Literal["trajectory", "velocity"], max_acceleration: np.ndarray):
        """max_acceleration: [N] per s^2, that its joints can reach."""
        self.arm = arm
        self._commands = Commands(arm, interface)
        self.q = np.array(q, np.float64)
        self.qd = np.zeros(len(arm))
        self.acceleration = np.zeros(len(arm))
        self.protective_stop = False
        self.speed_slider = 1.0  # of the pendant, as a share of full speed
        self._speed_share, self._ramps_up = 1.0, False
        self._start = self.q
        self._max_acceleration = max_acceleration
        self._time = 0.0  # controller time, slowed by speed scaling
        self._sampled = 0.0  # controller time of the last sampled desired positions
        self.restart()

    def restart(self) -> None:
        """Restarts the driver: earlier commands are forgotten, and the arm brakes and stays at rest."""
        self._commands.failed = False
        self._trajectory: Trajectory | None = None
        self._next: tuple[Trajectory, float] | None = None
        self._velocity = np.zeros(len(self.arm))
        self._braking = True

    def reset(self, q: np.ndarray | None = None) -> None:
        """Places the arm at rest at q, or at its initial position."""
        self.q = np.array(self._start if q is None else q, np.float64)
        self.qd, self.acceleration = np.zeros(len(self.arm)), np.zeros(len(self.arm))
        self.restart()

    @property
    def effort(self) -> np.ndarray:
        """[N], motor current in A, as the UR driver reports it: a holding part and an accelerating part."""
        return 0.4 * np.cos(self.q) + 0.2 * self.acceleration

    @property
    def pose(self) -> tuple[float, float, float]:
        """Position (m, m) and heading (rad) of the base."""
        return 0.0, 0.0, 0.0

    @property
    def speed_scaling(self) -> float:
        """Percent, as the driver's speed_scaling_state_broadcaster publishes it: the robot's 0..1 times 100."""
        return FULL_SPEED_PERCENT * self._speed_share

    def command_trajectory(self, names: Sequence[str], trajectory: Trajectory, starts_in_s: float = 0.0) -> None:
        """Replaces the trajectory being executed, from the next step on. Points are in the order of `names`; their
        times count from `starts_in_s` after the start of that step.

        Raises CommandRefused if the real controller would reject the trajectory.
        """
        ordered = self._commands.trajectory(names, trajectory, starts_in_s)
        if ordered is None:
            self._trajectory, self._next, self._braking = None, None, True
        else:
            self._next = ordered, starts_in_s

    def _from_here(self, trajectory: Trajectory, starts_in_s: float) -> Trajectory:
        """The trajectory on the controller's clock. If its first point is in the future, the arm's present state (not the
        previous command) is prepended; otherwise the trajectory starts with its first point."""

        def points(here: np.ndarray, there: np.ndarray | None) -> np.ndarray | None:
            if there is None:
                return None
            return np.vstack((here, there)) if joins else there

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
        """rad/s [N] in the controller's order, kept until the next command: there is no time-out. Raises CommandRefused."""
        self._velocity, self._braking = self._commands.velocity(velocity), False

    def step(self, dt: float) -> None:
        """Advances the arm by `dt` seconds; then its controller takes the newest command since the previous step."""
        self._scale()
        self._move(dt)
        self._time += self._speed_share * dt
        if self._next:
            self._trajectory, self._next, self._braking = self._from_here(*self._next), None, False

    def _move(self, dt: float) -> None:
        """Moves the joints within the arm's maximum speed and acceleration."""
        stopping = self._braking or self.protective_stop or self._commands.failed
        wanted = np.zeros_like(self.qd) if stopping else self._wanted(dt)
        fastest, change = self.arm.max_velocity, self._max_acceleration * dt
        qd = self.qd + np.clip(np.clip(wanted, -fastest, fastest) - self.qd, -change, change)
        q = self.q + (self.qd + qd) / 2 * dt
        self.q = np.clip(q, self.arm.lower, self.arm.upper)
        qd[self.q != q] = 0.0  # against the hard stop
        self.acceleration = (qd - self.qd) / dt
        self.qd = qd

    def _scale(self) -> None:
        """Sets the speed share: 0 while the robot is stopped, then up by a hundredth per cycle to the slider."""
        if self.protective_stop:
            self._speed_share = 0.0
        else:
            self._speed_share = min(self._speed_share + _RAMP_UP, self.speed_slider) if self._ramps_up else self.speed_slider
        self._ramps_up = self._speed_share < self.speed_slider

    def _wanted(self, dt: float) -> np.ndarray:
        """Target velocity over the next `dt`, rad/s [N]: the controller's command times the speed share."""
        share = self._speed_share
        if self._trajectory is None:
            return share * self._velocity
        # The velocity at the end of the step, not its mean: with the mean the arm would lag and then catch up with more
        # than the commanded acceleration. `end` is on the slowed clock: one whole period ahead would make the velocity
        # step wherever the periods differ.
        end, moment = self._time + share * dt, dt / 64
        progress = (end - self._sampled) / dt
        speed = progress * (self._trajectory.at(end) - self._trajectory.at(end - moment)) / moment
        error = self._trajectory.at(self._sampled) - self.q
        self._sampled = end
        # Corrects half of the error per step (all of it would oscillate), never faster than the arm can brake again.
        pull = np.minimum(np.abs(error) / (2 * dt), np.sqrt(2 * self._max_acceleration * np.abs(error)))
        return speed + np.sign(error) * pull
