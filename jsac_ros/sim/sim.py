"""The interface of a simulator. `nodes/sim_robot.py` runs one in real time, `sim/world.py` as fast as possible.

Simulators are plug-ins (entry points of group `jsac_ros.sims`): their `Parameters` extend `config.SimParameters`, and the
constructor takes the parameters, the rig and a seed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jsac_ros.config import ConfigError, SimParameters, source_size
from jsac_ros.control.sensors import Sensor
from jsac_ros.robots.ur import FULL_SPEED_PERCENT
from jsac_ros.sim.trajectory import CommandRefused, Trajectory
from jsac_ros.spaces import check_array
from jsac_ros.types import Arrays, Command

if TYPE_CHECKING:
    from jsac_ros.rig import Rig


class Sim(ABC):
    """A robot with controllers, cameras and sensors. Not thread-safe, except that one other thread may call `render`.

    Commands have the semantics of the drivers (ros2_control, UR): a command that they reject raises CommandRefused.
    """

    Parameters: type[SimParameters] = SimParameters
    is_light = False  # True if measuring the baselines takes only seconds of one core; then each run measures them

    def __init__(self, parameters: SimParameters, rig: Rig, seed: int):
        self.parameters, self.rig = parameters, rig
        self.names: tuple[str, ...] = rig.robot.names  # of the joints in `q`: the robot's, then the gripper's
        self.protective_stop = False
        self.speed_slider = 1.0  # of the pendant, as a share of full speed

    faults: dict[str, str] = {}  # {name: description}: faults of this simulator, in addition to those of sim/faults.py

    q: np.ndarray  # [N] rad (m if prismatic)
    qd: np.ndarray  # [N] per second
    effort: np.ndarray  # [N], in the driver's unit

    @property
    def program_running(self) -> bool:
        """Whether the robot's program runs; a protective stop pauses it."""
        return not self.protective_stop

    @property
    def speed_scaling(self) -> float:
        """Percent, as the UR driver publishes it."""
        return FULL_SPEED_PERCENT * self.speed_slider if self.program_running else 0.0

    @abstractmethod
    def reset(self, q: np.ndarray | None = None) -> None:
        """Places the robot at rest at q [N], or at `robot.home`, in a new scene. Not for a simulation in real time."""

    @abstractmethod
    def step(self, dt: float) -> None:
        """Advances the simulation by dt seconds."""

    @abstractmethod
    def restart(self) -> None:
        """Restarts the driver: earlier commands are forgotten, and the robot comes to rest."""

    @abstractmethod
    def new_target(self) -> str:
        """The service `new_target`: makes a new scene and leaves the robot where it is. Returns a description of the scene."""

    def command_trajectory(self, names: Sequence[str], trajectory: Trajectory, starts_in_s: float = 0.0) -> None:
        raise CommandRefused("this robot takes no trajectories")

    def command_velocity(self, velocity: Sequence[float]) -> None:
        """rad/s [N], kept until the next command: there is no time-out."""
        raise CommandRefused("this robot takes no joint velocities")

    def command_pose(self, position: np.ndarray, rotation: np.ndarray) -> None:
        """m [3] and [3, 3] of the tool in base_link, kept until another comes."""
        raise CommandRefused("this robot takes no poses")

    def command_twist(self, forward: float, turn: float) -> None:
        """Twist of a base, m/s and rad/s (to the left)."""
        raise CommandRefused("this robot takes no twist")

    def command_output(self, device: str, values: Sequence[float]) -> None:
        """Command of a gripper or another device."""
        raise CommandRefused(f"there is no device {device!r}")

    @abstractmethod
    def snapshot(self) -> Any:
        """An immutable copy of all state that `render` depends on."""

    @abstractmethod
    def render(self, camera: str, snapshot: Any) -> np.ndarray:
        """RGB uint8 [H, W, 3], in the size of the camera's source."""

    def camera_matrix(self, camera: str) -> np.ndarray | None:
        """Intrinsic matrix K [3, 3] of the images of `render`, with pixel centres at integer coordinates as in OpenCV and
        ROS; None if it is not known."""
        return None

    @property
    def outputs(self) -> Arrays:
        """{device: measured float64 [n]}, in the units of `command_output`."""
        return {}

    @property
    def sensors(self) -> Arrays:
        """{sensor: float64 [n]}, every quantity that this simulation can measure, before the scale of the configuration."""
        return {}

    @property
    def success(self) -> bool | None:
        """Whether the goal is reached, from ground truth; None if the simulation does not know."""
        return None

    @property
    def truth(self) -> Arrays:
        """{name: float64 [n]}: ground truth such as poses, for scripted experts; no policy sees it."""
        return {}

    def fault(self, name: str, active: bool) -> None:
        """Starts or ends one of `faults`."""

    def baselines(self) -> dict[str, Callable[[], Command]]:
        """{name: function that returns the command of a policy with access to the whole state of the simulation}."""
        return {}

    def close(self) -> None:
        """Releases the renderers."""


def rendered(sim: Sim, camera: str, snapshot: Any) -> np.ndarray:
    """A copy of what `sim.render` returns. Raises ValueError if it is no image in the size of the camera's source."""
    image = sim.render(camera, snapshot)
    size = source_size(sim.rig.config.cameras[camera])
    check_array(f"{type(sim).__name__}.render({camera!r})", image, (*size, 3), np.uint8)
    return np.array(image)


def check_sim(sim: Sim, sensors: Mapping[str, Sensor], expected: Collection[str] = ()) -> None:
    """Raises ConfigError if the simulation's joints are not the robot's, if it measures one of `sensors` in another size, or
    does not measure one of `expected`. Sensors that are not `expected` may have another source.
    """
    found, names = [], sim.rig.robot.names
    if tuple(sim.names[: len(names)]) != names:
        found.append(f"sim.names is {', '.join(sim.names)}; expected first those of the robot: {', '.join(names)}")
    for field in ("q", "qd", "effort"):
        if np.shape(getattr(sim, field)) != (len(sim.names),):
            shape = list(np.shape(getattr(sim, field)))
            found.append(f"sim.{field} has shape {shape}; expected [{len(sim.names)}], one value for each of sim.names")
    measured = {name: np.shape(values) for name, values in sim.sensors.items()}
    for name, sensor in sensors.items():
        if (name in measured or name in expected) and measured.get(name) != sensor.space.shape:
            has = ", ".join(f"{known} {list(shape)}" for known, shape in measured.items()) or "nothing"
            found.append(f"sensors.{name} has {sensor.space.size} values; the simulation measures {has}")
    if found:
        raise ConfigError("\n".join(found))
