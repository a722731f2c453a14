"""The rig: what a policy can be told, what is heard and from where, and what does not fit by name."""

import numpy as np
import pytest
from rig_cases import BASE, LINE, REACHER, WRENCH, config_of, rig_of, sensed_of

from jsac_ros.config import ConfigError
from jsac_ros.rig import Rig, Source, read_spaces, write_spaces
from jsac_ros.spaces import ImageSpace
from jsac_ros.tasks.ur5_reacher.task import Ur5Reacher

FAULTY = LINE | {"task.type": "rig_cases:Faulty"}
TWO_CAMERAS = REACHER | {
    "cameras.close.topic": "camera/image_raw", "cameras.close.crop": (10, 20, 30, 40), "cameras.close.height": 30,
    "cameras.close.width": 40, "cameras.close.channels": 1, "cameras.close.stack": 1, "task.camera": "wrist",
}  # fmt: skip


def names(parts):
    return [part.name for part in parts]


def test_the_parts_of_the_reacher_and_what_is_heard():
    rig = rig_of()
    assert rig.observed == ("wrist", "joint_position", "joint_velocity", "previous_action")
    assert rig.spaces.images == (ImageSpace("wrist", 32, 48, 3, 2),) and rig.spaces.vector_size == 15
    assert rig.sources == {
        "joints": Source("joints", "joint_states", "sensor_msgs/msg/JointState", 0.1, "header"),
        "wrist": Source("wrist", "camera/image_raw", "sensor_msgs/msg/Image", 0.2, "header"),
    }
    assert isinstance(rig.task, Ur5Reacher) and rig.episode_steps == 100
    assert rig_of(task__episode_s=0.001).episode_steps == 1, "one action at least"


def test_two_cameras_may_share_a_topic_with_two_crops():
    rig = rig_of(TWO_CAMERAS)
    assert {image.name: image.frame_shape for image in rig.spaces.images} == {"close": (30, 40, 1), "wrist": (32, 48, 3)}
    assert rig.sources["close"].topic == rig.sources["wrist"].topic == "camera/image_raw"
    assert rig.spaces.sources == ("close", "joints", "wrist")


def test_a_camera_that_is_not_observed_is_heard_all_the_same():
    rig = rig_of(TWO_CAMERAS, task__observe=("close", "joint_position"))
    assert names(rig.spaces.images) == ["close"] and names(rig.spaces.vectors) == ["joint_position"]
    assert set(rig.images) == {"close", "wrist"} and "wrist" in rig.sources, "the task scores it"


@pytest.mark.parametrize(
    ("observe", "images", "vectors"),
    [
        (("wrist",), ["wrist"], []),
        (("joint_velocity", "joint_position"), [], ["joint_position", "joint_velocity"]),
        (("joint_effort", "wrist", "wrist"), ["wrist"], ["joint_effort"]),
        (("tool_position", "tool_rotation", "tool_velocity"), [], ["tool_position", "tool_rotation", "tool_velocity"]),
    ],
)
def test_a_policy_sees_what_is_chosen_and_nothing_else(observe, images, vectors):
    spaces = rig_of(task__observe=observe).spaces
    assert (names(spaces.images), names(spaces.vectors)) == (images, vectors)


def test_what_nobody_offers_is_named_with_what_there_is():
    with pytest.raises(ConfigError) as raised:
        rig_of(task__observe=("wrist", "wrench", "joint_positon"))
    (line,) = str(raised.value).splitlines()
    assert line.startswith("task.observe holds wrench, joint_positon; expected some of wrist, joint_position")
    assert "tool_position" in line and "previous_action" in line


def test_sensors_are_observed_recorded_and_stamped():
    rig = rig_of(REACHER | WRENCH)
    assert "wrench" in rig.observed and rig.spaces.observation["wrench"].size == 3
    assert rig.sources["wrench"] == Source("wrench", "wrench", "geometry_msgs/msg/WrenchStamped", 0.2, "header")
    assert rig_of(BASE).observed == ("front", "joint_velocity", "previous_action", "bumper", "battery")


def test_what_a_task_brings_is_heard_and_its_vectors_are_observed():
    rig = rig_of(FAULTY)
    assert "pressure" in rig.sensors and rig.sources["pressure"].type == "std_msgs/msg/Float64"
    assert rig.observed == ("eye", "joint_position", "joint_velocity", "previous_action", "slope")
    assert "pressure" in rig_of(FAULTY, task__observe=("eye", "pressure")).observed, "only where it is asked for"
    vectors = rig.senses.observe(sensed_of(rig, velocity=np.array((3.0, 4.0, 5.0))), {"arm": np.zeros(2, np.float32)})
    assert vectors["slope"].tolist() == [3, 4] and vectors["slope"].dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"sensors__pressure__topic": "other", "sensors__pressure__type": "std_msgs/msg/Float64",
             "sensors__pressure__fields": ("data",)},
            "sensors.pressure is configured, and task 'rig_cases:Faulty' has one of that name",
        ),
        (
            {"sensors__slope__topic": "x", "sensors__slope__type": "std_msgs/msg/Float64", "sensors__slope__fields": ("data",)},
            "task 'rig_cases:Faulty' declares 'slope', which the rig has already",
        ),
        (
            {"cameras__joints__height": 4},
            "'joints' names 2 of the cameras, the sensors and the joints; expected one",
        ),
        ({"cameras__wrench__height": 4, **{f"sensors__wrench__{k.split('.')[-1]}": v for k, v in WRENCH.items()}},
         "'wrench' names 2 of the cameras, the sensors and the joints; expected one"),
        ({"actions__arm__type": None, "actions__arm__joints": None, "actions__arm__scale": None},
         "actions is empty; expected at least one part, such as actions.arm.type: joint_velocity"),
        ({"actions__arm__joints": ("a", "a")}, "actions.arm.joints is ['a', 'a']; expected different ones of ['a', 'b', 'c']"),
        ({"actions__arm__scale": (0.1, 0.2, 0.3)}, "actions.arm.scale is [0.1, 0.2, 0.3]; expected 1 or 2 finite values"),
        ({"actions__arm__type": "base_velocity", "actions__arm__joints": None, "actions__arm__scale": None},
         "actions.arm.type is 'base_velocity'; joints is not a mobile base"),
        ({"task__type": "create_reacher"}, "task.type is 'create_reacher'; robot 'joints' is not a mobile base"),
        ({"actions__arm__type": "gripper", "actions__arm__joints": None, "actions__arm__scale": None},
         "actions.arm.device is 'gripper'; expected one of none (grippers is empty)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(changes, said):
    with pytest.raises(ConfigError) as raised:
        rig_of(FAULTY, **changes)
    assert said in str(raised.value).splitlines(), str(raised.value)


def test_a_sensor_is_checked_where_it_is_configured():
    for fields, scale, said in (
        (("wrench..x",), (1.0,), "sensors.wrench.fields holds 'wrench..x'; expected names joined by dots"),
        (("data[3:2]",), (1.0,), "sensors.wrench.fields holds 'data[3:2]'; expected [first:end] with end above first"),
        (("wrench.force.x",), (1.0, 2.0), "sensors.wrench.scale is [1.0, 2.0]; expected 1 or 1 finite values"),
    ):
        with pytest.raises(ConfigError) as raised:
            rig_of(REACHER | WRENCH, sensors__wrench__fields=fields, sensors__wrench__scale=scale)
        assert str(raised.value).startswith(said)


def test_all_that_does_not_fit_comes_at_once_and_each_once():
    wrong = config_of(
        FAULTY, robot__home=(0.0,), sensors__w__topic="w", sensors__w__type="std_msgs/msg/Bool", sensors__w__fields=("a..b",)
    )
    lines = Rig(wrong).problems()
    assert lines[0] == "robot.home has 1 values; joints has 3 joints" and len(lines) == 2, lines
    assert lines[1].startswith("sensors.w.fields holds 'a..b'")


def test_spaces_of_a_run_are_read_without_its_plugins(tmp_path):
    spaces = rig_of(TWO_CAMERAS | WRENCH).spaces
    write_spaces(tmp_path, spaces)
    assert read_spaces(tmp_path) == spaces
    (tmp_path / "spaces.json").write_text("{")
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ConfigError, match="spaces.json: .*; expected the spaces of a run") as raised:
            read_spaces(folder)
        assert "\n" not in str(raised.value)
