"""The quality check finds what was put into a recording, where it was put."""

from __future__ import annotations

import json

import numpy as np
import pytest
from bag_cases import DATA, DEMO, SMALL, START_NS, Recorder, tiny_config

from jsac_ros.__main__ import main
from jsac_ros.bags.check import check
from jsac_ros.bags.findings import clock, joint_gaps, stretches, timing
from jsac_ros.bags.reader import Bag
from jsac_ros.parameters import load
from jsac_ros.rig import Rig

COMMANDED = SMALL | {
    "robot.type": "joints", "robot.joints": ("a", "b"), "robot.driver": "bag", "robot.interface": "none",
    "actions.body.type": "joint_velocity", "actions.body.scale": (1.0,), "task.type": "shadow", "bag.action_topic": "/commands",
    "control.period_s": 0.03,
}  # fmt: skip
RANDOM = np.random.default_rng(0)


def picture(mean: int = 120) -> np.ndarray:
    return (mean + RANDOM.integers(-10, 10, (24, 32, 3))).astype(np.uint8)


def findings(folder, kind: str, rig=None):
    with Bag(folder) as bag:
        return [finding for finding in check(bag, rig).findings if finding.kind == kind]


def record(folder, image=lambda k: picture(), joint_ns=lambda k: 0, names=lambda k: ("a", "b"), frames=90) -> None:
    """Pictures and joint states at 30 Hz; `image(k)` None: left out; `joint_ns`: added to the joints' stamps."""
    recorder = Recorder(folder)
    for k in range(frames):
        time_ns = START_NS + k * 33_333_333
        if (frame := image(k)) is not None:
            recorder.image(time_ns, frame)
        named = names(k)
        recorder.joints(time_ns + joint_ns(k), named, (0.1 * k,) * 2, recorded_ns=time_ns)
    recorder.writer.close()


def test_a_good_recording_has_no_findings(tmp_path):
    record(tmp_path / "bag")
    with Bag(tmp_path / "bag") as bag:
        quality = check(bag)
    assert quality.findings == () and quality.count == 180
    assert [round(topic.rate_hz) for topic in quality.topics] == [30, 30]


def test_a_gap(tmp_path):
    record(tmp_path / "bag", image=lambda k: None if 30 <= k < 45 else picture())
    (gap,) = findings(tmp_path / "bag", "gap")
    assert gap.topic == "/camera/image_raw" and gap.text.startswith("0.53 s")
    assert (gap.start_s, gap.end_s) == pytest.approx((29 / 30, 45 / 30), abs=1e-3)


def test_frozen_pictures(tmp_path):
    still = picture()
    record(tmp_path / "bag", image=lambda k: still if 20 <= k < 40 else picture())
    (frozen,) = findings(tmp_path / "bag", "frozen")
    assert frozen.text == "20 images in a row are identical"
    assert (frozen.start_s, frozen.end_s) == pytest.approx((21 / 30, 39 / 30), abs=1e-3)


def test_dark_and_bright_pictures(tmp_path):
    record(tmp_path / "bag", image=lambda k: picture(10) if k < 10 else picture(244) if k >= 80 else picture())
    (dark,), (bright,) = findings(tmp_path / "bag", "dark"), findings(tmp_path / "bag", "bright")
    assert (dark.start_s, dark.end_s) == pytest.approx((0, 9 / 30), abs=1e-3)
    assert (bright.start_s, bright.end_s) == pytest.approx((80 / 30, 89 / 30), abs=1e-3)


def test_pictures_without_joint_states_near_them(tmp_path):
    record(tmp_path / "bag", joint_ns=lambda k: 200_000_000 if k >= 60 else 0)
    (skew,) = findings(tmp_path / "bag", "skew")
    assert skew.start_s == pytest.approx(61 / 30, abs=0.05) and "within 50 ms" in skew.text


def test_clocks(tmp_path):
    record(tmp_path / "bag", joint_ns=lambda k: 10_000_000_000 if k >= 60 else 0)
    (jump,) = findings(tmp_path / "bag", "clock")
    assert "jump +10.00 s" in jump.text and jump.end_s == pytest.approx(60 / 30, abs=1e-3)
    seconds = np.arange(5.0)
    assert "go back 2.500 s" in clock("t", seconds, np.array([0, 1, 2, -0.5, 0.5]))[0].text
    assert "2 stamps are not set" in clock("t", seconds, np.array([-1.75e9, 1, -1.75e9, 3, 4]))[0].text


def test_joints(tmp_path):
    record(tmp_path / "bag", names=lambda k: () if k < 10 else ("b", "a") if k >= 80 else ("a", "b"))
    texts = [finding.text for finding in findings(tmp_path / "bag", "joints")]
    assert texts == ["10 joint states name no joint", "the names or their order change: 2 variants"]


def test_joints_that_stop_while_the_topic_goes_on():
    arm, gripper = [0.01 * k for k in range(100)], [0.005 + 0.05 * k for k in range(60)]
    (gap,) = joint_gaps("t", {("a", "b"): arm, ("grip",): gripper})
    assert gap.text == "1.97 s without a, b" and gap.start_s == pytest.approx(0.99)
    assert joint_gaps("t", {("a", "b"): arm[:50], ("b", "a"): arm[50:]}) == []


def test_two_sources_of_one_joint(tmp_path):
    recorder = Recorder(tmp_path / "bag")
    for k in range(40):
        time_ns = START_NS + k * 10_000_000
        recorder.joints(time_ns, ("a", "b"), (1.0 + 0.001 * k, 0.0), (0.1, 0.0))
        recorder.joints(time_ns + 3_000_000, ("a", "b"), (0.0, 0.0), (0.0, 0.0))
    recorder.writer.close()
    (found,) = findings(tmp_path / "bag", "joints")
    assert found.text.startswith("a has two sources") and found.start_s < 0.1 and found.end_s > 0.3


def test_a_velocity_that_is_not_measured_is_said_once(tmp_path):
    recorder = Recorder(tmp_path / "bag")
    for k in range(10):
        recorder.joints(START_NS + k * 10_000_000, ("a", "b"), (0.0, 0.0), (np.nan, 0.0))
    recorder.writer.close()
    (found,) = findings(tmp_path / "bag", "velocity")
    assert found.text.startswith("velocity of a is NaN: not measured") and findings(tmp_path / "bag", "unusable") == []


def test_depths_are_looked_at_without_a_configuration(tmp_path):
    recorder = Recorder(tmp_path / "bag")
    for k in range(10):
        time_ns, depth = START_NS + k * 33_333_333, np.full((4, 6), 100 + k, np.uint16)
        recorder.write(
            "/depth", "sensor_msgs/msg/Image", time_ns, header=recorder.header(time_ns), height=4, width=6,
            encoding="16UC1", is_bigendian=0, step=12, data=depth.view(np.uint8).reshape(-1),
        )  # fmt: skip
    recorder.writer.close()
    with Bag(tmp_path / "bag") as bag:
        assert check(bag).findings == ()


@pytest.mark.parametrize(("unit", "words"), [(1.0, []), (57.3, ["recorded commands lie outside actions.body", "degrees"])])
def test_commands_that_are_no_actions_of_the_configuration(tmp_path, unit, words):
    recorder = Recorder(tmp_path / "bag")
    for k in range(40):
        time_ns, q = START_NS + k * 33_333_333, 0.4 * np.sin(k / 5)
        recorder.joints(time_ns, ("a", "b"), (q, q))
        recorder.floats("/commands", time_ns + 1000, (unit * q, unit * q))
    recorder.writer.close()
    found = [f.text for f in findings(tmp_path / "bag", "commands", Rig.of(tiny_config(COMMANDED)))]
    assert len(found) == bool(words) and all(word in found[0] for word in words)


def test_what_a_configuration_misses(tmp_path):
    record(tmp_path / "bag")
    rig = Rig.of(load(DEMO, {"cameras.wrist.topic": "wrist/image"}))
    (missing,) = findings(tmp_path / "bag", "missing", rig)
    assert missing.topic == "wrist/image"
    (lacking,) = findings(tmp_path / "bag", "joints", rig)
    assert lacking.text.startswith("90 joint states lack elbow_joint")


def test_an_irregular_topic_has_no_gaps():
    assert timing("t", np.cumsum(np.random.default_rng(0).exponential(1.0, 100))) == []


def test_stretches():
    assert stretches(np.array([1, 1, 0, 0, 1], bool), np.arange(5.0)) == [(0, 1), (4, 4)]
    assert stretches(np.zeros(3, bool), np.arange(3.0)) == []


def test_the_command(tmp_path, capsys):
    record(tmp_path / "bag", image=lambda k: None if 30 <= k < 45 else picture())
    assert main(["bag", "check", str(tmp_path / "bag"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [finding["kind"] for finding in found["findings"]] == ["gap"]
    assert main(["bag", "check", str(tmp_path / "bag")]) == 0
    assert "0.97 ..     1.50 s  /camera/image_raw: 0.53 s without a message" in capsys.readouterr().out


@pytest.mark.skipif(not (DATA / "aerial_servo").is_dir(), reason="the recordings in ../shared/data are not here")
def test_recordings_of_others_are_described_truthfully():
    static = findings(DATA / "aerial_servo" / "ros2bag_static_ats_invz", "joints")
    assert [f.text for f in static if f.topic == "/servo/out/state"] == ["3246 joint states name no joint"]
    moving = DATA / "aerial_servo" / "ros2bag_ats_2025-12-03_09-49-08"
    assert "names q1, q2, q3; /servo/out/state names q0, q1, q2" in {f.text for f in findings(moving, "joints")}
    empty = {finding.topic for finding in findings(moving, "empty")}
    assert len(empty) == 8 and "/events/write_split" in empty


@pytest.mark.skipif(not (DATA / "g1_pick_bottle").is_dir(), reason="the recordings in ../shared/data are not here")
def test_the_pause_between_two_episodes_is_found():
    gaps = findings(DATA / "g1_pick_bottle", "gap")
    assert len(gaps) == 3 and all(gap.text.startswith("3.00 s") for gap in gaps)
