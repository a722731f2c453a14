"""What the ros2_control controllers of an arm accept: the joint trajectory and the forward velocity controller."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from jsac_ros.robots.robot import Robot
from jsac_ros.sim.trajectory import CommandRefused, Trajectory, check


class Commands:
    """Of the one controller that is active. `failed`: it takes nothing until a restart."""

    def __init__(self, robot: Robot, interface: Literal["trajectory", "velocity"]):
        self._robot, self.interface = robot, interface
        self.failed = False

    def trajectory(self, names: Sequence[str], trajectory: Trajectory, starts_in_s: float) -> Trajectory | None:
        """The trajectory with its joints in the robot's order; None for an empty one, which stops the current trajectory.

        Raises CommandRefused.
        """
        if self.interface != "trajectory":
            raise CommandRefused("the trajectory controller is not active")
        if sorted(names) != sorted(self._robot.names):
            raise CommandRefused(f"trajectory is for {', '.join(names)}; expected {', '.join(self._robot.names)}")
        if len(trajectory.times) == 0:
            return None
        check(trajectory, len(self._robot), starts_in_s)
        order = [names.index(name) for name in self._robot.names]
        ordered = (None if rows is None else np.asarray(rows)[:, order] for rows in trajectory.rows)
        return Trajectory(np.asarray(trajectory.times, np.float64), *ordered)

    def velocity(self, velocity: Sequence[float]) -> np.ndarray:
        """float64 [N]. Raises CommandRefused: a wrong length puts the controller into failure, a value that is not finite
        leaves the previous command in force."""
        if self.interface != "velocity":
            raise CommandRefused("the velocity controller is not active")
        if self.failed:
            raise CommandRefused("the velocity controller has failed; restart the driver")
        if len(velocity) != len(self._robot):
            self.failed = True
            raise CommandRefused(f"velocity command has {len(velocity)} values; expected {len(self._robot)}")
        if not all(map(math.isfinite, velocity)):
            raise CommandRefused("velocity command has a value that is not finite; the last one continues")
        return np.array(velocity, np.float64)
