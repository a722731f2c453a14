"""A training in one process: what it leaves behind, resuming, interrupts, refusals, and the command `jsac-ros train`."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from train_cases import SMALL, Counting, Reaching, without_pages  # noqa: F401

import jsac_ros
from jsac_ros.__main__ import main
from jsac_ros.agent.checkpoint import Checkpoints
from jsac_ros.agent.learning import NotFinite
from jsac_ros.config import ConfigError
from jsac_ros.replay.format import StoreError
from jsac_ros.replay.store import FrameStore
from jsac_ros.report.folder import title_of
from jsac_ros.rig import read_spaces
from jsac_ros.training.synchronous import Training

COUNTING = "train_cases:Counting-v0"  # episodes of ten steps, three choices
WORDS = ["agent.hidden=[16]", "replay.batch_size=8", "replay.warmup_steps=20", "replay.capacity=1000"]


def train(folder: Path, steps: int, every: int = 1000, environment="Pendulum-v1", resume=None, **sections) -> jsac_ros.Run:
    small = {} if resume else SMALL | {"run": {"folder": str(folder)}}
    settings = {name: small.get(name, {}) | sections.get(name, {}) for name in {**small, **sections}}
    settings["train"] = {"evaluate_every": every}
    return jsac_ros.train(environment, steps, progress=False, resume=resume, **settings)


def command(folder: Path, *words: str) -> int:
    return main(["train", *words, *WORDS, f"run.folder={folder}"])


def evaluations(folder: Path) -> list[int]:
    """Steps at which it was evaluated, once for its episodes together."""
    with (folder / "episodes.csv").open() as file:
        steps = [int(row["env_steps"]) for row in csv.DictReader(file) if row["evaluation"] == "1"]
    assert steps == sorted(steps) and len(steps) % 5 == 0
    return steps[::5]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    return train(tmp_path_factory.mktemp("runs"), 220, every=110).folder


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """A copy of a training of 220 steps, evaluated at 110 and 220."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_it_leaves_what_a_live_run_leaves(trained):
    assert {path.name for path in trained.iterdir()} >= {
        "config.yaml", "spaces.json", "replay", "checkpoints", "policy", "tensorboard", "episodes.csv", "metrics.csv",
        "summary.json", "learning_curve.png", "report.html",
    }  # fmt: skip
    assert evaluations(trained) == [110, 220]
    store = FrameStore.read(trained / "replay", read_spaces(trained))
    assert store.valid_count == 220 and not store.damaged(), "the episode that was open is closed"
    assert store.rows["mask"][store.live_slots()].min() == 1.0, "a time limit is no terminal state"
    summary = json.loads((trained / "summary.json").read_text())
    assert (summary["env_steps"], summary["updates"], summary["episodes"]) == (220, 200, 2)
    assert summary["transitions"] == {"sent": 220, "received": 220, "lost": 0}
    assert summary["return_last10_mean"] < 0 and summary["peak_rss_mb"]["train"] > 50
    assert "Pendulum-v1" in (trained / "report.html").read_text() and title_of(trained) == "Pendulum-v1"


def test_a_resumed_training_continues_tables_store_and_curve(run):
    before = (run / "episodes.csv").read_text().splitlines()
    train(run, 300, every=110, resume=run)
    assert evaluations(run) == [110, 220, 300]
    assert (run / "episodes.csv").read_text().splitlines()[: len(before)] == before
    assert FrameStore.read(run / "replay").valid_count == 300
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["env_steps"], summary["updates"]) == (300, 280)


def test_what_came_after_the_checkpoint_comes_again(run):
    """Killed after its last evaluation: the tables hold more than the checkpoint that it continues from."""
    with (run / "episodes.csv").open("a") as file:
        last = (run / "episodes.csv").read_text().splitlines()[-1].split(",")
        header = (run / "episodes.csv").read_text().splitlines()[0].split(",")
        last[header.index("env_steps")] = "221"
        file.write(",".join(last) + "\n")
    train(run, 240, every=1000, resume=run)
    assert evaluations(run) == [110, 220, 240]


def test_resumed_in_the_warm_up_it_begins_again_also_with_a_store_elsewhere(tmp_path):
    runs, elsewhere = tmp_path / "runs", tmp_path / "store"
    run = train(runs, 15, every=5, environment=COUNTING, replay={"folder": str(elsewhere)}).folder  # the warm-up takes 20
    assert FrameStore.read(elsewhere).stored == 17 and not list(runs.glob("*/replay"))
    train(runs, 25, every=5, environment=COUNTING, resume=run)
    assert evaluations(run) == [5, 10, 15, 20, 25]
    train(runs, 30, every=5, environment=COUNTING, resume=run)
    assert evaluations(run) == [5, 10, 15, 20, 25, 30]
    assert FrameStore.read(elsewhere).valid_count == 15 + 25 + 5


def test_interrupted_it_keeps_what_was_learned(tmp_path, monkeypatch, capsys):
    evaluate = Training._evaluate

    def interrupt(self, over):
        if self.done == 60:
            raise KeyboardInterrupt
        evaluate(self, over)

    monkeypatch.setattr(Training, "_evaluate", interrupt)
    assert command(tmp_path, COUNTING, "--steps", "100", "--evaluate-every", "30") == 130
    monkeypatch.undo()
    (folder,) = tmp_path.iterdir()
    assert evaluations(folder) == [30] and (folder / "summary.json").exists()
    train(tmp_path, 90, every=15, environment=COUNTING, resume=folder)
    assert evaluations(folder) == [30, 75, 90]


def test_a_live_runs_folder_is_refused_and_left_as_it_is(run, monkeypatch):
    restore = Checkpoints.restore
    monkeypatch.setattr(Checkpoints, "restore", lambda self: (restore(self)[0], {"batches": 20}))
    before = (run / "config.yaml").read_text()
    with pytest.raises(ConfigError, match="is of a live run"):
        jsac_ros.train("Pendulum-v1", 300, seed=7, resume=run, progress=False)
    assert (run / "config.yaml").read_text() == before
    monkeypatch.undo()
    train(run, 230, resume=run)  # nothing of it is held open


def test_another_environments_folder_is_refused(run):
    with pytest.raises(ConfigError, match="is a run of Pendulum-v1; expected one of CartPole-v1"):
        jsac_ros.train("CartPole-v1", resume=run)


def test_a_store_in_use_is_refused_and_no_folder_stays(tmp_path, run):
    FrameStore.read(run / "replay").close()
    with pytest.raises(StoreError):
        other = FrameStore.open(run / "replay", read_spaces(run), 1000)
        try:
            train(tmp_path / "runs", 30, replay={"folder": str(run / "replay")})
        finally:
            other.close()
    assert not list((tmp_path / "runs").glob("*"))


def test_updates_that_are_not_finite_end_the_training(tmp_path):
    with pytest.raises(NotFinite, match="3 updates in a row were not finite"):
        train(tmp_path, 200, agent={"learning_rate": 1e30}, learner={"max_skipped_updates": 3})
    (folder,) = tmp_path.iterdir()
    assert (folder / "summary.json").exists()


def test_code_of_the_environment_that_fails_ends_the_training_with_what_was_learned(tmp_path, capsys):
    assert command(tmp_path, "train_cases:Broken-v0", "--steps", "100") == 2
    assert "step() raised KeyError: 'gripper'" in capsys.readouterr().err
    (folder,) = tmp_path.iterdir()
    assert FrameStore.read(folder / "replay").valid_count == 2


def test_an_object_is_evaluated_between_its_episodes(tmp_path):
    run = train(tmp_path, 50, every=25, environment=Counting())
    learned_in = [episode for episode in run.episodes if not episode.evaluation]
    assert [episode.steps for episode in learned_in] == [10] * 5
    assert evaluations(run.folder) == [30, 50]
    assert json.loads((run.folder / "summary.json").read_text())["env_steps"] == 50


def test_prioritised_sampling_learns_from_the_errors_of_its_updates(tmp_path):
    run = train(tmp_path, 60, environment=Counting(), replay={"sampler": "prioritised"})
    store = FrameStore.read(run.folder / "replay", read_spaces(run.folder))
    assert np.unique(store.rows["priority"][store.live_slots()]).size > 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["NoSuch-v1"], "environment 'NoSuch-v1'"),
        (["no_such_lab:Peg-v0"], "environment 'no_such_lab:Peg-v0'"),
        (["Pendulum-v1", "--evaluate-every", "0"], "train.evaluate_every is 0"),
        (["Pendulum-v1", "--steps", "0"], "train.steps is 0"),
        (["Pendulum-v1", "learner.resume=/nowhere"], "learner.resume is /nowhere; expected resume=FOLDER"),
        (["Pendulum-v1", "learner.encoder=/nowhere"], "policy /nowhere: policy.json cannot be read"),
        (["Pendulum-v1", "learner.devices=7"], "learner.devices is 7; expected at most 1"),
        (["Pendulum-v1", "--resume", "/nowhere", "--agent", "jsac"], "--agent jsac does not apply"),
        (["Pendulum-v1", "--resume", "/nowhere", "--asynchronous"], "expected learner.resume=/nowhere"),
        (["Pendulum-v1", "--demonstrations", "2", "--asynchronous"], "train.demonstrations is 2; with --asynchronous expected"),
        (["Pendulum-v1", "--demonstrations", "2"], "environment Pendulum-v1 has no scripted expert; expected train.expert"),
        (["Pendulum-v1", "--resume", "/nowhere"], "config /nowhere/config.yaml"),
        (["Pendulum-v1", "task.episode_s=3"], "task: does not apply to a training"),
        (["Pendulum-v1", "agent.hiden=[3]"], "agent.hiden: unknown key; did you mean hidden?"),
        (["Pendulum-v1", "agent.type=sacc"], "'sacc': unknown"),
        (["Pendulum-v1", "train.environments=3"], "train.environments is 3; expected 1"),
        (["train_cases:Blind-v0", "train.observe=[render]"], "'train_cases:Blind-v0' cannot be rendered: no window"),
        (["train_cases:Old-v0", "train.observe=[render]"], "environment 'train_cases:Old-v0'"),
        (["train_cases:Endless-v0"], "expected finite bounds"),
        (["CartPole-v1", "--agent", "jsac"], "has 2 choices; expected continuous values"),
        (["Pendulum-v1", "--agent", "dqn", "--asynchronous"], "expected one part of choices"),
        (["cartpole", "--steps", "3"], "unrecognized arguments: --steps 3"),
    ],
)
def test_what_does_not_apply_is_refused_in_one_line_and_nothing_stays(tmp_path, capsys, words, said):
    try:
        assert command(tmp_path, *words) == 2
        error = capsys.readouterr().err.strip()
        assert error.startswith("error: ") and "\n" not in error
    except SystemExit as ended:  # argparse, which prints the usage too
        assert ended.code == 2
        error = capsys.readouterr().err
    assert said in error and not list(tmp_path.iterdir())


def test_the_command_trains_films_and_names_its_folder(tmp_path, capsys):
    assert command(tmp_path, COUNTING, "--steps", "30", "run.name=mine") == 0
    (folder,) = tmp_path.iterdir()
    assert capsys.readouterr().out.splitlines()[-1] == f"run folder: {folder}" and folder.name.startswith("mine_")
    assert (folder / "video.mp4").stat().st_size > 500


def test_reaching_is_an_environment_as_gymnasium_has_it():
    """What the tests learn in is checked by Gymnasium's own checker."""
    from gymnasium.utils.env_checker import check_env

    check_env(Reaching(), skip_render_check=True)
