"""Configurations as ROS parameters: every error at once, what was meant, sections of plug-ins that are not imported."""

import pytest
import rclpy
import yaml
from rig_cases import BASE, LINE, REACHER, WRENCH

from jsac_ros import parameters
from jsac_ros.config import ConfigError
from jsac_ros.parameters import ALL, from_parameters, to_parameters, with_overrides

RIGS = {
    "an arm": REACHER,
    "a base with sensors": BASE,
    "a lab's own task": LINE | WRENCH | {"task.observe": ("wrench", "joint_effort"), "sensors.wrench.tare": True},
    "a table of actions": REACHER | {"actions.arm.type": "joint_velocity_table", "actions.arm.joints": ("elbow_joint",),
                                     "actions.arm.table": (-1.0, 0.0, 1.0), "agent.type": "dqn"},
    "two cameras of one topic": REACHER | {"cameras.close.crop": (10, 10, 30, 30), "task.camera": "wrist"},
}  # fmt: skip


def lines_of(values, kinds=ALL):
    with pytest.raises(ConfigError) as raised:
        from_parameters(values, kinds)
    return str(raised.value).splitlines()


@pytest.mark.parametrize("values", RIGS.values(), ids=RIGS)
def test_every_rig_survives_a_round_trip(values, tmp_path):
    config = from_parameters(values)
    assert from_parameters(to_parameters(config)) == config
    parameters.dump(config, tmp_path / "c.yaml")
    assert parameters.load(tmp_path / "c.yaml") == config
    assert type(parameters.load(tmp_path / "c.yaml").task) is type(config.task)


def test_what_is_written_is_what_ros_can_type(tmp_path):
    """A ROS parameter is a number, a bool, a string or a list of one of them, never empty."""

    def leaves(tree):
        for name, value in tree.items():
            yield from leaves(value) if isinstance(value, dict) else [(name, value)]

    parameters.dump(from_parameters(RIGS["a lab's own task"]), tmp_path / "c.yaml")
    (node,) = yaml.safe_load((tmp_path / "c.yaml").read_text()).values()
    for name, value in leaves(node["ros__parameters"]):
        if isinstance(value, list):
            assert value and len({type(item) for item in value}) == 1, name
            value = value[0]
        assert type(value) in (int, float, bool, str), name


def test_dotted_names_and_trees_are_one():
    tree = {"run": {"seed": 3}, "cameras": {"wrist": {"height": 32}}, "cameras.wrist.width": 48, "run.name": "a"}
    config = from_parameters(tree)
    assert (config.run.seed, config.run.name, config.cameras["wrist"].width) == (3, "a", 48)
    assert lines_of({"run.seed": 3, "run.seed.more": 4}) == ["run.seed.more: seed is a value, not a section"]


def test_errors_of_every_section_and_plugin_come_at_once():
    wrong = LINE | {
        "run.sed": 1, "cameras.eye.crop": (1,), "sensors.wrench.topic": "w", "actions.arm.type": "joint_velocty",
        "task.type": "nowhere_at_all:Peg", "agent.q_count": 0, "grippers.hand.stroke_m": -1.0, "bag.rate": "x",
    }  # fmt: skip
    lines = lines_of(wrong)
    expected = (
        "actions.arm.type is 'joint_velocty': unknown (did you mean 'joint_velocity'?)",
        "task.type is 'nowhere_at_all:Peg': no module",
        "run.sed: unknown key; did you mean seed?",
        "cameras.eye: crop is [1]; expected [] or [top, left, height, width]",
        "sensors.wrench.type is missing; expected a value",
        "sensors.wrench.fields is missing; expected a value",
        "agent.q_count is 0: expected at least 1",
        "grippers.hand.stroke_m is -1.0: expected 0.001 to 0.5",
        "bag.rate is 'x': expected a number",
    )
    for start in expected:
        assert [line for line in lines if line.startswith(start)], (start, lines)
    assert len(lines) == len(expected)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("camera.height", "did you mean cameras?"),
        ("agent.algorithm", "known are type, discount"),
        ("task.observ", "did you mean observe?"),
        ("agent.conv_kernel", "did you mean conv_kernels?"),
        ("sensors.wrench.field", "did you mean fields?"),
        ("actions.arm.scal", "did you mean scale?"),
        ("control.perod_s", "did you mean period_s?"),
    ],
)
def test_an_unknown_key_is_named_with_what_was_meant(name, known):
    (line,) = lines_of(REACHER | WRENCH | {name: 1})
    assert line.startswith(f"{name.partition('.')[0] if name.startswith('camera.') else name}: unknown key; {known}"), line


def test_the_known_keys_of_a_section_are_listed_once():
    third, first, second = lines_of({"safety.xyzzy": 1, "safety.plugh": 2, "run.frotz": 3})
    assert first.startswith("safety.xyzzy: unknown key; known are rate_hz, ") and second == "safety.plugh: unknown key"
    assert third.startswith("run.frotz: unknown key; known are name, ")


@pytest.mark.parametrize("section", ["run", "cameras", "actions", "task", "robot", "sensors"])
@pytest.mark.parametrize("value", [3, "text", [1, 2]])
def test_a_value_in_the_place_of_a_section_is_named(section, value):
    lines = lines_of({section: value})
    assert all(line.startswith(f"{section}") for line in lines), lines


@pytest.mark.parametrize(("part", "said"), [
    ({}, "actions.arm.type is missing; expected the name of a plug-in"),
    ({"type": 3}, "actions.arm.type is 3; expected the name of a plug-in"),
    ({"type": "joint_velocity", "scale": [0.1, "x"]}, "actions.arm.scale.1 is 'x'"),
])  # fmt: skip
def test_a_part_of_the_action_is_checked_by_its_plugin(part, said):
    (line,) = lines_of({"actions": {"arm": part}})
    assert line.startswith(said)


def test_sections_of_plugins_that_are_not_imported_stay_as_they_are():
    values = LINE | {"task.type": "nowhere_at_all:Peg", "task.depth_m": 0.03, "actions.arm.type": "nor:This"}
    config = from_parameters(values, kinds=("robot",))
    assert (config.task.type, config.task.depth_m, config.task.episode_s) == ("nowhere_at_all:Peg", 0.03, 0.16)
    assert config.actions.arm.scale == (0.2,) and config.robot.joints == ("a", "b", "c")
    assert from_parameters(to_parameters(config), kinds=("robot",)) == config
    assert lines_of(values | {"robot.jonts": 1}, ("robot",)) == ["robot.jonts: unknown key; did you mean joints?"]


def test_a_clock_of_a_simulation_is_no_field_of_ours():
    assert from_parameters({"use_sim_time": True}) == from_parameters({})


def test_overrides_replace_values_and_whole_sections():
    tree = with_overrides({"run": {"seed": 1, "name": "a"}}, {"run.seed": 3, "cameras.wrist": {"height": 32}})
    assert tree == {"run": {"seed": 3, "name": "a"}, "cameras": {"wrist": {"height": 32}}}


@pytest.mark.parametrize(("text", "value"), [
    ("a.b=3", 3), ("a.b=1e-3", 1e-3), ("a.b=[1, 2.5]", [1, 2.5]), ("a.b=", ""), ("a.b=x=y", "x=y"), ("a.b=true", True),
    ("a.b=module:Class", "module:Class"),
])  # fmt: skip
def test_an_override_is_read_as_yaml(text, value):
    assert parameters.parse_override(text) == ("a.b", value)


@pytest.mark.parametrize("word", ["y", "N", "on", "Yes", "true", "1e3", "0x1f", "nan", ".inf", "12", "1_000", "~", "x"])
def test_a_word_stays_a_word_for_ros(word, tmp_path):
    """Of rcl's own parser, which knows other words and numbers than PyYAML."""
    sensors = {f"sensors.wrench.{field}": value for field, value in (("fields", ("data[0]", word)), ("unit", word))}
    values = REACHER | {"sensors.wrench.topic": "wrench", "sensors.wrench.type": "std_msgs/msg/Float64MultiArray"} | sensors
    parameters.dump(from_parameters(values, ()), tmp_path / "c.yaml", ["sensors"])
    context = rclpy.Context()
    rclpy.init(args=["--ros-args", "--params-file", str(tmp_path / "c.yaml")], context=context)
    node = rclpy.create_node("reader", context=context, automatically_declare_parameters_from_overrides=True)
    try:
        assert node.get_parameter("sensors.wrench.unit").value == word
        assert list(node.get_parameter("sensors.wrench.fields").value) == ["data[0]", word]
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)
