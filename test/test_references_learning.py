"""The compiled loop learns: seconds of each reference, with thresholds that a broken learner misses.

Each was broken once, and fails: DQN with the sign of its bootstrap turned, SAC with that of the actor's loss, all three
with a learning rate of next to nothing.
"""

import argparse
import json
import os

import jax
import numpy as np
import pytest

import jsac_ros
from jsac_ros.config import ConfigError
from jsac_ros.references import cartpole, cli, pendulum, rocket, speed
from jsac_ros.references.flights import fly
from jsac_ros.references.loop import Reference, fresh_states, make_train, one

os.environ.setdefault("XLA_FLAGS", cli.XLA_FLAGS)  # as the verb does, before JAX is first used


def trained(environment: str, *overrides: str, seeds: int = 1):
    reference = Reference.of(cli.load(environment, None, list(overrides)))
    return reference, jax.jit(jax.vmap(make_train(reference)))(*fresh_states(reference, seeds))


pytestmark = pytest.mark.timeout(600)  # compiling takes its time on a busy machine


def test_dqn_holds_the_pole_in_every_seed():
    """8,000 steps; random actions hold the pole for 22 steps on average and never for 150."""
    _, result = trained("cartpole", "train.steps=8000", seeds=4)
    for returns in cartpole.returns(result.episodes):
        assert returns[:5].mean() < 60
        assert returns[-10:].mean() > 120
        assert returns.max() > 200
    episodes = jax.tree.map(np.asarray, result.episodes)
    np.testing.assert_array_equal(episodes.episode_return, episodes.steps)  # one per step
    assert episodes.steps.max() <= 500


def test_sac_with_value_function_swings_up_on_gymnasium(tmp_path):
    """8,000 frames, tested on Gymnasium's environment; random torques score -1200, the notebook's agent -231.7."""
    reference, result = trained("pendulum", "train.steps=8000")
    summary = pendulum.report(reference, result, tmp_path)
    assert summary["mean_test_score"][0] > -300
    assert (tmp_path / "learning.png").stat().st_size > 10_000
    assert (tmp_path / "video.mp4").stat().st_size > 10_000


def test_sac_with_prioritised_replay_flips_the_rocket_over(tmp_path):
    """The whole training: half of it is enough on some machines only, for rounding decides; 30 to 100 of 100 were seen. A
    policy that has learned nothing never succeeds."""
    reference, result = trained("rocket_flip_over")
    config = reference.config
    fresh = fly(reference, one(fresh_states(reference, 1)[0]), rocket.TEST_SEED, 100)
    assert int(fresh.success.sum()) < 5
    summary = rocket.report(reference, result, tmp_path)
    assert summary["succeeded"][0] > 20
    for name in ("learning.png", "trajectories.png", "video.mp4"):
        assert (tmp_path / name).stat().st_size > 5_000
    losses = np.asarray(result.metrics["actor_loss"])[0]
    warmup = config.replay.warmup_steps // config.train.environments
    critic_only = warmup + config.agent.critic_warmup_updates
    assert np.isnan(losses[:critic_only]).all() and np.isfinite(losses[critic_only:]).all()


def test_the_verb_trains_reports_and_leaves_a_folder(tmp_path, capsys):
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    arguments = ["cartpole", "--seeds", "2", "train.steps=1000", f"run.folder={tmp_path}"]
    assert cli.main(parser.parse_intermixed_args(arguments)) == 0
    (folder,) = tmp_path.iterdir()
    assert str(folder) in capsys.readouterr().out
    results = json.loads((folder / "results.json").read_text())
    assert results["seeds"] == 2 and results["steps_per_s"] > 0
    assert {p.name for p in folder.iterdir()} == {
        "config.yaml", "spaces.json", "learning.png", "results.json", "policy", "episodes.csv", "metrics.csv", "tensorboard",
        "processes.json", "summary.json", "learning_curve.png", "report.html",
    }  # fmt: skip
    summary, run = json.loads((folder / "summary.json").read_text()), jsac_ros.Run(folder)
    assert summary["env_steps"] == summary["transitions"]["received"] == 1000 and summary["updates"] == 800
    assert summary["episodes"] == len(run.episodes) > 10
    assert all(episode.steps == episode.episode_return for episode in run.episodes)
    assert list((folder / "tensorboard").glob("events*"))
    assert jsac_ros.evaluate(run.policy, "CartPole-v1", episodes=2).mean_return >= 2 * 8


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["train.environment=pendulum"], "train.environment is pendulum; expected cartpole"),
        (["train.steps=0"], "train.steps is 0"),
        (["replay.warmup_steps=10"], "replay.warmup_steps is 10; expected between"),
        (["replay.capacity=1001", "train.environments=2"], "replay.capacity is 1001; expected a multiple of 2"),
        (["agent.n_step=3"], "agent.n_step is 3; expected 1"),
        (["task.episode_s=3.0"], "task.episode_s: does not apply to cartpole"),
        (["train.stepz=3"], "train.stepz: unknown key"),
    ],
)
def test_what_does_not_go_together_is_named(overrides, message):
    with pytest.raises(ConfigError, match=message):
        cli.train(Reference.of(cli.load("cartpole", None, overrides)), 1)


@pytest.mark.parametrize(
    "environment, agent, message",
    [
        ("pendulum", "dqn", "expected one part of choices with agent.type 'dqn'"),
        ("cartpole", "jsac", "has 2 choices; expected continuous values with agent.type 'jsac'"),
        ("cartpole", "dqm", "'dqm': unknown"),
    ],
)
def test_an_algorithm_for_other_actions_is_refused(environment, agent, message):
    with pytest.raises(ConfigError, match=message):
        Reference.of(cli.load(environment, agent, []))


def test_speed_is_measured_of_three_loops(monkeypatch):
    monkeypatch.setattr(speed, "PYTHON_STEPS", 20)
    figures = speed.compare_speed(Reference.of(cli.load("cartpole", None, ["train.steps=300"])), seeds=2)
    assert set(figures) >= {"python_loop_steps_per_s", "one_seed_steps_per_s", "2_seeds_steps_per_s"}
    assert all(value > 0 for value in figures.values())
