"""Every task: a recording of it is computed again exactly, and is learned from."""

from __future__ import annotations

import json
from pathlib import Path

import agent_cases  # noqa: F401  compiles without optimising
import pytest
from bag_cases import BASE, GRIPS, SMALL, record_run, tiny_config

from jsac_ros import plugins
from jsac_ros.__main__ import main
from jsac_ros.bags.identity import compare
from jsac_ros.bags.reader import Bag
from jsac_ros.bags.recorded_run import configuration_of
from jsac_ros.parameters import load, to_parameters, with_overrides

FOLDER = Path(__file__).resolve().parent.parent / "config"
SHOWN = ("lift", "insert", "push")  # with cameras, gripper and sensors as they are shipped
TINY_IMAGES = {f"{size}": 24 for size in ("height", "width", "source_height", "source_width")}


def tree_of(task):
    """A configuration of the task in which the policy sees vectors alone, which is compiled in a second."""
    if task in SHOWN:
        tree = to_parameters(load(FOLDER / f"{task}.yaml"))
        tree["cameras"] = {name: camera | TINY_IMAGES for name, camera in tree["cameras"].items()}
        tree |= {"agent": {}, "replay": {}, "control": {"period_s": 0.04}}
        tree["safety"] |= {"command_max_age_s": 0.2}
        tree["task"] |= {"reset_s": 0.2, "reset_speed_m_s": 0.0, "settle_s": 0.0, "tool_noise": (0.0,) * 4}
    elif task == "create_reacher":
        tree = dict(BASE)
    else:
        tree = GRIPS | {"task.type": task}
        if task == "shadow":
            tree = {name: value for name, value in tree.items() if name not in ("task.reset_s", "task.settle_s")}
    small = {name: value for name, value in SMALL.items() if not name.startswith("agent.conv")}
    seen = ("joint_velocity",) if task == "create_reacher" else ("joint_position",)
    return with_overrides(tree, small | {"task.observe": (*seen, "previous_action"), "agent.hidden": (8,), "agent.q_count": 2})


@pytest.mark.parametrize("task", plugins.names("task"))
def test_a_task_is_recorded_computed_again_and_learned_from(task, tmp_path, capsys):
    config = tiny_config(tree_of(task))
    ticks = 240 if "retract" in getattr(config.task, "reset", ()) else 60  # a retracting reset takes over a second
    sent = record_run(tmp_path / "bag", config, ticks, learned=False)
    with Bag(tmp_path / "bag") as bag:
        result = compare(bag, configuration_of(bag))
    assert result.identical, result.first_difference
    assert result.steps == len(sent) >= 8 and sum(t.is_last for t in sent) >= 1
    words = ["learn", str(tmp_path / "bag"), "--updates", "2", f"run.folder={tmp_path / 'runs'}"]
    assert main([*words, "--json"]) == 0, capsys.readouterr().err
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["updates"] == 2 and (Path(summary["folder"]) / "checkpoints" / "2").is_dir()
