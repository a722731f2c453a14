"""`jsac-ros train ENV`: a few steps of the synchronous loop, what it leaves behind, resuming, and refusals."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from jsac_ros.__main__ import main
from jsac_ros.agent import export
from jsac_ros.replay.store import FrameStore

pytest.importorskip("gymnasium", reason="Gymnasium is not installed")
SMALL = ["agent.hidden=[16]", "replay.batch_size=8", "replay.warmup_steps=20", "replay.capacity=1000"]


def train(folder: Path, *words: str) -> int:
    return main(["train", *words, *SMALL, f"run.folder={folder}"])


def evaluations(run: Path) -> list[int]:
    with (run / "episodes.csv").open() as file:
        return [int(row["env_steps"]) for row in csv.DictReader(file) if row["kind"] == "evaluation"]


def test_run_leaves_everything_behind_and_can_be_resumed(tmp_path):
    assert train(tmp_path, "Pendulum-v1", "--steps", "220", "--evaluate-every", "110") == 0
    (run,) = tmp_path.iterdir()
    assert {path.name for path in run.iterdir()} >= {
        "config.yaml", "replay", "checkpoints", "policy", "tensorboard", "episodes.csv", "learning_curve.png",
    }  # fmt: skip
    assert evaluations(run) == [110, 220]
    store = FrameStore.read(run / "replay")
    assert store.valid_count == 219 and not store.damaged()  # the last one has no next observation yet
    masks = store.rows["mask"][store.live_slots()]
    assert masks.min() == 1.0  # a time limit is no terminal state
    policy = export.load(run / "policy")
    assert np.abs(policy(np.zeros((0, 0, 3), np.uint8), np.zeros(3, np.float32))).max() <= 1

    assert main(["train", "Pendulum-v1", "--resume", str(run), "--steps", "300", "--evaluate-every", "110"]) == 0
    assert evaluations(run) == [110, 220, 300]
    assert FrameStore.read(run / "replay").valid_count == 298


def test_discrete_actions_need_dqn(tmp_path, capsys):
    assert train(tmp_path, "CartPole-v1", "--steps", "40") == 2
    assert "agent.algorithm is 'jsac'" in capsys.readouterr().err
    assert train(tmp_path, "CartPole-v1", "--steps", "40", "--agent", "dqn") == 0


def test_unknown_environment_is_one_line(tmp_path, capsys):
    assert train(tmp_path, "NoSuch-v1") == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: environment 'NoSuch-v1'") and "\n" not in error
