"""Plug-ins by import path: what can be wrong with one is said in one line that names it."""

import re
import sys
from importlib import metadata

import pytest
from rig_cases import LINE, REACHER, config_of

from jsac_ros import agent as algorithms
from jsac_ros import plugins, system
from jsac_ros.config import ConfigError
from jsac_ros.parameters import from_parameters
from jsac_ros.rig import Rig

BROKEN = """
from jsac_ros.config import TaskParameters
from jsac_ros.tasks.task import Task

NUMBER = 3


class Bare:
    pass


class Other(Task):
    class Parameters(TaskParameters):
        reward_scale: float = 1.0

    def score(self, before, action, after): ...
    def reset(self): ...


class Outer:
    class Inner(Other):
        pass


class Wrong:
    class Parameters:
        pass
"""


# Of each kind: where it is configured, its parameters, and a whole one.
KINDS = {
    "task": {"field": "task", "base": "TaskParameters", "whole": "jsac_ros.tasks.ur5_reacher.task:Ur5Reacher"},
    "robot": {"field": "robot", "base": "RobotParameters", "whole": "jsac_ros.robots.ur:Ur5"},
    "agent": {"field": "agent", "base": "AgentParameters", "whole": "jsac_ros.agent.jsac:Jsac"},
    "sim": {"field": "sim", "base": "SimParameters", "whole": "jsac_ros.sim.kinematic.plugin:Kinematic"},
    "action": {
        "field": "actions.arm", "base": "ActionParameters",
        "whole": "jsac_ros.control.actions.joint_velocity:JointVelocity",
    },
}  # fmt: skip
FAULTY = """
from jsac_ros import config, plugins

class {kind}_no_class(plugins.load("{kind}", "{whole}")): pass
{kind}_no_class = {kind}_no_class.Parameters(type="x")

class {kind}_stranger:
    Parameters = config.{base}

class {kind}_without_parameters(plugins.load("{kind}", "{whole}")):
    Parameters = None

class {kind}_of_another_kind(plugins.load("{kind}", "{whole}")):
    class Parameters(config.Section): pass

class {kind}_abstract(next(c for c in plugins.load("{kind}", "{whole}").__mro__ if c.__name__ in ("Task", "Algorithm", "Sim", "ActionPart", "Robot"))):
    Parameters = config.{base}

class {kind}_raises(plugins.load("{kind}", "{whole}")):
    def __init__(self, *_): raise RuntimeError("no licence")

    if "{kind}" == "agent":
        @staticmethod
        def build(*_): raise RuntimeError("no licence")
"""
SAID = {
    "nowhere": "has no '{kind}_nowhere'",
    "no_class": "{kind}_no_class is .*Parameters; expected a class",
    "stranger": r"{kind}_stranger in .*_kinds\.py is not a .*; expected a subclass of jsac_ros\.",
    "without_parameters": "{kind}_without_parameters has no Parameters; expected a pydantic model",
    "of_another_kind": "its Parameters do not extend {base}; expected a subclass",
    "abstract": r"{kind}_abstract in .*_kinds\.py lacks \w+",
    "raises": r"RuntimeError: no licence \(.*_kinds\.py:\d+\)",
}


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A module of somebody else's, `lab_<n>`; a new name each time, as modules stay imported."""
    name = f"lab_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(BROKEN)
    (tmp_path / f"{name}_kinds.py").write_text("\n".join(FAULTY.format(kind=kind, **of) for kind, of in KINDS.items()))
    (tmp_path / f"{name}_typo.py").write_text("import not_installed_anywhere\n")
    (tmp_path / f"{name}_unclosed.py").write_text("\nclass Peg(:\n")
    (tmp_path / f"{name}_exits.py").write_text("\nraise SystemExit(3)\n")
    (tmp_path / f"{name}_raises.py").write_text("\nraise OSError('no\\ncamera')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def refused(kind, name):
    with pytest.raises(plugins.PluginError) as raised:
        plugins.load(kind, name)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_shipped_plugins_come_in_through_the_same_door():
    assert {"ur5", "ur5e", "urdf", "joints", "diff_drive"} <= set(plugins.names("robot"))
    for kind in plugins.GROUPS:
        for name in plugins.names(kind):
            if name != "mujoco":
                plugins.load(kind, name)
    assert plugins.load("task", "jsac_ros.tasks.shadow:Shadow") is plugins.load("task", "shadow")


def test_a_plugin_that_is_not_there_is_named_with_the_nearest(lab):
    assert refused("task", "ur5_reecher").startswith(
        "'ur5_reecher': unknown (did you mean 'ur5_reacher'?); expected module:Class or"
    )
    assert (
        refused("agent", "jasc") == "'jasc': unknown (did you mean 'jsac'?); expected module:Class or one of dqn, jsac, sac_v"
    )
    assert refused("task", "nowhere_at_all:Peg") == (
        "'nowhere_at_all:Peg': no module 'nowhere_at_all' on PYTHONPATH; expected an importable module:Class"
    )
    assert f"module {lab} has no 'Othr' (did you mean 'Other'?)" in refused("task", f"{lab}:Othr")


def test_a_module_that_cannot_be_imported_is_named_with_file_and_line(lab):
    said = refused("task", f"{lab}_typo:Peg")
    assert "ModuleNotFoundError: No module named 'not_installed_anywhere'" in said and f"{lab}_typo.py:1)" in said
    said = refused("task", f"{lab}_raises:Peg")
    assert "OSError: no camera" in said and f"{lab}_raises.py:2)" in said
    said = refused("task", f"{lab}_unclosed:Peg")
    assert "SyntaxError: invalid syntax (/" in said and said.endswith(f"{lab}_unclosed.py:2)")
    said = refused("task", f"{lab}_exits:Peg")
    assert "SystemExit: 3 (" in said and said.endswith(f"{lab}_exits.py:2)")


def test_what_is_no_plugin_is_refused(lab):
    assert refused("task", f"{lab}:NUMBER").endswith("NUMBER is int; expected a class")
    assert refused("task", f"{lab}:Bare").endswith("Bare has no Parameters; expected a pydantic model of its configuration")
    assert refused("task", f"{lab}:Wrong").endswith("Wrong has no Parameters; expected a pydantic model of its configuration")
    assert plugins.load("task", f"{lab}:Outer.Inner").__qualname__ == "Outer.Inner"


def test_parameters_of_another_kind_are_refused():
    with pytest.raises(ConfigError, match="robot.type is 'shadow': unknown"):
        from_parameters({"robot.type": "shadow"})
    with pytest.raises(ConfigError, match="robot.type is 'jsac_ros.*': Shadow in .*shadow.py is not a Robot; expected"):
        from_parameters({"robot.type": "jsac_ros.tasks.shadow:Shadow"})


def test_parameters_of_a_lab_are_checked_like_ours(lab):
    config = config_of(LINE, task__type=f"{lab}:Other", task__reward_scale=2.5)
    assert config.task.reward_scale == 2.5 and config.task.episode_s == 0.16
    with pytest.raises(ConfigError) as raised:
        config_of(LINE, task__type=f"{lab}:Other", task__reward_scal=2.5, task__episode_s="long")
    unknown, wrong = str(raised.value).splitlines()
    assert {unknown, wrong} == {
        "task.reward_scal: unknown key; did you mean reward_scale?",
        "task.episode_s is 'long': expected a number",
    }


@pytest.mark.parametrize("fault", SAID)
@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_of_every_kind_is_one_line_before_anything_starts(lab, kind, fault):
    if (kind, fault) == ("robot", "abstract"):
        pytest.skip("a robot has no method that it must have")
    field, base = KINDS[kind]["field"], KINDS[kind]["base"]
    with pytest.raises(ConfigError) as raised:
        config = config_of(REACHER, **{f"{field}.type": f"{lab}_kinds:{kind}_{fault}"})
        system.check(config)
        algorithms.build(config.agent, Rig.of(config).spaces)  # no algorithm is built by the starter
    (line,) = str(raised.value).splitlines()
    assert re.search(rf"^{field}\.type.*'{lab}_kinds:{kind}_{fault}': .*" + SAID[fault].format(kind=kind, base=base), line), (
        line
    )


def test_a_rig_says_all_that_does_not_fit_and_each_once():
    config = config_of(LINE, robot__home=(0.0,), actions__arm__scale=(0.1, 0.2, 0.3))
    (line,) = Rig(config).problems()
    assert line == "robot.home has 1 values; joints has 3 joints", "what is made of it says the same"
    config = config_of(LINE, actions__arm__joints=("a", "x"), task__observe=("eye", "elbow"), sensors__eye__topic="x",
                       sensors__eye__type="std_msgs/msg/Bool", sensors__eye__fields=("data",))  # fmt: skip
    lines = Rig(config).problems()
    assert "actions.arm.joints is ['a', 'x']; expected different ones of ['a', 'b', 'c']" in lines
    assert (
        "'eye' names 2 of the cameras, the sensors and the joints; expected one"
        in Rig(
            config_of(
                LINE,
                **{f"sensors__eye__{k}": v for k, v in (("topic", "x"), ("type", "std_msgs/msg/Bool"), ("fields", ("data",)))},
            )
        ).problems()
    )


def test_the_safety_process_imports_no_plugin_but_the_robot():
    before = set(sys.modules)
    config = from_parameters(LINE | {"task.type": "nobody:Knows", "agent.type": "nor:This"}, kinds=("robot",))
    assert config.robot.joints == ("a", "b", "c") and config.task.type == "nobody:Knows" and config.task.episode_s == 0.16
    assert config.actions.arm.scale == (0.2,), "an opaque section has its fields as the file has them"
    assert not {"nobody", "nor"} & (set(sys.modules) - before)


@pytest.mark.parametrize("first", ["egg", "dist"])
def test_a_second_description_of_a_package_hides_no_entry_point(tmp_path, monkeypatch, first):
    """colcon leaves two of ours in one folder, in whichever order the file system lists them."""
    described = {"dist": tmp_path / "lab-0.1.dist-info", "egg": tmp_path / "lab-0.1-py3.11.egg-info"}
    for folder, file in ((described["dist"], "METADATA"), (described["egg"], "PKG-INFO")):
        folder.mkdir()
        (folder / file).write_text("Metadata-Version: 2.1\nName: lab\nVersion: 0.1\n")
    (described["dist"] / "entry_points.txt").write_text("[lab.things]\nthing = lab:Thing\n")
    order = sorted(described.values(), reverse=first == "egg", key=lambda folder: folder == described["egg"])
    monkeypatch.setattr(plugins, "distributions", lambda: [metadata.PathDistribution(folder) for folder in order])
    plugins._entries.cache_clear()
    assert plugins._entries("lab.things") == {"thing": "lab:Thing"}
    plugins._entries.cache_clear()
