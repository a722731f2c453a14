"""Foreign recordings become steps: which action, which episode, which reward."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bag_cases import DATA, SMALL, START_NS, Recorder, tiny_config

from jsac_ros.bags.reader import Bag, BagError
from jsac_ros.bags.transitions import configuration_for, open_transitions
from jsac_ros.parameters import load
from jsac_ros.rig import Rig

NAMES = ("one", "two")
PERIOD_NS = 33_333_333
G1 = Path(__file__).resolve().parent.parent / "config" / "g1_shadow.yaml"


def shadow(**overrides):
    """Two joints and a camera of somebody else; commands in [-2, 2] around 1."""
    values = SMALL | {
        "control.trigger": "eye", "cameras.eye.height": 31, "cameras.eye.width": 35, "cameras.eye.max_age_s": 0.3,
        "robot.type": "joints", "robot.joints": NAMES, "robot.driver": "bag", "robot.interface": "none",
        "robot.joint_max_age_s": 0.3, "actions.body.type": "joint_velocity", "actions.body.scale": (2.0,),
        "actions.body.offset": (1.0,), "task.type": "shadow", "task.episode_s": 60.0, "bag.action_topic": "/commands",
    }  # fmt: skip
    return tiny_config(values, **{name.replace(".", "__"): value for name, value in overrides.items()})


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


def transitions_of(folder, config):
    with Bag(folder) as bag:
        recording = open_transitions(bag, Rig.of(config))
        return [remade.transition for remade in recording], recording


@pytest.mark.parametrize("command_lag_ns", [0, 1_000_000, 20_000_000])
def test_a_command_belongs_to_the_frame_that_it_answers(tmp_path, command_lag_ns):
    record(tmp_path / "bag", command_lag_ns=command_lag_ns)
    steps, recording = transitions_of(tmp_path / "bag", shadow())
    assert len(steps) == 10 and recording.episodes == 1 and not recording.skipped
    for k, step in enumerate(steps):
        assert (step.step, step.sequence, step.is_first, step.is_last) == (k, k, k == 0, k == 9)
        assert (step.frames["eye"] == k).all()
        np.testing.assert_allclose(step.vectors["joint_position"], (0.1 * k, -0.1 * k), atol=1e-6)
        if not step.is_last:
            np.testing.assert_allclose(step.action["body"], (0.05 * k, -0.1 * k), atol=1e-6)
            assert step.policy_version == -1 and step.mask == 1.0


def test_a_pause_ends_the_episode_as_truncated(tmp_path):
    record(tmp_path / "bag", pause_after=4)
    steps, recording = transitions_of(tmp_path / "bag", shadow())
    assert recording.episodes == 2
    assert [(s.episode, s.step) for s in steps] == [(0, k) for k in range(5)] + [(1, k) for k in range(5)]
    assert [s.is_last for s in steps] == ([False] * 4 + [True]) * 2
    assert all(s.mask == 1.0 for s in steps)


def test_the_time_limit_ends_an_episode(tmp_path):
    record(tmp_path / "bag")
    steps, _ = transitions_of(tmp_path / "bag", shadow(**{"task.episode_s": 0.12}))  # of 0.04 s each: 3 actions
    assert [(s.episode, s.step) for s in steps][:5] == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]
    assert steps[3].is_last


def test_joint_states_that_stop_end_the_episode(tmp_path):
    record(tmp_path / "bag", frames=30, joints=lambda k: (0.0, 0.0) if k < 10 else None)
    steps, recording = transitions_of(tmp_path / "bag", shadow())
    assert steps[-1].is_last and (steps[-1].frames["eye"] == 18).all()  # 0.3 s after the last joint state
    assert recording.skipped["joint_states is too old, limit 0.30 s"] == 11


def test_a_demonstration_earns_at_its_end(tmp_path):
    record(tmp_path / "bag", pause_after=4)
    steps, _ = transitions_of(tmp_path / "bag", shadow(**{"bag.reward": "end"}))
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
    steps, _ = transitions_of(tmp_path / "bag", shadow(**{"bag.reward": "topic", "bag.reward_topic": "/reward"}))
    assert [s.reward for s in steps if not s.is_last] == [0.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"cameras.eye.topic": "/eye"}, "topic /eye is missing; it has /camera/image_raw, /commands, /joint_states"),
        ({"bag.action_topic": ""}, "bag.action_topic is ''; expected a topic"),
        (
            {"bag.action_topic": "/camera/image_raw"},
            "is sensor_msgs/msg/Image; expected std_msgs/msg/Float64MultiArray",
        ),
        ({"robot.joints": ("one", "three")}, "not received yet: three; the newest message contains two, one"),
        ({"cameras.eye.source_height": 480}, "camera/image_raw is 31x35; expected"),
    ],
)
def test_a_recording_of_another_robot_is_one_line(tmp_path, overrides, words):
    record(tmp_path / "bag")
    with pytest.raises(BagError, match=words) as caught:
        transitions_of(tmp_path / "bag", shadow(**overrides))
    assert "\n" not in str(caught.value)


def test_a_recording_without_a_configuration_asks_for_one(tmp_path):
    record(tmp_path / "bag")
    with Bag(tmp_path / "bag") as bag, pytest.raises(BagError, match="expected --config FILE"):
        configuration_for(bag, None)


@pytest.mark.skipif(not (DATA / "g1_pick_bottle").is_dir(), reason="the recordings in ../shared/data are not here")
def test_both_episodes_of_a_real_robot():
    steps, recording = transitions_of(DATA / "g1_pick_bottle", load(G1))
    assert len(steps) == 498 and recording.episodes == 2 and not recording.skipped
    assert [s.step for s in steps if s.is_last] == [220, 276]
    actions = np.stack([s.action["body"] for s in steps if not s.is_last])
    assert actions.shape == (496, 26) and np.abs(actions).max() < 1.0  # every recorded command is inside the scale
    assert actions.std(axis=0).min() > 0.05
    assert all(s.frames["head"].shape == (48, 64, 3) and s.frames["head"].std() > 10 for s in steps)


@pytest.mark.parametrize("camera_hz", [15, 60])
def test_with_a_clock_a_step_is_a_control_period_whatever_the_cameras_rate(tmp_path, camera_hz):
    recorder, seconds = Recorder(tmp_path / "bag"), 2.0
    events = [(k / camera_hz, "image") for k in range(int(seconds * camera_hz))]
    events += [(k / 100 + 0.001, "joints") for k in range(200)] + [(k / 30 + 0.002, "command") for k in range(60)]
    for at_s, what in sorted(events):
        time_ns = START_NS + int(at_s * 1e9)
        if what == "image":
            recorder.image(time_ns, frame(int(at_s * 100) % 250))
        elif what == "joints":
            recorder.joints(time_ns, NAMES, (at_s, 0.0))
        else:
            recorder.floats("/commands", time_ns, (1.0 + at_s, 1.0))
    recorder.writer.close()
    config = shadow(**{"control.trigger": "clock", "control.period_s": 0.05, "task.episode_s": 0.5})
    steps, recording = transitions_of(tmp_path / "bag", config)
    assert recording.episodes in (3, 4) and [s.step for s in steps if s.is_last][:3] == [10, 10, 10]
    intervals = {b.stamp_ns - a.stamp_ns for a, b in zip(steps, steps[1:]) if not a.is_last}
    assert intervals == {50_000_000}
    for s in steps:
        if not s.is_last:  # the newest command before the next tick
            at_s = (s.stamp_ns - START_NS) * 1e-9
            assert at_s + 0.05 - 0.034 < 2.0 * s.action["body"][0] <= at_s + 0.05


def test_commands_may_be_joint_states(tmp_path):
    recorder = Recorder(tmp_path / "bag")
    for k in range(10):
        time_ns = START_NS + k * PERIOD_NS
        recorder.joints(time_ns, NAMES, (0.0, 0.0))
        recorder.image(time_ns, frame(k))
        recorder.joints(time_ns + 1000, NAMES[::-1], (1.0 - 0.2 * k, 1.0 + 0.1 * k), topic="/commands")
    recorder.writer.close()
    steps, recording = transitions_of(tmp_path / "bag", shadow())
    assert len(steps) == 10 and not recording.skipped
    for k, step in enumerate(steps[:-1]):
        np.testing.assert_allclose(step.action["body"], (0.05 * k, -0.1 * k), atol=1e-6)


def test_what_was_skipped_and_clipped_is_said(tmp_path):
    """Pictures that cannot be used, commands of another length, and most of them in degrees."""
    recorder = Recorder(tmp_path / "bag")
    for k in range(40):
        time_ns, q = START_NS + k * PERIOD_NS, 0.4 * np.sin(k / 5)
        recorder.joints(time_ns, NAMES, (q, q))
        recorder.image(time_ns, frame(k) if k % 10 else np.zeros((30, 35, 3), np.uint8))
        recorder.floats("/commands", time_ns + 1000, (57.3 * q, 57.3 * q) if k != 25 else (0.0,))
    recorder.writer.close()
    config = shadow(**{"cameras.eye.source_height": 31, "cameras.eye.source_width": 35})
    steps, recording = transitions_of(tmp_path / "bag", config)
    assert len(steps) == 36
    said = "\n".join(recording.warnings)
    assert "4 times camera/image_raw: image on camera/image_raw is 30x35" in said
    assert "1 times command has 1 values; expected 2" in said and "degrees" in said


def test_two_sources_of_one_joint_hold_as_they_do_live(tmp_path):
    recorder = Recorder(tmp_path / "bag")
    for k in range(60):
        time_ns = START_NS + k * PERIOD_NS
        recorder.joints(time_ns, NAMES, (1.0, 1.0), (0.0, 0.0))
        if 20 <= k < 30:
            recorder.joints(time_ns + 10_000_000, NAMES, (0.0, 0.0), (0.0, 0.0))
        recorder.image(time_ns + 15_000_000, frame(k))
        recorder.floats("/commands", time_ns + 20_000_000, (1.0, 1.0))
    recorder.writer.close()
    steps, recording = transitions_of(tmp_path / "bag", shadow())
    assert any("has two sources" in why for why in recording.skipped)
    seen = [int(s.frames["eye"].flat[0]) for s in steps]
    assert seen[:20] == list(range(20)) and not set(seen) & set(range(24, 58)), "a second after the last of it"
