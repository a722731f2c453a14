"""`jsac-ros evaluate RUN|POLICY`: figures with intervals, two policies in turn, the simulator of a configuration, refusals."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import train_cases
from train_cases import FROM_STATE, LIFT, SMALL, without_pages  # noqa: F401

import jsac_ros as jr
from jsac_ros import agent as algorithms
from jsac_ros.__main__ import _module, main
from jsac_ros.agent import export
from jsac_ros.agent.checkpoint import Checkpoints
from jsac_ros.config import TrainConfig
from jsac_ros.parameters import dump, from_parameters, load
from jsac_ros.report import intervals
from jsac_ros.rig import Rig
from jsac_ros.training import evaluate_cli, trials
from jsac_ros.training.evaluation import Episode
from jsac_ros.training.spaces import card_of, spaces_of

COUNTING = f"{train_cases.__name__}:Counting-v0"


def policy(folder: Path, seed: int) -> Path:
    """An untrained one of the counting environment."""
    env, config = train_cases.Counting(), TrainConfig(environment=COUNTING)
    agent = algorithms.build(
        from_parameters({"agent": {"type": "dqn", "hidden": (8,)}}, ("agent",)).agent, spaces_of(env, config)
    )
    card = {"train": config.model_dump(mode="json"), "action_space": card_of(env.action_space)}
    export.save(folder, agent.policy_params(agent.init(seed)), agent, card)
    return folder


def test_intervals_are_the_published_ones():
    assert intervals.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, I, table I
    assert intervals.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert intervals.wilson(29, 29) == pytest.approx((0.8830, 1.0), abs=1e-4)
    assert intervals.difference_of_shares((48, 80), (56, 70)) == pytest.approx((0.0524, 0.3339), abs=1e-4)  # II, table II (a)


def test_the_last_line_is_an_object_and_two_take_turns(tmp_path, capsys):
    first, second = policy(tmp_path / "first", 0), policy(tmp_path / "second", 1)
    words = ["evaluate", str(first), "--compare", str(second), "--episodes", "3", "--json", "--sampled", "--seed", "2"]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    found = json.loads(lines[-1])
    assert found["episodes"] == 3 and found["steps_mean"] == 10.0 and found["success"] == 0.0
    assert found["success_interval"] == list(intervals.wilson(0, 3)) and found["environment"] == COUNTING
    assert found["difference"]["return_mean"] == pytest.approx(found["compared"]["return_mean"] - found["return_mean"])
    assert main(words) == 0 and json.loads(capsys.readouterr().out.splitlines()[-1]) == found


def test_a_classifiers_word_is_told_beside_the_true_success():
    def played(success, true_success):
        return Episode(0, 1.0, 5, success, success, True, true_success=true_success)

    found = trials.figures([played(True, True), played(True, False), played(False, True), played(False, False)])
    assert (found["success"], found["true_success"]) == (0.5, 0.5) and found["interventions_mean"] == 0.0
    assert found["true_success_interval"] == list(intervals.wilson(2, 4))
    assert "success 50.0% (95 %: 15.0% to 85.0%) by the classifier; true success 50.0% (95 %" in evaluate_cli._line(found)
    assert "true_success" not in trials.figures([played(True, None)])


def test_the_best_of_the_last_checkpoints_becomes_the_policy_of_the_run(tmp_path, capsys):
    policy(tmp_path / "policy", 0)
    agent = export.load(tmp_path / "policy").agent
    assert main(["evaluate", str(tmp_path), "--best-of", "2"]) == 2
    assert "holds 0 checkpoints; expected at least two" in capsys.readouterr().err
    states = {}
    with Checkpoints(tmp_path / "checkpoints", agent) as checkpoints:
        for updates in (10, 20, 30):
            states[updates] = replace(agent.init(updates), step=jnp.asarray(updates))
            checkpoints.save(states[updates], {})
    words = ["evaluate", str(tmp_path), "--best-of", "2", "--episodes", "2", "--environment", COUNTING, "--json"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert said.startswith("checkpoint 20: success") and "\ncheckpoint 30: success" in said
    kept = export.load(tmp_path / "policy")
    chosen = kept.about["card"]["chosen"]
    assert chosen["of"] == ["checkpoint 20", "checkpoint 30"] and chosen["episodes"] == 2
    of = states[int(chosen["checkpoint"].split()[1])]
    assert all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (kept.params, agent.policy_params(of)))))
    assert json.loads(said.splitlines()[-1])["return_mean"] == chosen["return_mean"]


def test_a_run_is_evaluated_in_its_simulator_and_filmed(tmp_path, capsys):
    dotted = {f"{section}.{name}": value for section in FROM_STATE for name, value in FROM_STATE[section].items()}
    config = load(LIFT, dotted | {"agent.hidden": (16,), "task.episode_s": 0.4})
    dump(config, tmp_path / "config.yaml")
    agent = algorithms.build(config.agent, Rig.of(config).spaces)
    export.save(tmp_path / "policy", agent.policy_params(agent.init(0)), agent, {})
    assert main(["evaluate", str(tmp_path), "--episodes", "2", "--json", "--film", str(tmp_path / "film.mp4")]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["episodes"] == 2 and found["success"] == 0.0
    assert found["steps_mean"] == round(0.4 / config.control.period_s)
    moved = Path(shutil.copytree(tmp_path / "policy", tmp_path / "carried" / "policy"))
    assert main(["evaluate", str(moved), "--episodes", "1"]) == 2
    assert "does not name its environment; expected --environment" in capsys.readouterr().err
    assert main(["evaluate", str(moved), "--environment", COUNTING]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_without_a_policy_it_is_the_verb_of_a_running_system():
    of_system, of_policy = "jsac_ros.nodes.operator", "jsac_ros.training.evaluate_cli"
    assert [_module("evaluate", words) for words in ([], ["--help"], ["--namespace", "left"])] == [of_system] * 3
    assert [_module("evaluate", words) for words in (["runs/a"], ["--json", "runs/a"])] == [of_policy] * 2


def test_what_is_missing_is_one_line(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path / "none")]) == 2
    assert main(["evaluate", str(tmp_path), "--episodes", "0"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and "--episodes is 0; expected 1 or more" in lines[1]
    assert jr.load(policy(tmp_path, 0)).about["card"]
