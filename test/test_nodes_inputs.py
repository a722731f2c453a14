"""What the actor hears: slots, ages, and one line for what cannot be used."""

import time

import numpy as np
import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from sensor_msgs.msg import Image, JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402

from jsac_ros.config import from_parameters  # noqa: E402
from jsac_ros.control.rate import SteadyClock, Tick  # noqa: E402
from jsac_ros.nodes.inputs import FrameClock, Inputs  # noqa: E402
from jsac_ros.robots.models import arm_of  # noqa: E402


class Lines(list):
    """Stands where a node's logger stands."""

    def error(self, line, throttle_duration_sec=0.0):
        self.append(line)


@pytest.fixture
def lines():
    return Lines()


def inputs_of(lines, **more):
    config = from_parameters({"camera.height": 32, "camera.width": 48, "camera.source_height": 90} | more)
    return Inputs(config, arm_of(config.robot), lines, SteadyClock()), arm_of(config.robot)


def stamp(message, age_s=0.0):
    now_ns = time.time_ns() - int(age_s * 1e9)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(now_ns, 1_000_000_000)
    return message


def image(height=90, width=160, encoding="rgb8", age_s=0.0):
    size = height * width * 3
    return stamp(Image(height=height, width=width, encoding=encoding, step=width * 3, data=bytes(size)), age_s)


def joints(names, age_s=0.0, value=0.0):
    n = len(names)
    return stamp(JointState(name=names, position=[value] * n, velocity=[0.0] * n), age_s)


def view(inputs, other=""):
    return inputs.view(Tick(0, 0, 1_000_000, 0), inputs.newest_frame(), other)


def test_fresh_data_has_no_problem_and_its_ages(lines):
    inputs, arm = inputs_of(lines)
    inputs.on_image(image(age_s=0.03))
    inputs.on_joints(joints(list(reversed(arm.names)), age_s=0.01))
    seen = view(inputs)
    assert seen.problem == "" and seen.frame.shape == (32, 48, 3) and seen.position.shape == (6,)
    assert 0.03 <= seen.frame_age_s < 0.2 and 0.01 <= seen.joint_age_s < 0.1
    assert seen.lateness_s == pytest.approx(0.001)
    assert not lines


def test_what_is_missing_is_named(lines):
    inputs, arm = inputs_of(lines)
    assert "camera/image_raw" in view(inputs).problem
    inputs.on_image(image())
    assert "joint_states" in view(inputs).problem
    inputs.on_joints(joints(list(arm.names)))
    assert view(inputs, "the safety node is silent").problem == "the safety node is silent"


def test_what_is_too_old_is_named_with_its_limit(lines):
    inputs, arm = inputs_of(lines)
    inputs.on_image(image(age_s=1.5))
    inputs.on_joints(joints(list(arm.names)))
    assert "camera/image_raw is 1.5" in view(inputs).problem and "limit 0.20 s" in view(inputs).problem


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (image(height=80), ["camera/image_raw", "80", "90"]),
        (image(encoding="16UC7"), ["camera/image_raw", "16UC7"]),
    ],
)
def test_an_image_that_is_not_as_configured_is_refused_in_one_line(lines, message, named):
    inputs, _ = inputs_of(lines)
    inputs.on_image(message)
    (line,) = lines
    assert all(part in line for part in named), line
    assert line in view(inputs).problem, "the status says why nothing usable has come"


def test_joint_states_that_lack_a_joint_are_refused(lines):
    inputs, arm = inputs_of(lines)
    inputs.on_joints(joints(list(arm.names[:-1])))
    (line,) = lines
    assert "wrist_3_joint" in line and view(inputs).position is None


def test_joint_states_that_are_not_finite_are_refused(lines):
    inputs, arm = inputs_of(lines)
    inputs.on_joints(joints(list(arm.names), value=float("nan")))
    assert "not finite" in lines[0] and view(inputs).position is None


def test_a_camera_that_repeats_one_picture_is_noticed(lines):
    inputs, arm = inputs_of(lines, **{"camera.frozen_max_age_s": 0.05})
    inputs.on_joints(joints(list(arm.names)))
    inputs.on_image(image())
    assert view(inputs).problem == ""
    time.sleep(0.06)
    inputs.on_image(image())
    inputs.on_joints(joints(list(arm.names)))
    assert "one picture for 0." in view(inputs).problem and "limit 0.05 s" in view(inputs).problem
    other = image()
    other.data = bytes([9]) * len(other.data)
    inputs.on_image(other)
    assert view(inputs).problem == ""


def test_a_camera_that_repeats_one_picture_is_noticed_by_a_frame_clock_too(lines):
    inputs, arm = inputs_of(lines, **{"camera.frozen_max_age_s": 0.05})
    inputs.on_joints(joints(list(arm.names)))
    clock = FrameClock(inputs, 0.01, every_frame=False)
    inputs.on_image(image())
    clock.wait()  # takes the frame away
    time.sleep(0.06)
    inputs.on_image(image())
    assert "one picture for 0." in inputs.view(clock.wait(), clock.frame, "").problem


def test_a_recording_is_as_old_as_its_arrival(lines):
    more = {"robot.driver": "bag", "robot.interface": "none", "task.name": "shadow"}
    inputs, arm = inputs_of(lines, **more)
    inputs.on_image(image(age_s=1e6))
    inputs.on_joints(joints(list(arm.names), age_s=1e6))
    assert view(inputs).problem == "" and view(inputs).frame_age_s < 1.0


def test_a_frame_clock_gives_every_frame_of_a_recording_in_order(lines):
    more = {"robot.driver": "bag", "robot.interface": "none", "task.name": "shadow"}
    inputs, arm = inputs_of(lines, **more)
    stamps = []
    for k in range(5):
        inputs.on_image(image())
        stamps.append(inputs.newest_frame().stamp_ns)
    clock = FrameClock(inputs, 0.01, every_frame=True)
    clock.wait()
    assert clock.frame is None, "the first frame waits for the first joint state"
    inputs.on_joints(joints(list(arm.names)))
    seen = []
    for _ in range(5):
        clock.wait()
        seen.append(clock.frame.stamp_ns)
    assert seen == stamps
    assert clock.wait().number == 6 and clock.frame is None, "a dead camera still ticks"


def test_recorded_actions_of_another_robot_are_refused(lines):
    inputs, _ = inputs_of(lines)
    inputs.on_recorded_action(Float64MultiArray(data=[0.0] * 3))
    assert "3 values; expected 6" in lines[0] and inputs.recorded_action() is None
