"""What the actor hears: slots, ages, and one line for what cannot be used. Live and of a recording."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from rig_cases import BASE, LINE, REACHER, WRENCH, config_of

from jsac_ros.control.inputs import FrameClock, Inputs
from jsac_ros.control.rate import ReceivedClock, SteadyClock, Tick
from jsac_ros.rig import Rig
from jsac_ros.types import Command

REACHER = REACHER | {"cameras.wrist.source_height": 90}
TWO = (
    REACHER
    | WRENCH
    | {"cameras.scene.topic": "scene/image_raw", "cameras.scene.height": 20, "cameras.scene.width": 30, "task.camera": "wrist"}
)
BAG = {"robot.driver": "bag", "robot.interface": "none", "task.type": "shadow", "control.trigger": "wrist"}


class Lines(list):
    """In the place of a node's logger."""

    def error(self, line, throttle_duration_sec=0.0):
        self.append(line)

    warning = error


@pytest.fixture
def lines():
    return Lines()


def inputs_of(lines, base=REACHER, clock=None, plays=False, **changes):
    rig = Rig.of(config_of(base, **changes))
    return Inputs(rig, lines, clock or SteadyClock(), plays), rig.robot


def header(age_s=0.0, stamp_ns=None):
    stamp_ns = time.time_ns() - int(age_s * 1e9) if stamp_ns is None else stamp_ns
    sec, nanosec = divmod(stamp_ns, 1_000_000_000)
    return SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec))


def image(height=90, width=160, encoding="rgb8", value=0, **stamp):
    size = height * width * 3
    return SimpleNamespace(
        header=header(**stamp), height=height, width=width, encoding=encoding, is_bigendian=0, step=width * 3,
        data=bytes([value]) * size,
    )  # fmt: skip


def joints(names, value=0.0, velocity=0.0, effort=(), **stamp):
    n = len(names)
    return SimpleNamespace(
        header=header(**stamp),
        name=list(names),
        position=np.full(n, value),
        velocity=np.full(n, velocity),
        effort=np.array(effort),
    )


def wrench(*force, **stamp):
    vector = SimpleNamespace(**dict(zip("xyz", force)))
    return SimpleNamespace(header=header(**stamp), wrench=SimpleNamespace(force=vector))


def view(inputs, other="", frame=None):
    return inputs.view(Tick(0, 0, 1_000_000, 0), frame, (), other)


def test_fresh_data_has_no_problem_and_its_ages(lines):
    inputs, arm = inputs_of(lines)
    inputs.on_image("wrist", image(age_s=0.03))
    inputs.on_joints(joints(arm.names[::-1], age_s=0.01))
    seen = view(inputs)
    assert seen.problem == "" and seen.sensed.frames["wrist"].shape == (32, 48, 3) and seen.sensed.position.shape == (6,)
    assert 0.03 <= seen.ages_s["wrist"] < 0.2 and 0.01 <= seen.ages_s["joints"] < 0.1
    assert seen.lateness_s == pytest.approx(0.001)
    assert not lines


def test_every_camera_and_sensor_has_its_slot(lines):
    inputs, arm = inputs_of(lines, TWO)
    inputs.on_joints(joints(arm.names))
    inputs.on_image("wrist", image(value=3))
    inputs.on_image("scene", image(40, 60, value=5, age_s=0.05))
    assert "no usable message on wrench yet" in view(inputs).problem
    inputs.on_sensor("wrench", wrench(1.0, 2.0, 3.0))
    seen = view(inputs)
    assert not seen.problem and not lines
    assert {name: int(frame.max()) for name, frame in seen.sensed.frames.items()} == {"wrist": 3, "scene": 5}
    np.testing.assert_allclose(seen.sensed.sensors["wrench"], (0.1, 0.2, 0.3))
    assert set(seen.source_stamps_ns) == set(seen.ages_s) == {"joints", "scene", "wrench", "wrist"}
    inputs.on_sensor("wrench", wrench(1.0, float("nan"), 3.0))
    assert "expected finite numbers" in lines[0] and not view(inputs).problem, "the slot keeps its last value"
    time.sleep(0.16)
    inputs.on_joints(joints(arm.names))
    assert "scene/image_raw is 0.2" in view(inputs).problem


def test_a_sensor_of_any_age_is_zeros_until_it_comes(lines):
    inputs, arm = inputs_of(lines, REACHER | WRENCH, sensors__wrench__max_age_s=0.0)
    inputs.on_joints(joints(arm.names))
    inputs.on_image("wrist", image())
    assert view(inputs).sensed.sensors["wrench"].tolist() == [0.0] * 3
    inputs.on_sensor("wrench", wrench(1.0, 2.0, 3.0, age_s=100.0))
    assert view(inputs).sensed.sensors["wrench"][0] == pytest.approx(0.1)


def test_a_message_without_a_header_counts_from_its_arrival(lines):
    inputs, base = inputs_of(lines, BASE)
    inputs.on_joints(joints(base.names))
    inputs.on_image("front", image(36, 48))
    inputs.on_sensor("battery", SimpleNamespace(header=header(), percentage=float("nan")))
    inputs.on_sensor("bumper", SimpleNamespace(data=True), 17)
    seen = view(inputs)
    assert not seen.problem and seen.source_stamps_ns["bumper"] == 17, "it is known by when it was published"
    assert seen.sensed.sensors["bumper"] == [1.0] and seen.sensed.sensors["battery"] == [1.0]


def test_what_is_missing_is_named(lines):
    inputs, arm = inputs_of(lines)
    assert "joint_states" in view(inputs).problem
    inputs.on_joints(joints(arm.names))
    assert "camera/image_raw" in view(inputs).problem
    inputs.on_image("wrist", image())
    assert view(inputs, "the safety node is silent").problem == "the safety node is silent"


def test_what_is_too_old_is_named_with_its_limit(lines):
    inputs, arm = inputs_of(lines)
    inputs.on_image("wrist", image(age_s=1.5))
    inputs.on_joints(joints(arm.names))
    assert "camera/image_raw is 1.5" in view(inputs).problem and "limit 0.20 s" in view(inputs).problem


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"height": 80}, ["camera/image_raw", "80", "90"]),
        ({"encoding": "16UC7"}, ["camera/image_raw", "16UC7"]),
        ({"stamp_ns": 0}, ["camera/image_raw", "stamp is not set", "`stamps: arrival`"]),
        ({"age_s": -1.0}, ["camera/image_raw", "in the future"]),
    ],
)
def test_an_image_that_cannot_be_used_is_refused_in_one_line(lines, change, named):
    inputs, arm = inputs_of(lines)
    inputs.on_joints(joints(arm.names))
    inputs.on_image("wrist", image(**change))
    (line,) = lines
    assert all(part in line for part in named), line
    assert line.partition(": ")[2] in view(inputs).problem, "the status says why nothing usable has come"


def test_stamps_that_do_not_count_are_replaced_by_the_arrival(lines):
    inputs, arm = inputs_of(lines, cameras__wrist__stamps="arrival", robot__stamps="arrival")
    inputs.on_image("wrist", image(stamp_ns=0), 123)
    inputs.on_joints(joints(arm.names, stamp_ns=5), 124)
    seen = view(inputs)
    assert seen.problem == "" and seen.source_stamps_ns == {"joints": 124, "wrist": 123} and not lines


def test_joint_states_that_lack_a_joint_are_waited_for(lines):
    inputs, arm = inputs_of(lines)
    inputs.on_joints(joints(arm.names[:-1]))
    assert "not received yet: wrist_3_joint" in view(inputs).problem and view(inputs).sensed is None
    inputs.on_joints(joints(arm.names[-1:]))
    inputs.on_image("wrist", image())
    assert view(inputs).problem == "" and not lines


def test_a_stamp_of_the_joints_that_is_not_set_holds_and_names_the_cure(lines):
    inputs, arm = inputs_of(lines)
    inputs.on_image("wrist", image())
    inputs.on_joints(joints(arm.names, stamp_ns=0))
    assert "its stamp is not set; `stamps: arrival` counts from its arrival" in view(inputs).problem


def test_late_messages_are_told_from_none(lines):
    inputs, arm = inputs_of(lines)
    inputs.on_joints(joints(arm.names))
    inputs.on_image("wrist", image(age_s=3.0))
    assert "camera/image_raw is 3.0" in view(inputs).problem and "the computers' clocks differ" in view(inputs).problem
    time.sleep(0.21)
    inputs.on_joints(joints(arm.names))
    assert "clocks" not in view(inputs).problem


def test_a_step_of_the_wall_clock_changes_no_age(lines, monkeypatch):
    inputs, arm = inputs_of(lines)
    inputs.on_image("wrist", image())
    inputs.on_joints(joints(arm.names))
    now_ns = inputs.clock.ros_now_ns
    monkeypatch.setattr(inputs.clock, "ros_now_ns", lambda: now_ns() + 3_000_000_000, raising=False)
    assert view(inputs).problem == ""


def test_joints_are_as_old_as_the_message_that_held_them(lines):
    inputs, arm = inputs_of(lines)
    inputs.on_image("wrist", image())
    inputs.on_joints(joints(arm.names, age_s=0.3))
    inputs.on_joints(joints(arm.names[:2]))
    problem = view(inputs).problem
    assert "joint_states is 0.3" in problem and "the newest message lacks elbow_joint" in problem
    inputs.on_joints(joints(["gripper"]))
    assert "joint_states is 0.3" in view(inputs).problem, "another device's messages change nothing"


def test_two_publishers_of_one_joint_hold(lines):
    inputs, arm = inputs_of(lines)
    inputs.on_image("wrist", image())
    for number in (1000, 1, 1001, 2, 1002):
        inputs.on_joints(joints(arm.names), number=number)
    assert "shoulder_pan_joint has two sources" in view(inputs).problem


def test_two_sources_of_one_joint_hold(lines):
    inputs, arm = inputs_of(lines)
    for k in range(6):
        inputs.on_image("wrist", image())
        inputs.on_joints(joints(arm.names, value=0.5 * (k % 2)))
    assert "two sources" in view(inputs).problem and "two sources" in lines[0]


def test_joint_states_that_are_not_finite_are_refused(lines):
    inputs, arm = inputs_of(lines)
    inputs.on_joints(joints(arm.names, value=float("nan")))
    assert "not finite" in lines[0] and view(inputs).sensed is None


def test_velocities_that_are_not_measured_are_derived_and_said_once(lines):
    inputs, arm = inputs_of(lines)
    now_ns = time.time_ns() - 30_000_000
    inputs.on_image("wrist", image())
    for k in range(3):
        inputs.on_joints(joints(arm.names, value=0.01 * k, velocity=float("nan"), stamp_ns=now_ns + 10_000_000 * k))
    np.testing.assert_allclose(view(inputs).sensed.velocity, np.ones(6))
    (line,) = lines
    assert line.startswith("joint_states: velocities derived from positions: shoulder_pan_joint")


def test_an_effort_that_is_observed_must_be_there(lines):
    inputs, arm = inputs_of(lines, task__observe=("wrist", "joint_effort"))
    inputs.on_image("wrist", image())
    inputs.on_joints(joints(arm.names))
    assert "has no effort" in view(inputs).problem
    inputs.on_joints(joints(arm.names, effort=[2.0] * 6))
    assert view(inputs).problem == "" and view(inputs).sensed.effort.tolist() == [2.0] * 6


def test_a_camera_that_repeats_one_image_is_noticed(lines):
    inputs, arm = inputs_of(lines, cameras__wrist__frozen_max_age_s=0.05)
    inputs.on_joints(joints(arm.names))
    inputs.on_image("wrist", image())
    assert view(inputs).problem == ""
    time.sleep(0.06)
    inputs.on_image("wrist", image())
    inputs.on_joints(joints(arm.names))
    assert "one image for 0." in view(inputs).problem and "limit 0.05 s" in view(inputs).problem
    inputs.on_image("wrist", image(value=9))
    assert view(inputs).problem == ""


def test_a_camera_that_repeats_one_image_is_noticed_by_a_frame_clock_too(lines):
    inputs, arm = inputs_of(lines, cameras__wrist__frozen_max_age_s=0.05, control__trigger="wrist")
    inputs.on_joints(joints(arm.names))
    clock = FrameClock(inputs, 0.01, every_frame=False)
    inputs.on_image("wrist", image())
    clock.wait()  # takes the frame away
    time.sleep(0.06)
    inputs.on_image("wrist", image())
    assert "one image for 0." in inputs.view(clock.wait(), clock.frame, (), "").problem


def test_a_recording_is_as_old_as_its_arrival(lines):
    inputs, arm = inputs_of(lines, REACHER | BAG, plays=True)
    inputs.on_image("wrist", image(age_s=1e6))
    inputs.on_joints(joints(arm.names, age_s=1e6))
    assert view(inputs).problem == "" and view(inputs).ages_s["wrist"] < 1.0


def test_a_recordings_time_is_that_of_its_clock(lines):
    clock = ReceivedClock()
    inputs, arm = inputs_of(lines, REACHER | BAG, clock, plays=True)
    clock.set(10**18)
    inputs.on_image("wrist", image(stamp_ns=7))
    inputs.on_joints(joints(arm.names, stamp_ns=8))
    clock.set(10**18 + 150_000_000)
    seen = view(inputs)
    assert seen.ages_s["wrist"] == pytest.approx(0.15, abs=1e-6) and "joint_states is 0.15 s old" in seen.problem
    assert seen.source_stamps_ns == {"joints": 8, "wrist": 7} and seen.stamp_ns == 10**18 + 150_000_000


def test_a_frame_clock_gives_every_frame_of_a_recording_in_order(lines):
    inputs, arm = inputs_of(lines, REACHER | BAG, plays=True)
    stamps = [1000 + k for k in range(5)]
    for stamp_ns in stamps:
        inputs.on_image("wrist", image(stamp_ns=stamp_ns))
    clock = FrameClock(inputs, 0.01, every_frame=True)
    clock.wait()
    assert clock.frame is None, "the first frame waits for the first joint state"
    inputs.on_joints(joints(arm.names))
    seen = []
    for _ in range(5):
        clock.wait()
        seen.append(clock.frame.times.stamp_ns)
    assert seen == stamps
    assert clock.wait().number == 6 and clock.frame is None, "a dead camera still ticks"


def test_a_frame_waits_for_the_command_that_answers_it(lines):
    changes = {"bag.action_topic": "commands", "control.trigger": "eye", "robot.driver": "bag", "robot.interface": "none"}
    inputs, robot = inputs_of(lines, LINE | changes, plays=True)
    inputs.on_joints(joints(robot.names))
    clock = FrameClock(inputs, 0.01, every_frame=True)
    for stamp_ns in (1, 2, 3):
        inputs.on_image("eye", image(2, 2, stamp_ns=stamp_ns))
    clock.wait()
    assert clock.frame is None
    answer = Command(np.array([0.1, 0.0, 0.0]), {})
    inputs.on_recorded_action(2, answer)
    inputs.on_recorded_action(1, None)
    first = inputs.view(clock.wait(), clock.frame, (), "")
    assert clock.frame.times.stamp_ns == 1 and first.problem == "nothing recorded on commands yet"
    second = inputs.view(clock.wait(), clock.frame, (), "")
    assert second.problem == "" and inputs.recorded_action(2) is answer
    clock.wait()
    assert clock.frame is None
    inputs.on_recorded_action(0, answer)  # of all from now on
    clock.wait()
    assert clock.frame.times.stamp_ns == 3 and inputs.recorded_action(3) is answer


def test_what_cannot_be_used_is_told_to_who_counts_it(lines):
    """By its topic, as often as it comes; the log is theirs then."""
    rig, refused = Rig.of(config_of(REACHER)), []
    inputs = Inputs(rig, lines, SteadyClock(), refuse=lambda topic, why: refused.append((topic, why)))
    camera = rig.config.cameras["wrist"].topic
    for _ in range(2):
        inputs.on_image("wrist", image(encoding="of_nobody"))
    inputs.on_joints(SimpleNamespace(header=header(), name=list(rig.robot.names), position=[0.0], velocity=[], effort=[]))
    assert [topic for topic, _ in refused] == [camera, camera, "joint_states"]
    assert "of_nobody" in refused[0][1] and not lines
