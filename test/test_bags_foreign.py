"""Foreign recordings become steps: which action, which episode, which reward."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bag_cases import DATA, START_NS, Recorder, tiny_config

from jsac_ros import config as configuration
from jsac_ros.bags.reader import Bag, BagError
from jsac_ros.bags.transitions import configuration_for, open_steps

NAMES = ("one", "two")
PERIOD_NS = 33_333_333
G1 = Path(__file__).resolve().parent.parent / "config" / "g1_shadow.yaml"


def shadow(**overrides):
    """Two joints and a camera of somebody else; commands in [-2, 2] around 1."""
    values = {
        "robot.model": "joints", "robot.joints": NAMES, "robot.driver": "bag", "robot.interface": "none",
        "task.name": "shadow", "task.controlled_joints": 2, "task.action_scale": (2.0,), "task.action_offset": (1.0,),
        "task.home": (0.0, 0.0), "task.reward": "none", "task.episode_s": 60.0, "bag.action_topic": "/commands",
        "camera.max_age_s": 0.3, "robot.joint_max_age_s": 0.3,
    }  # fmt: skip
    return tiny_config(**{name.replace(".", "__"): value for name, value in (values | overrides).items()})


def frame(k: int) -> np.ndarray:
    return np.full((31, 35, 3), k, np.uint8)


def record(folder, frames=10, command_lag_ns=1_000_000, pause_after=None, joints=lambda k: (0.1 * k, -0.1 * k)) -> None:
    """Joints (in another order), a picture, then the command that answers it."""
    recorder, pause_ns = Recorder(folder), 0
    for k in range(frames):
        time_ns = START_NS + k * PERIOD_NS + pause_ns
        if (q := joints(k)) is not None:
            recorder.joints(time_ns, NAMES[::-1], q[::-1])
        recorder.image(time_ns, frame(k))
        recorder.floats("/commands", time_ns + command_lag_ns, (1.0 + 0.1 * k, 1.0 - 0.2 * k))
        if k == pause_after:
            pause_ns = 1_000_000_000
    recorder.writer.close()


def steps_of(folder, config):
    with Bag(folder) as bag:
        recording = open_steps(bag, config)
        return [remade.step for remade in recording], recording


@pytest.mark.parametrize("command_lag_ns", [0, 1_000_000, 20_000_000])
def test_a_command_belongs_to_the_picture_that_it_answers(tmp_path, command_lag_ns):
    record(tmp_path / "bag", command_lag_ns=command_lag_ns)
    steps, recording = steps_of(tmp_path / "bag", shadow())
    assert len(steps) == 10 and recording.episodes == 1 and not recording.skipped
    for k, step in enumerate(steps):
        assert (step.step, step.sequence, step.is_first, step.is_last) == (k, k, k == 0, k == 9)
        assert (step.frame == k).all()
        np.testing.assert_allclose(step.proprioception[:2], (0.1 * k, -0.1 * k), atol=1e-6)
        if not step.is_last:
            np.testing.assert_allclose(step.action, (0.05 * k, -0.1 * k), atol=1e-6)
            assert step.policy_version == -1 and step.mask == 1.0


def test_a_pause_ends_the_episode_as_truncated(tmp_path):
    record(tmp_path / "bag", pause_after=4)
    steps, recording = steps_of(tmp_path / "bag", shadow())
    assert recording.episodes == 2
    assert [(s.episode, s.step) for s in steps] == [(0, k) for k in range(5)] + [(1, k) for k in range(5)]
    assert [s.is_last for s in steps] == ([False] * 4 + [True]) * 2
    assert all(s.mask == 1.0 for s in steps)


def test_the_time_limit_ends_an_episode(tmp_path):
    record(tmp_path / "bag")
    steps, _ = steps_of(tmp_path / "bag", shadow(**{"task.episode_s": 0.12}))  # of 0.04 s each: 3 actions
    assert [(s.episode, s.step) for s in steps][:5] == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]
    assert steps[3].is_last


def test_joint_states_that_stop_end_the_episode(tmp_path):
    record(tmp_path / "bag", frames=30, joints=lambda k: (0.0, 0.0) if k < 10 else None)
    steps, recording = steps_of(tmp_path / "bag", shadow())
    assert steps[-1].is_last and (steps[-1].frame == 18).all()  # 0.3 s after the last joint state
    assert recording.skipped["joint state older than 0.3 s"] == 11


def test_a_demonstration_earns_at_its_end(tmp_path):
    record(tmp_path / "bag", pause_after=4)
    steps, _ = steps_of(tmp_path / "bag", shadow(**{"bag.reward": "end"}))
    assert [(s.reward, s.mask) for s in steps] == ([(0.0, 1.0)] * 3 + [(1.0, 0.0), (0.0, 1.0)]) * 2


def test_rewards_from_a_topic(tmp_path):
    recorder = Recorder(tmp_path / "bag")
    for k in range(6):
        time_ns = START_NS + k * PERIOD_NS
        recorder.joints(time_ns, NAMES, (0.0, 0.0))
        recorder.image(time_ns, frame(k))
        recorder.floats("/commands", time_ns + 1000, (1.0, 1.0))
        recorder.write("/reward", "std_msgs/msg/Float64", time_ns + 2000, data=float(k))
    recorder.writer.close()
    steps, _ = steps_of(tmp_path / "bag", shadow(**{"bag.reward": "topic", "bag.reward_topic": "/reward"}))
    assert [s.reward for s in steps if not s.is_last] == [0.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"camera.topic": "/eye"}, "topic /eye is missing; it has /camera/image_raw, /commands, /joint_states"),
        ({"bag.action_topic": ""}, "names no topic for command"),
        (
            {"bag.action_topic": "/camera/image_raw"},
            "is sensor_msgs/msg/Image; expected std_msgs/msg/Float64MultiArray",
        ),
        ({"robot.joints": ("one", "three")}, "joint state lacks three"),
        ({"camera.source_height": 480}, "camera/image_raw is 31x35; expected"),
    ],
)
def test_a_recording_of_another_robot_is_one_line(tmp_path, overrides, words):
    record(tmp_path / "bag")
    with pytest.raises(BagError, match=words) as caught:
        steps_of(tmp_path / "bag", shadow(**overrides))
    assert "\n" not in str(caught.value)


def test_a_recording_without_a_configuration_asks_for_one(tmp_path):
    record(tmp_path / "bag")
    with Bag(tmp_path / "bag") as bag, pytest.raises(BagError, match="expected --config FILE"):
        configuration_for(bag, None)


@pytest.mark.skipif(not (DATA / "g1_pick_bottle").is_dir(), reason="the recordings in ../shared/data are not here")
def test_both_episodes_of_a_real_robot():
    steps, recording = steps_of(DATA / "g1_pick_bottle", configuration.load(G1))
    assert len(steps) == 498 and recording.episodes == 2 and not recording.skipped
    assert [s.step for s in steps if s.is_last] == [220, 276]
    actions = np.stack([s.action for s in steps if not s.is_last])
    assert actions.shape == (496, 26) and np.abs(actions).max() < 1.0  # every recorded command is inside the scale
    assert actions.std(axis=0).min() > 0.05
    assert all(s.frame.shape == (48, 64, 3) and s.frame.std() > 10 for s in steps)
