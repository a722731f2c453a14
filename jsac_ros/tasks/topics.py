"""A task without code: reward, success and end come from topics, services and buttons; the reset is composed of parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from jsac_ros.config import ConfigError, NonNegative, OptionalTopic, SensorConfig, TaskParameters
from jsac_ros.tasks.reset import ResetParameters, ResetPart, check_reset, composed
from jsac_ros.tasks.task import Task
from jsac_ros.types import Action, Score, Sensed

if TYPE_CHECKING:
    from jsac_ros.rig import Rig


class Topics(Task):
    """A person's success, failure and discard (services, buttons) apply in every task, including this one."""

    class Parameters(TaskParameters, ResetParameters):
        reward_topic: OptionalTopic = ""  # topic whose newest value is the reward of an action; empty: no reward
        # message type of the reward
        reward_type: Literal["std_msgs/msg/Float64", "std_msgs/msg/Float32"] = "std_msgs/msg/Float64"
        reward_max_age_s: NonNegative = 0.2  # if the reward is older than this: hold; 0: any age
        success_topic: OptionalTopic = ""  # std_msgs/Bool: when it becomes true, the goal is reached and the episode ends
        end_topic: OptionalTopic = ""  # std_msgs/Bool: when it becomes true, the episode ends as a failure

    def __init__(self, parameters: Topics.Parameters, rig: Rig):
        super().__init__(parameters, rig)
        if problems := check_reset(parameters, rig):
            raise ConfigError("\n".join(problems))
        wanted = (
            ("reward", parameters.reward_topic, parameters.reward_type, parameters.reward_max_age_s),
            ("success", parameters.success_topic, "std_msgs/msg/Bool", 0.0),
            ("end", parameters.end_topic, "std_msgs/msg/Bool", 0.0),
        )
        self.sensors = {
            f"task_{name}": SensorConfig(topic=topic, type=type_, fields=("data",), max_age_s=max_age_s)
            for name, topic, type_, max_age_s in wanted
            if topic
        }
        self.knows_success = bool(parameters.success_topic)
        self._random = np.random.default_rng(rig.config.run.seed)
        self._was: dict[str, bool] = {}

    def reset(self) -> ResetPart:
        return composed(self.parameters, self.rig, self._random)

    def begin(self, sensed: Sensed) -> None:
        self._was = {name: self._is(sensed, name) for name in ("success", "end")}

    def score(self, before: Sensed, action: Action, after: Sensed) -> Score:
        reward = float(after.sensors["task_reward"][0]) if "task_reward" in self.sensors else 0.0
        became = {name: self._is(after, name) and not self._was[name] for name in self._was}
        self._was = {name: self._is(after, name) for name in self._was}
        return Score(reward + became["success"] * self.parameters.success_reward, any(became.values()), became["success"])

    def _is(self, sensed: Sensed, name: str) -> bool:
        return f"task_{name}" in self.sensors and bool(sensed.sensors[f"task_{name}"][0])
