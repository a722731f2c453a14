"""The interface of a task. Your own task is a subclass of `Task` (`jsac-ros new task NAME` writes one).

A task is pure: no ROS, no clock, no learning; it receives the sensed values. `control/session.py` runs its reset, then
`begin`, then `observe` and `score` at every tick; the same calls are made when a recording is recomputed.
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
    """The constructor gets the task's parameters and the rig.

    Robot, cameras and actions of the rig exist then; its spaces are made later, from the task's `vectors`.
    It raises ConfigError if they are unsuitable.
    """

    Parameters: type[TaskParameters] = TaskParameters
    vectors: tuple[VectorSpace, ...] = ()  # observation vectors of the task itself, which `observe` fills
    sensors: dict[str, SensorConfig] = {}  # subscribed to in addition to the configured ones; observed only if requested
    companions: tuple[str, ...] = ()  # modules of further nodes that the task needs on a real robot, such as a display
    knows_success = True  # False: `score` cannot detect success; a person or a classifier does
    moves_robot = True  # False: another system moves the robot; there is no reset and no command

    def __init__(self, parameters: TaskParameters, rig: Rig):
        self.parameters, self.rig = parameters, rig

    @classmethod
    def companion_problems(cls) -> list[str]:
        """A line for everything that `companions` need and this computer lacks."""
        return []

    @abstractmethod
    def score(self, before: Sensed, action: Action, after: Sensed) -> Score:
        """Scores `action`, chosen at `before`, at `after`; called once for each observation except the first."""

    @abstractmethod
    def reset(self) -> ResetPart:
        """The reset that brings the robot to where an episode starts, with a person's help if needed; made anew each time."""

    def start(self) -> np.ndarray:
        """rad [N]: the start pose of the next episode, for a simulation without a clock that is set to it directly."""
        return self.rig.robot.home

    def begin(self, sensed: Sensed) -> None:
        """Starts an episode: clears what `score` and `observe` remember of the last one."""

    def observe(self, sensed: Sensed) -> Arrays:
        """{vector: float32 [n]} of `vectors`."""
        return {}

    def scene(self, seed: int) -> Scene | None:
        """The scene in the kinematic simulator; None: the task is not simulated by it."""
        return None

    def mujoco_scene(self) -> MujocoScene | None:
        """The scene in the MuJoCo simulator; None: an empty table."""
        return None

    def expert(self, seed: int) -> Expert | None:
        """A scripted policy that gets `Sim.truth`, for demonstrations."""
        return None

    def intervener(self, seed: int) -> Intervener | None:
        """A scripted person who takes over when a policy is stuck."""
        return None


def check_declared(task: Task, name: str) -> None:
    """Raises ConfigError if what the class of a task declares is of another type. name: `task.type`."""
    declared = (
        ("vectors", VectorSpace, isinstance(task.vectors, list | tuple) and task.vectors, "a tuple of VectorSpace"),
        ("companions", str, isinstance(task.companions, list | tuple) and task.companions, "a tuple of module names"),
        ("sensors", SensorConfig, isinstance(task.sensors, dict) and task.sensors.values(), "a dict of SensorConfig by name"),
    )
    for field, kind, values, expected in declared:
        if values is False or not all(isinstance(value, kind) for value in values):
            raise ConfigError(f"task {name!r}: {field} is {getattr(task, field)!r}; expected {expected}")


def one_camera(rig: Rig, name: str, field: str, channels: int = 3) -> str:
    """The camera of that name, or the only one for ''. Raises ConfigError naming `field` if there is no such camera."""
    cameras = rig.config.cameras
    chosen = name or (next(iter(cameras)) if len(cameras) == 1 else "")
    if chosen not in cameras:
        raise ConfigError(f"{field} is {name!r}; expected one of {', '.join(cameras) or 'the cameras (none configured)'}")
    if cameras[chosen].channels != channels:
        found = cameras[chosen].channels
        raise ConfigError(f"cameras.{chosen}.channels is {found}; expected {channels}: {rig.config.task.type} scores its image")
    return chosen
