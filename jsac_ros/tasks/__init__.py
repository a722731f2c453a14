"""Tasks: reward, end of an episode, the way back to its start."""

from __future__ import annotations

from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.robots.arm import Arm
from jsac_ros.tasks.create_reacher import CreateReacher
from jsac_ros.tasks.shadow import Shadow
from jsac_ros.tasks.task import Task
from jsac_ros.tasks.ur5_reacher import Ur5Reacher

_TASKS = {"ur5_reacher": Ur5Reacher, "create_reacher": CreateReacher, "shadow": Shadow}


def make_task(config: SystemConfig, arm: Arm) -> Task:
    """The configured task for this robot. Raises jsac_ros.config.ConfigError where they do not fit."""
    task = config.task
    if task.observe == "proprioception" and task.name != "shadow":
        raise ConfigError(
            f"task.observe is {task.observe!r}; expected 'image' or 'both': {task.name} scores the camera's picture"
        )
    return _TASKS[task.name](config, arm)
