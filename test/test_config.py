"""Configuration: one file, one line for each mistake, whichever section it is in."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rig_cases import REACHER, config_of

from jsac_ros import config, parameters, system
from jsac_ros.config import ConfigError
from jsac_ros.parameters import from_parameters
from jsac_ros.rig import Rig

FOLDER = Path(__file__).parent.parent / "config"
CONFIGS = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_configuration_is_valid_and_survives_a_round_trip(path, tmp_path):
    loaded = parameters.load(path)
    parameters.dump(loaded, tmp_path / "again.yaml")
    assert parameters.load(tmp_path / "again.yaml") == loaded
    if loaded.cameras:  # of a robot; the references' have their spaces from an environment
        recorded = {"bag.path": str(tmp_path)} if loaded.robot.driver == "bag" else {}
        system.check(parameters.load(path, recorded))


def test_the_published_figures_of_the_reacher():
    loaded = parameters.load(FOLDER / "ur5_reacher.yaml")
    camera, spaces = loaded.cameras["wrist"], Rig.of(loaded).spaces
    assert (camera.height, camera.width, camera.stack) == (90, 160, 3)
    assert loaded.control.period_s == 0.04
    assert (loaded.replay.capacity, loaded.replay.batch_size) == (100_000, 256)
    assert (loaded.agent.hidden, loaded.agent.q_count) == ((1024, 1024), 5)
    assert loaded.agent.conv_layers == ((32, 5, 2), (32, 5, 2), (64, 3, 1), (64, 3, 1)), "the write-up's encoder"
    assert (spaces.images[0].shape, spaces.vector_size, spaces.action_size) == ((90, 160, 9), 15, 5)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"run.sed": 1}, ["run.sed", "unknown key", "seed"]),
        ({"run.seed": "three"}, ["run.seed", "'three'", "whole number"]),
        ({"replay.batch_size": 0}, ["replay.batch_size", "0", "more than 0"]),
        ({"control.period_s": float("nan")}, ["control.period_s", "nan"]),
        ({"safety.command_max_age_s": 0.0}, ["safety.command_max_age_s", "0.0", "expected 0.01 to 0.5"]),
        ({"cameras.wrist.crop": [1, 2]}, ["cameras.wrist", "crop", "[1, 2]", "top, left, height, width"]),
        ({"cameras.wrist.height": 0}, ["cameras.wrist.height", "0", "at least 1"]),
        ({"cameras.wrist.hight": 3}, ["cameras.wrist.hight", "unknown key", "did you mean height?"]),
        ({"cameras.Wrist.height": 3}, ["cameras.Wrist", "text that matches"]),
        ({"robot.type": "ur6"}, ["robot.type", "'ur6'", "did you mean 'ur", "'?"]),
        ({"task.type": "ur5_reacher", "task.reset": 1}, ["task.reset", "unknown key", "did you mean reset_s?"]),
        ({"control.trigger": "head"}, ["control.trigger", "'head'", "'clock'", "wrist"]),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_what_was_expected(values, named):
    with pytest.raises(ConfigError) as raised:
        from_parameters(REACHER | values)
    (line,) = str(raised.value).splitlines()
    assert all(part in line for part in named), line


NEVER = (float("nan"), float("inf"), -float("inf"), -1e9, 1e9, -1e-9, 1e-9)
OFF = {  # 0 switches these off
    "safety.max_joint_jerk_rad_s3", "safety.max_prismatic_jerk_m_s3", "safety.max_tilt_rad", "safety.max_turn_rad",
    "safety.max_force_n", "safety.max_torque_nm", "safety.retreat_m",
    "safety.wrench_frozen_max_age_s", "cameras.wrist.frozen_max_age_s",
}  # fmt: skip
GUARDS = [
    *(f"safety.{name}" for name, field in config.SafetyConfig.model_fields.items() if isinstance(field.default, float)),
    "cameras.wrist.max_age_s", "cameras.wrist.frozen_max_age_s", "robot.joint_max_age_s", "control.period_s",
    "sim.joint_rate_hz", "sim.camera_rate_hz",
    *(f"grippers.hand.{name}" for name in ("stroke_m", "max_speed_m_s", "max_force_n")),
    *(f"actions.arm.{name}" for name in ("speed_m_s", "turn_rad_s", "lead_m", "lead_rad", "gain")),
]  # fmt: skip


@pytest.mark.parametrize("name", GUARDS)
def test_no_value_switches_a_rule_off_without_a_word(name):
    for value in NEVER if name in OFF else (*NEVER, 0.0):
        with pytest.raises(ConfigError) as raised:
            from_parameters({"actions.arm.type": "twist", name: value})
        (line,) = str(raised.value).splitlines()
        assert line.startswith(f"{name} is {value!r}: "), line
    if name in OFF:
        from_parameters({name: 0.0})


@pytest.mark.parametrize("name", ["safety.joint_lower", "safety.box_upper", "actions.arm.scale", "robot.home"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_tables_are_finite(name, value):
    with pytest.raises(ConfigError, match=f"{name}.1 is {value}: "):
        from_parameters(REACHER | {name: (0.1, value)})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"cameras.wrist.crop": (-1, 0, 40, 40)}, "expected top, left >= 0"),
        ({"cameras.wrist.crop": (0, 0, 0, 40)}, "height, width >= 1"),
        ({"cameras.wrist.crop": (0, 0, 40, 1 << 40)}, "height, width >= 1"),
        ({"cameras.wrist.crop": (60, 0, 40, 40), "cameras.wrist.source_height": 90}, "inside source_height 90"),
        ({"actions.arm.scale": (0.0,)}, "actions.arm.scale.0 is 0.0: expected 0.0001 to 100"),
        (
            {"actions.arm.type": "joint_velocity_table", "actions.arm.table": (0.0, 2.0)},
            "actions.arm.table.1 is 2.0: expected -1 to 1",
        ),
        ({"cameras.wrist.stack": 10**9}, "cameras.wrist.stack is 1000000000"),
        ({"cameras.wrist.depth_range_m": (0.2, 2.0)}, "channels is 3; expected 1 with a depth_range_m"),
        ({"cameras.wrist.depth_range_m": (2.0, 0.2), "cameras.wrist.channels": 1}, "expected [] or [nearest, farthest]"),
    ],
)
def test_sizes_and_scales_that_make_no_sense_are_refused(values, said):
    with pytest.raises(ConfigError) as raised:
        from_parameters(REACHER | values)
    (line,) = str(raised.value).splitlines()
    assert said in line, line


@pytest.mark.parametrize("name", ["", "a b", "//x", "x/", "7x", "x/7", "/"])
@pytest.mark.parametrize("field", ["cameras.wrist.topic", "robot.joint_states_topic", "safety.dead_man_topic", "task.service"])
def test_what_is_no_name_of_a_topic_or_a_service_is_refused(field, name):
    values = {"task.type": "topics", field: name}
    if not name and field in ("safety.dead_man_topic", "task.service"):
        assert from_parameters(values)
        return
    with pytest.raises(ConfigError, match=f"^{field} is '{name}': expected names of letters, digits and _, joined by /"):
        from_parameters(values)
    for good in ("x", "/x", "~/x", "a_1/b_2"):
        assert from_parameters(values | {field: good})


def test_all_findings_come_at_once():
    wrong = {"safety.rate_hz": 1e-9, "cameras.wrist.max_age_s": 1e9, "run.sed": 1, "robot.type": "ur6", "actions.arm.scale": -1}
    with pytest.raises(ConfigError) as raised:
        from_parameters(REACHER | wrong)
    fields = [line.split()[0].rstrip(":") for line in str(raised.value).splitlines()]
    assert sorted(fields) == ["actions.arm.scale", "cameras.wrist.max_age_s", "robot.type", "run.sed", "safety.rate_hz"]


def test_what_fits_no_other_section_is_found_by_the_starter_all_at_once():
    wrong = config_of(
        cameras__wrist__height=12, robot__home=(0.0,) * 5, actions__arm__scale=(0.1, 0.2), learner__resume="/nowhere",
        safety__joint_lower=(1.0, 2.0),
    )  # fmt: skip
    with pytest.raises(ConfigError) as raised:
        system.check(wrong)
    lines = str(raised.value).splitlines()
    assert [line for line in lines if "robot.home has 5 values" in line], lines
    assert [line for line in lines if "learner.resume /nowhere" in line], lines
    with pytest.raises(ConfigError) as raised:
        system.check(config_of(cameras__wrist__height=12, safety__joint_lower=(1.0, 2.0), learner__resume="/nowhere"))
    first, *rest = sorted(str(raised.value).splitlines())
    assert "image 'wrist' is 12x48; expected at least 29x29" in first
    assert rest[0].startswith("learner.resume /nowhere: ") and rest[1].startswith("safety.joint_lower is [1.0, 2.0]")


NO_DISPLAY = ["target_display: DISPLAY is not set; expected a display, or --only without target_display"]


def found_by_the_starter(name="lift", here=None, **changes):
    """Without a process: one line for each finding."""
    with pytest.raises(ConfigError) as raised:
        system.check(parameters.load(name, {field.replace("__", "."): value for field, value in changes.items()}), here)
    return str(raised.value).splitlines()


def test_what_only_a_running_process_would_find_is_found_by_the_starter(tmp_path, monkeypatch):
    (tmp_path / "checkpoints").mkdir()
    assert found_by_the_starter(cameras__attic__topic="a")[0].startswith("cameras.attic: the scene of task 'lift' has ")
    assert found_by_the_starter(sim__robot_model="/nowhere.xml")[0].startswith("sim.robot_model")
    assert found_by_the_starter(replay__demonstrations="/nowhere") == ["/nowhere: no replay store; expected store.json in it"]
    (line,) = found_by_the_starter(learner__encoder="/nowhere")
    assert line.startswith("learner.encoder /nowhere: policy.json cannot be read")
    assert found_by_the_starter(run__key="/nowhere") == ["run.key /nowhere: No such file or directory; expected a file"]
    (line,) = found_by_the_starter(learner__resume=str(tmp_path))
    assert line == f"learner.resume: checkpoint {tmp_path}/checkpoints: none there; expected at least one"
    (line,) = found_by_the_starter("ur5_reacher_demo", person__by="expert")
    assert line == "person.by is 'expert'; task 'ur5_reacher' has none"
    real = {"robot__driver": "external", "person__by": "expert"}
    assert "person.by is 'expert'; expected robot.driver 'sim', not 'external'" in found_by_the_starter(**real)
    monkeypatch.delenv("DISPLAY", raising=False)
    wrong = {"robot__driver": "external", "safety__rate_hz": 125.0}
    assert [line for line in found_by_the_starter("ur5_reacher", **wrong) if "DISPLAY" in line] == NO_DISPLAY
    system.check(parameters.load("ur5_reacher", {"robot.driver": "external"}), ["replay", "learner"])  # of another computer


@pytest.mark.parametrize("about", ["", "[]", "{}", '{"format": 2}', '{"format": 2, "agent": [], "spaces": {}}', "[" * 10_000])
def test_a_damaged_checkpoint_is_one_line_before_anything_starts(tmp_path, about):
    file = tmp_path / "checkpoints" / "12" / "about" / "metadata"
    file.parent.mkdir(parents=True)
    file.write_text(about)
    (line,) = found_by_the_starter(learner__resume=str(tmp_path))
    assert line.startswith(f"learner.resume: checkpoint {tmp_path}/checkpoints/12: ") and len(line) < 300


@pytest.mark.parametrize("name", ["ur5_reacher_demo", "lift"])
def test_the_starter_finds_it_within_a_second(name):
    """Of processor time, with imports; a machine with work to do may take longer. JAX alone would take as long."""
    checks = (
        "import sys, time; from jsac_ros import parameters, system;"
        f"system.check(parameters.load({name!r}));"
        "print(time.process_time()); assert 'jax' not in sys.modules"
    )
    one_core = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    spent = subprocess.run([sys.executable, "-c", checks], env=one_core, capture_output=True, text=True, check=True)
    assert float(spent.stdout) < 2.0, spent.stdout


def test_overrides_are_read_as_yaml(tmp_path):
    parameters.dump(config_of(), tmp_path / "c.yaml")
    texts = ("run.seed=3", "agent.hidden=[64, 64]", "cameras.wrist.compressed=true", "agent.learning_rate=1e-3")
    loaded = parameters.load(tmp_path / "c.yaml", dict(parameters.parse_override(text) for text in texts))
    assert (loaded.run.seed, loaded.agent.hidden, loaded.cameras["wrist"].compressed) == (3, (64, 64), True)
    assert loaded.agent.learning_rate == 1e-3
    silent = dict([parameters.parse_override("robot.program_running_topic=")])  # what a shell leaves of topic=''
    assert parameters.load(tmp_path / "c.yaml", silent).robot.program_running_topic == ""


def test_an_override_adds_a_part_and_a_section_that_the_file_lacks(tmp_path):
    parameters.dump(config_of(), tmp_path / "c.yaml")
    sensor = {"topic": "wrench", "type": "geometry_msgs/msg/WrenchStamped", "fields": ["wrench.force.x"]}
    added = {"cameras.scene.height": 24, "sensors.wrench": sensor, "task.camera": "wrist"}
    loaded = parameters.load(tmp_path / "c.yaml", added)
    assert list(loaded.cameras) == ["wrist", "scene"]
    assert loaded.sensors["wrench"].fields == ("wrench.force.x",)
    assert Rig.of(loaded).spaces.sources == ("joints", "scene", "wrench", "wrist")


@pytest.mark.parametrize("text", ["seed", "=3", "run.seed=[1"])
def test_an_override_that_is_none_is_refused(text):
    with pytest.raises(ConfigError):
        parameters.parse_override(text)


@pytest.mark.parametrize("name", ["seed", "run.seed.more", "cameras.wrist.height.more"])
def test_an_override_of_what_is_no_field_is_refused(tmp_path, name):
    parameters.dump(config_of(run__seed=5), tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match=f"{name}: expected section.field=value"):
        parameters.load(tmp_path / "c.yaml", {name: 3})


@pytest.mark.parametrize("text", ["", "- a list", "/**: 3", "a: {ros__parameters: {}}\nb: {ros__parameters: {}}", "{"])
def test_a_file_that_is_no_parameter_file_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        parameters.load(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="nowhere.yaml"):
        parameters.load(tmp_path / "nowhere.yaml")


def test_a_configuration_is_immutable_and_its_parts_are_plain_numbers():
    loaded = config_of()
    with pytest.raises(Exception, match="frozen"):
        loaded.run.seed = 3
    assert hash(loaded.agent) and hash(loaded.task)  # keys of what is compiled once
    assert not isinstance(loaded.control.period_s, np.floating)


@pytest.mark.parametrize("has", [1, 6])
def test_a_sensor_of_another_size_than_the_simulation_measures_is_found_before_anything_starts(has):
    config = config_of(
        sensors__wrench__topic="wrench", sensors__wrench__type="geometry_msgs/msg/WrenchStamped",
        sensors__wrench__fields=("wrench.force.x", "wrench.force.y", "wrench.force.z", "wrench.torque.x",
                                 "wrench.torque.y", "wrench.torque.z")[:has],
    )  # fmt: skip
    if has == 6:
        return system.check(config)
    with pytest.raises(ConfigError, match=r"^sensors.wrench has 1 values; the simulation measures wrench \[6\]$"):
        system.check(config)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"type": "nowhere_msgs/msg/Gauge"}, "sensors.gauge.type is 'nowhere_msgs/msg/Gauge'"),
        ({"fields": ("wrench.force.w",)}, "sensors.gauge.fields holds wrench.force.w: Vector3 has no 'w'; it has x, y, z"),
        ({"fields": ("wrench.force",)}, "sensors.gauge.fields holds wrench.force is Vector3; expected a number"),
    ],
)
def test_a_sensor_whose_type_or_field_does_not_exist_is_found_before_anything_starts(changes, said):
    sensor = {"topic": "gauge", "type": "geometry_msgs/msg/WrenchStamped", "fields": ("wrench.force.x",)} | changes
    config = config_of(**{f"sensors__gauge__{name}": value for name, value in sensor.items()})
    with pytest.raises(ConfigError) as raised:
        system.check(config)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(said)


def test_a_part_of_a_device_that_safety_does_not_know_is_found_before_anything_starts():
    with pytest.raises(ConfigError, match=r"^actions.lamp commands 'lamp'; expected one of the grippers \(none configured\)$"):
        system.check(config_of(actions__lamp__type="device_cases:Lamp"))


# Of the authors' code, commit 90c283e, as its configuration is written there.
PUBLISHED = {
    "conv_channels": (32, 32, 64, 64), "conv_kernels": (5, 5, 3, 3), "conv_strides": (2, 2, 1, 1), "pixel_limit": 0.5,
    "vector_limit": 10.0, "latent_dim": 64, "hidden": (1024, 1024), "head_scale": 1.0, "layer_norm": True, "q_count": 5,
    "weight_clip": True, "max_gradient_norm": 1.0, "discount": 0.99, "tau": 0.005, "learning_rate": 2e-4,
    "temperature_learning_rate": 2e-4, "initial_temperature": 0.1, "target_entropy": "minus_half_actions", "shift_pad": 4,
}  # fmt: skip


def test_the_published_configuration_has_the_published_values():
    loaded = parameters.load(FOLDER / "jsac_published.yaml")
    assert {name: getattr(loaded.agent, name) for name in PUBLISHED} == PUBLISHED
    assert (loaded.replay.capacity, loaded.replay.batch_size, loaded.replay.warmup_steps) == (75_000, 160, 5_000)
    assert loaded.learner.publish_period == 16 and loaded.control.period_s == 0.06
    front = loaded.cameras["front"]
    assert (front.height, front.width, front.stack) == (60, 80, 2)
