"""A task without code: what topics say is the reward, the success and the end."""

import numpy as np
import pytest
from rig_cases import REACHER, rig_of, sensed_of

from jsac_ros.config import ConfigError

ALL = REACHER | {
    "task.type": "topics", "task.reward_topic": "reward", "task.success_topic": "success", "task.end_topic": "end",
    "task.success_reward": 10.0,
}  # fmt: skip


def sensed(rig, reward=0.0, success=0.0, end=0.0):
    values = {"task_reward": reward, "task_success": success, "task_end": end}
    return sensed_of(rig, sensors={name: np.array([value]) for name, value in values.items() if name in rig.sensors})


def scores(rig, *seen):
    """Of an episode that begins with the first of what is seen."""
    rig.task.begin(sensed(rig, **seen[0]))
    return [rig.task.score(sensed(rig, **before), {}, sensed(rig, **after)) for before, after in zip(seen, seen[1:])]


def test_the_newest_reward_is_what_an_action_earned():
    rig = rig_of(ALL)
    assert [score.reward for score in scores(rig, {"reward": 9.0}, {"reward": -0.5}, {"reward": 0.25})] == [-0.5, 0.25]
    assert scores(rig_of(ALL, task__reward_topic=""), {}, {})[0] == (0.0, False, False)


def test_success_and_end_count_when_they_become_true():
    rig = rig_of(ALL)
    assert scores(rig, {}, {"success": 1.0})[0] == (10.0, True, True)
    assert scores(rig, {}, {"end": 1.0, "reward": -1.0})[0] == (-1.0, True, False)
    still_true = scores(rig, {"success": 1.0}, {"success": 1.0}, {"success": 0.0}, {"success": 1.0})
    assert [score.success for score in still_true] == [False, False, True], (
        "what was said of the episode before is not of this one"
    )


def test_what_is_heard_and_for_how_long_it_counts():
    rig = rig_of(ALL, task__reward_type="std_msgs/msg/Float32", task__reward_max_age_s=0.5)
    heard = {name: (source.topic, source.type, source.max_age_s) for name, source in rig.sources.items()}
    assert heard["task_reward"] == ("reward", "std_msgs/msg/Float32", 0.5)
    assert heard["task_success"] == ("success", "std_msgs/msg/Bool", 0.0)
    assert heard["task_end"] == ("end", "std_msgs/msg/Bool", 0.0)
    assert not {"task_reward", "task_success", "task_end"} & set(rig.observed), "the policy is not told"
    assert set(rig_of(ALL, task__success_topic="", task__end_topic="").sensors) == {"task_reward"}


def test_another_type_of_reward_is_refused():
    with pytest.raises(ConfigError, match="task.reward_type is 'std_msgs/msg/String'"):
        rig_of(ALL, task__reward_type="std_msgs/msg/String")
