"""What a simulator is: what `nodes/sim_robot.py` runs in real time and `sim/world.py` runs as fast as it can.

A simulator is a plug-in (entry points of group `jsac_ros.sims`): its `Parameters` extend `config.SimParameters`, its
constructor takes them, the rig and a seed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jsac_ros.config import SimParameters
from jsac_ros.robots.ur import FULL_SPEED_PERCENT
from jsac_ros.sim.trajectory import CommandRefused, Trajectory
from jsac_ros.types import Arrays, Command

if TYPE_CHECKING:
    from jsac_ros.rig import Rig


class Sim(ABC):
    """A robot with controllers, cameras and sensors. Not thread-safe, but for `render`, which one other thread may call.

    Commands have the semantics of the drivers (ros2_control, UR): what they refuse raises CommandRefused with one line.
    """

    Parameters: type[SimParameters] = SimParameters
    is_light = False  # baselines are measured beside a run; True where that takes seconds of one core

    def __init__(self, parameters: SimParameters, rig: Rig, seed: int):
        self.parameters, self.rig = parameters, rig
        self.names: tuple[str, ...] = rig.robot.names  # of the joints in `q`; a gripper's behind the robot's
        self.protective_stop = False
        self.speed_slider = 1.0  # share of full speed, on the pendant

    faults: dict[str, str] = {}  # {name: what happens} of those that this simulation can make beside the drivers'

    q: np.ndarray  # [N] rad (m where prismatic)
    qd: np.ndarray  # [N] per second
    effort: np.ndarray  # [N] as the driver has it

    @property
    def program_running(self) -> bool:
        """Of the robot's program, which stands in a protective stop."""
        return not self.protective_stop

    @property
    def speed_scaling(self) -> float:
        """Percent, as the UR driver publishes it."""
        return FULL_SPEED_PERCENT * self.speed_slider if self.program_running else 0.0

    @abstractmethod
    def reset(self, q: np.ndarray | None = None) -> None:
        """At once, at rest at `robot.home` or at q [N], with a new scene; only where there is no clock."""

    @abstractmethod
    def step(self, dt: float) -> None:
        """Moves on by dt seconds."""

    @abstractmethod
    def restart(self) -> None:
        """The driver starts again: no command is remembered, the robot comes to rest."""

    @abstractmethod
    def new_target(self) -> str:
        """A new scene while the robot stays where it is; says what it is now. The service `new_target`."""

    def command_trajectory(self, names: Sequence[str], trajectory: Trajectory, starts_in_s: float = 0.0) -> None:
        raise CommandRefused("this robot takes no trajectories")

    def command_velocity(self, velocity: Sequence[float]) -> None:
        """rad/s [N], kept until another comes: there is no time-out."""
        raise CommandRefused("this robot takes no joint velocities")

    def command_twist(self, forward: float, turn: float) -> None:
        """m/s and rad/s to the left, of a base."""
        raise CommandRefused("this robot takes no twist")

    def command_output(self, device: str, values: Sequence[float]) -> None:
        """Of a gripper or another device."""
        raise CommandRefused(f"there is no device {device!r}")

    @abstractmethod
    def snapshot(self) -> Any:
        """What the next images depend on, immutable."""

    @abstractmethod
    def render(self, camera: str, snapshot: Any) -> np.ndarray:
        """RGB uint8 [H, W, 3] of the source's size."""

    def camera_matrix(self, camera: str) -> np.ndarray | None:
        """K [3, 3] of what `render` draws, in pixels whose centres have whole numbers, as OpenCV and ROS count them; None
        where it is not known."""
        return None

    @property
    def outputs(self) -> Arrays:
        """{device: float64 [n]} as measured, in the units of `command_output`."""
        return {}

    @property
    def sensors(self) -> Arrays:
        """{sensor: float64 [n]} before the scale of its configuration, of all that this simulation can measure."""
        return {}

    @property
    def success(self) -> bool | None:
        """Whether the goal is reached, seen from outside; None where only the images show it."""
        return None

    @property
    def truth(self) -> Arrays:
        """{name: float64 [n]}: poses and what else a scripted expert is told; a policy is not."""
        return {}

    def fault(self, name: str, active: bool) -> None:
        """Begins or ends one of `faults`."""

    def baselines(self) -> dict[str, Callable[[], Command]]:
        """Name -> what a policy that sees all of the simulation commands now."""
        return {}

    def close(self) -> None:
        """Lets go of what renders."""
