"""A differential-drive base like the iRobot Create 2 on a walled floor, with wheels, bumper and battery."""

from __future__ import annotations

import math

import numpy as np

from jsac_ros.robots.diff_drive import DiffDrive

# iRobot Create 2 Open Interface specification, and its ROS driver's defaults.
RADIUS_M = 0.17
MAX_WHEEL_SPEED_M_S = 0.5
COMMAND_TIMEOUT_S = 0.2  # the driver stops the wheels after this time without a command
BATTERY_LIFE_S = 2 * 3600.0

_ACCELERATION_M_S2 = 2.0  # of a wheel


class SimBase:
    def __init__(self, robot: DiffDrive, floor: tuple[float, float], random: np.random.Generator):
        """floor: distance between the walls along x and y, m; the origin of the frame is in a corner."""
        self._radius_m, self._track_m, self._floor, self._random = robot.wheel_radius_m, robot.track_m, floor, random
        self.x, self.y, self.heading = floor[0] / 2, floor[1] / 2, 0.0
        self.q, self.qd, self.effort = np.zeros(2), np.zeros(2), np.zeros(2)
        self.contact = False  # bumper pressed
        self.battery = 1.0  # charge, 0..1
        self.protective_stop = False  # on this robot: a cliff or wheel-drop sensor
        self.restart()

    @property
    def pose(self) -> tuple[float, float, float]:
        """x and y in m, heading in rad."""
        return self.x, self.y, self.heading

    def reset(self, q: np.ndarray | None = None) -> None:
        """Places the base at a random position and heading. q: wheel angles, ignored."""
        low, high = 2 * RADIUS_M, np.array(self._floor) - 2 * RADIUS_M
        self.x, self.y = map(float, self._random.uniform(low, high))
        self.heading = float(self._random.uniform(-math.pi, math.pi))
        self.qd, self.contact = np.zeros(2), False
        self.restart()

    def restart(self) -> None:
        self._wanted = np.zeros(2)  # m/s of the left and the right wheel
        self._heard_s_ago = math.inf

    def command_twist(self, forward: float, turn: float) -> None:
        """m/s and rad/s (to the left), kept for `COMMAND_TIMEOUT_S`. A command with a non-finite value is dropped.

        If one wheel would be too fast, both are slowed by the same factor, as in the Create's driver.
        """
        if not (math.isfinite(forward) and math.isfinite(turn)):
            return
        wheels = np.array((forward - turn * self._track_m / 2, forward + turn * self._track_m / 2))
        self._wanted = wheels / max(1.0, float(np.abs(wheels).max()) / MAX_WHEEL_SPEED_M_S)
        self._heard_s_ago = 0.0

    def step(self, dt: float) -> None:
        stopping = self.protective_stop or self._heard_s_ago >= COMMAND_TIMEOUT_S
        wanted = np.zeros(2) if stopping else self._wanted
        wheels, change = self.qd * self._radius_m, _ACCELERATION_M_S2 * dt
        moved = wheels + np.clip(wanted - wheels, -change, change)
        self._drive((wheels + moved) / 2, dt)
        self.effort = (moved - wheels) / dt
        self.q, self.qd = self.q + (wheels + moved) / 2 * dt / self._radius_m, moved / self._radius_m
        self._heard_s_ago += dt
        self.battery = max(0.0, self.battery - dt / BATTERY_LIFE_S)

    def _drive(self, wheels: np.ndarray, dt: float) -> None:
        """Moves the base; at a wall it slides along it with its bumper pressed."""
        forward, turn = float(wheels.mean()), float(wheels[1] - wheels[0]) / self._track_m
        middle = self.heading + turn * dt / 2
        x, y = self.x + forward * math.cos(middle) * dt, self.y + forward * math.sin(middle) * dt
        self.x = min(max(x, RADIUS_M), self._floor[0] - RADIUS_M)
        self.y = min(max(y, RADIUS_M), self._floor[1] - RADIUS_M)
        self.heading = math.remainder(self.heading + turn * dt, math.tau)
        # The bumper is pressed while the base pushes forward against a wall; it is released when the base backs off.
        pushes = forward > 0 and (self.x != x or self.y != y)
        self.contact = pushes or (self.contact and forward == 0)
