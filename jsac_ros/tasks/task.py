"""What a task is. A task of a lab's own is a subclass of `Task` (`jsac-ros new task NAME` writes one).

A task is pure: no ROS, no clock, no learning; it receives what was sensed. `control/session.py` runs its reset, then
`begin`, then `observe` and `score` at every tick; the same calls are made when a recording is computed again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from jsac_ros.config import ConfigError, SensorConfig, TaskParameters
from jsac_ros.spaces import VectorSpace
from jsac_ros.tasks.reset import ResetPart
from jsac_ros.types import Action, Arrays, Score, Sensed

if TYPE_CHECKING:
    from jsac_ros.rig import Rig
    from jsac_ros.tasks.expert import Expert, Intervener
    from jsac_ros.tasks.mujoco_scene import MujocoScene
    from jsac_ros.tasks.scene import Scene


class Task(ABC):
    """The constructor gets the task's parameters and the rig it is done with.

    Of the rig, robot, cameras and actions are there already; its spaces are made from the task's `vectors` later.
    Raise ConfigError from it where they do not fit.
    """

    Parameters: type[TaskParameters] = TaskParameters
    vectors: tuple[VectorSpace, ...] = ()  # observation vectors of the task itself, which `observe` fills
    sensors: dict[str, SensorConfig] = {}  # heard beside those of the configuration; observed only where asked for
    companions: tuple[str, ...] = ()  # modules of nodes that a real robot's task needs beside it, such as a display
    knows_success = True  # False: `score` cannot tell success; a person or a classifier does
    moves_robot = True  # False: another system moves it; there is no reset and nothing is commanded

    def __init__(self, parameters: TaskParameters, rig: Rig):
        self.parameters, self.rig = parameters, rig

    @classmethod
    def companion_problems(cls) -> list[str]:
        """A line for everything that `companions` need and this computer lacks."""
        return []

    @abstractmethod
    def score(self, before: Sensed, action: Action, after: Sensed) -> Score:
        """What `action`, chosen at `before`, earned at `after`; called once for each observation but the first."""

    @abstractmethod
    def reset(self) -> ResetPart:
        """What brings the robot, and where needed a person, to where an episode begins; made anew for every reset."""

    def start(self) -> np.ndarray:
        """rad [N]: where the next episode begins, for a simulation that has no clock and is put there at once."""
        return self.rig.robot.home

    def begin(self, sensed: Sensed) -> None:
        """An episode begins: forgets what `score` and `observe` remember of the last one."""

    def observe(self, sensed: Sensed) -> Arrays:
        """{vector: float32 [n]} of `vectors`."""
        return {}

    def scene(self, seed: int) -> Scene | None:
        """What the kinematic simulator shows and moves beside the robot; None: the task is not simulated by it."""
        return None

    def mujoco_scene(self) -> MujocoScene | None:
        """What the MuJoCo simulator puts before the arm; None: an empty table."""
        return None

    def expert(self, seed: int) -> Expert | None:
        """A scripted policy that is told `Sim.truth`, for demonstrations."""
        return None

    def intervener(self, seed: int) -> Intervener | None:
        """A scripted person who takes over where a policy is stuck."""
        return None


def one_camera(rig: Rig, name: str, field: str, channels: int = 3) -> str:
    """The camera of that name, or the only one for ''. Raises ConfigError naming `field` where there is none to take."""
    cameras = rig.config.cameras
    chosen = name or (next(iter(cameras)) if len(cameras) == 1 else "")
    if chosen not in cameras:
        raise ConfigError(f"{field} is {name!r}; expected one of {', '.join(cameras) or 'the cameras (none configured)'}")
    if cameras[chosen].channels != channels:
        found = cameras[chosen].channels
        raise ConfigError(f"cameras.{chosen}.channels is {found}; expected {channels}: {rig.config.task.type} scores its image")
    return chosen
