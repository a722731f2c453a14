"""The common part of the manipulation tasks: sparse success detected externally, a composed reset, then a new scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jsac_ros.config import ConfigError, OptionalTopic, SensorConfig, TaskParameters
from jsac_ros.tasks.reset import ResetKind, ResetParameters, ResetPart, check_reset, composed, start_pose
from jsac_ros.tasks.task import Task
from jsac_ros.types import Action, Score, Sensed

if TYPE_CHECKING:
    from jsac_ros.rig import Rig

SUCCESS = "success"  # the sensor


class Skill(Task):
    """An action earns `success_reward` and ends the episode if the goal is reached according to an external source: the
    simulator, a detector in the lab, or only a person (the operator's services and buttons). The policy does not observe it."""

    class Parameters(TaskParameters, ResetParameters):
        # parts of the reset, in this order
        reset: tuple[ResetKind, ...] = ("home", "service")
        # std_srvs/Trigger; in simulation it draws a new scene, in a lab a person arranges it and answers
        service: OptionalTopic = "new_target"
        # std_msgs/Bool, true when the goal is reached; empty: only a person reports success
        success_topic: OptionalTopic = "success"

    def __init__(self, parameters: Skill.Parameters, rig: Rig):
        super().__init__(parameters, rig)
        if problems := check_reset(parameters, rig):
            raise ConfigError("\n".join(problems))
        topic = parameters.success_topic
        self.sensors = {SUCCESS: SensorConfig(topic=topic, type="std_msgs/msg/Bool", fields=("data",))} if topic else {}
        self.knows_success = bool(topic)
        self._random = np.random.default_rng(rig.config.run.seed)

    def reset(self) -> ResetPart:
        return composed(self.parameters, self.rig, self._random)

    def start(self) -> np.ndarray:
        return start_pose(self.parameters, self.rig, self._random)

    def score(self, before: Sensed, action: Action, after: Sensed) -> Score:
        reached = SUCCESS in self.sensors and after.sensors[SUCCESS][0] > 0.5
        return Score(reached * self.parameters.success_reward, terminated=bool(reached), success=bool(reached))
