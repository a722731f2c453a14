"""A run's own recording gives what the live actor saw and did: byte for byte, and says so when it does not."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from bag_cases import BASE, DEMO, FIVE, GRIPS, REACHER, SEVERAL, START_NS, Recorder, Run, record_run, recorded_run, tiny_config

from jsac_ros.__main__ import main
from jsac_ros.bags.identity import compare
from jsac_ros.bags.reader import Bag
from jsac_ros.bags.recorded_run import RecordedRun, configuration_of
from jsac_ros.bags.transitions import open_transitions, with_observations
from jsac_ros.bags.writer import BagWriter
from jsac_ros.parameters import to_parameters
from jsac_ros.rig import Rig


@pytest.fixture
def run():
    return recorded_run()[:2]


@pytest.fixture
def config():
    return recorded_run()[2]


def test_every_observation_reward_and_action_is_the_same(run, config):
    folder, sent = run
    assert sum(step.is_last for step in sent) >= 3 and any(step.reward for step in sent)
    with Bag(folder) as bag:
        result = compare(bag, configuration_of(bag))
    assert result.steps == result.observations_equal == result.rewards_equal == len(sent)
    assert result.actions_compared == sum(not step.is_last for step in sent)
    assert result.actions_missing == result.observations_missing == result.lost == 0
    assert result.actions_max_abs_diff < 1e-6
    assert result.identical


RIGS = {
    "only images": (REACHER, {"task__observe": ("wrist",)}),
    "only joints": (REACHER, {"task__observe": ("joint_position", "previous_action")}),
    "several cameras and sensors": (SEVERAL, {}),
    "a mobile base": (BASE, {}),
    "another image than the one that is scored": (SEVERAL, {"task__observe": ("scene", "wrench")}),
    "twist and tool": (
        REACHER,
        {
            "actions__arm__type": "twist", "actions__arm__joints": None, "robot__type": "ur5",
            "task__observe": ("wrist", "tool_position", "tool_velocity"),
        },
    ),
    "a gripper": (GRIPS, {}),
    "a choice of velocities": (
        REACHER,
        {
            "agent__type": "dqn", "actions__arm__type": "joint_velocity_table", "actions__arm__joints": FIVE[:1],
            "actions__arm__table": (-1.0, 0.0, 1.0), "agent__conv_channels": (4,), "agent__conv_strides": (2,),
        },
    ),
    "joint effort": (REACHER, {"task__observe": ("joint_position", "joint_effort")}),
    "compressed images": (REACHER, {"cameras__wrist__compressed": True}),
    "depth": (
        REACHER | {"cameras.range.topic": "depth", "cameras.range.height": 24, "cameras.range.width": 28,
                   "cameras.range.source_height": 24, "cameras.range.source_width": 28, "cameras.range.channels": 1,
                   "cameras.range.depth_range_m": (0.1, 2.0), "task.camera": "wrist"},
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGS)
def test_every_rig_is_computed_again(name, tmp_path):
    base, overrides = RIGS[name]
    learned = name == "several cameras and sensors"
    sent = record_run(tmp_path / "bag", tiny_config(base, **overrides), 60, learned)
    with Bag(tmp_path / "bag") as bag:
        result = compare(bag, configuration_of(bag))
    assert result.identical, result.first_difference
    assert result.steps == len(sent) > 20 and sum(t.is_last for t in sent) >= 2
    assert result.actions_compared == sum(not t.is_last for t in sent) and result.actions_max_abs_diff < 1e-6


def test_what_a_person_said_and_what_was_held_is_computed_again(tmp_path):
    run = Run(tmp_path / "bag", tiny_config(SEVERAL, task__success_reward=5.0, task__failure_reward=-2.0), learned=False)
    said = {20: ("success",), 40: ("failure",), 55: ("discard",)}
    for number in range(80):
        run.tick(number, said.get(number, ()), "safety holds" if 65 <= number < 68 else "")
    run.close(START_NS + 80 * 40_000_000)
    assert {t.reward > 4 for t in run.sent} == {True, False} and min(t.reward for t in run.sent) < -1
    with Bag(tmp_path / "bag") as bag:
        result = compare(bag, configuration_of(bag))
    assert result.identical and result.steps == len(run.sent), result.first_difference


def test_the_recording_carries_its_configuration(run, config):
    with Bag(run[0]) as bag:
        assert to_parameters(configuration_of(bag)) == to_parameters(config)


def test_the_command_says_it_as_json(run, capsys):
    assert main(["recompute", str(run[0]), "--identity", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["steps"] == result["observations_equal"] == len(run[1])
    assert result["actions_max_abs_diff"] < 1e-6 and result["realtime_factor"] > 0


def _changed(run, config, **overrides):
    """The recording under a configuration that is not the one it was made with."""
    with Bag(run[0]) as bag:
        return compare(bag, tiny_config(**overrides), stop_at_first=True)


def test_another_seed_gives_other_actions(run, config):
    result = _changed(run, config, run__seed=1)
    assert not result.identical and result.actions_max_abs_diff > 1e-3
    assert result.first_difference.startswith("episode 0 step 0; action differs by")


def test_another_crop_gives_other_observations(run, config):
    result = _changed(run, config, cameras__wrist__crop=(0, 0, 30, 30))
    assert result.observations_equal == 0 and "pixel values of wrist differ" in result.first_difference


def test_another_reward_is_seen(run, config):
    result = _changed(run, config, task__reward="minimum_time")
    assert "reward -1 was" in result.first_difference


def test_stacks_repeat_the_first_frame_and_never_span_episodes(run, config):
    rig = Rig.of(config)
    with Bag(run[0]) as bag:
        history = []
        for remade, observation in with_observations(open_transitions(bag, rig), rig.spaces):
            frame = remade.transition.frames["wrist"]
            history = [frame] * 3 if remade.transition.is_first else [*history[1:], frame]
            np.testing.assert_array_equal(observation["wrist"], np.concatenate(history, axis=2))


def _rewritten(run, folder, keep):
    """The recording without the messages that `keep(record, transition or None)` refuses."""
    writer = BagWriter(folder)
    with Bag(run[0]) as bag:
        for topic in bag.topics.values():
            writer.add_topic(topic.name, topic.type)
        for record in bag.messages():
            step = bag.decode(record) if record.topic == "/transitions" else None
            if keep(record, step):
                writer.write(record.topic, record.time_ns, record.data)
    writer.close()
    return folder


def test_a_gap_cuts_the_rest_of_its_episode(run, config, tmp_path):
    folder = _rewritten(run, tmp_path / "bag", lambda record, step: step is None or step.sequence != 5)
    with Bag(folder) as bag:
        recorded = RecordedRun(bag, Rig.of(config))
        steps = [remade.transition for remade in recorded]
    assert recorded.lost == 1
    first = [step for step in steps if step.episode == 0]
    assert [step.step for step in first] == [0, 1, 2, 3, 4] and first[-1].is_last
    assert [s.sequence for s in steps if s.episode == 1] == [s.sequence for s in run[1] if s.episode == 1]


def test_a_missing_image_is_said_and_does_not_count_as_equal(run, config, tmp_path):
    stamp = run[1][4].source_stamps_ns["wrist"]
    folder = _rewritten(run, tmp_path / "bag", lambda record, _: (record.topic, record.time_ns) != ("/camera/image_raw", stamp))
    with Bag(folder) as bag:
        result = compare(bag, config)
    assert result.observations_missing == 1 and result.observations_equal == result.steps - 1
    assert not result.identical


def test_a_missing_policy_is_said(run, config, tmp_path):
    folder = _rewritten(run, tmp_path / "bag", lambda record, _: record.topic != "/policy_parameters")
    with Bag(folder) as bag:
        result = compare(bag, config)
    learned = sum(step.policy_version > 0 and not step.is_last for step in run[1])
    assert learned and result.actions_missing == learned


def test_a_bag_of_another_robot_is_one_line(run, capsys, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(DEMO.read_text().replace("type: ur5\n", "type: ur5\n      joint_states_topic: other/joints\n"))
    assert main(["recompute", str(run[0]), "--identity", "--config", str(other)]) == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0 and "topic /other/joints is missing" in error


def test_a_recording_of_the_format_before_is_one_line_with_its_version(tmp_path, capsys):
    recorder = Recorder(tmp_path / "bag")
    old = {"camera": {"height": 32}, "robot": {"model": "ur5"}, "task": {"name": "ur5_reacher", "stack": 2}}
    recorder.write("/configuration", "std_msgs/msg/String", START_NS, data=yaml.safe_dump(old))
    recorder.writer.close()
    assert main(["learn", str(tmp_path / "bag"), "--updates", "1"]) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1 and "format 1 (camera, robot.model, task.name; jsac_ros 0.1)" in error
