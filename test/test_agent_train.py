"""`jsac-ros train ENV`: a few steps of the synchronous loop, what it leaves behind, resuming, and refusals."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from jsac_ros.__main__ import main
from jsac_ros.agent import export
from jsac_ros.agent.checkpoint import Checkpoints
from jsac_ros.replay.store import FrameStore
from jsac_ros.report.training_log import TrainingLog

gymnasium = pytest.importorskip("gymnasium", reason="Gymnasium is not installed")
from gymnasium.spaces import Box, Dict, Discrete  # noqa: E402

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


def test_it_goes_on_with_a_store_elsewhere(tmp_path):
    runs, elsewhere = tmp_path / "runs", tmp_path / "store"
    assert train(runs, "Pendulum-v1", "--steps", "15", f"replay.folder={elsewhere}") == 0
    assert train(runs, "Pendulum-v1", "--steps", "10", f"replay.folder={elsewhere}") == 0
    assert FrameStore.read(elsewhere).count == 25
    assert not list(runs.glob("*/replay"))


def test_a_live_runs_folder_is_refused_and_left_as_it_is(tmp_path, monkeypatch, capsys):
    save = Checkpoints.save
    monkeypatch.setattr(Checkpoints, "save", lambda self, state, counters: save(self, state, {"batches": 20}))
    assert train(tmp_path, "Pendulum-v1", "--steps", "40") == 0
    (run,) = tmp_path.iterdir()
    before = (run / "config.yaml").read_text()
    assert main(["train", "Pendulum-v1", "--resume", str(run), "--steps", "50", "run.seed=7"]) == 2
    assert "is of a live run" in capsys.readouterr().err
    assert (run / "config.yaml").read_text() == before


def test_resumed_in_the_warm_up_it_begins_again_and_counts_nothing_twice(tmp_path):
    assert train(tmp_path, "Pendulum-v1", "--steps", "15", "--evaluate-every", "5") == 0  # the warm-up takes 20
    (run,) = tmp_path.iterdir()
    assert main(["train", "Pendulum-v1", "--resume", str(run), "--steps", "25", "--evaluate-every", "5"]) == 0
    assert evaluations(run) == [5, 10, 15, 20, 25]
    assert main(["train", "Pendulum-v1", "--resume", str(run), "--steps", "30", "--evaluate-every", "5"]) == 0
    assert evaluations(run) == [5, 10, 15, 20, 25, 30]


def test_interrupted_it_keeps_what_was_learned(tmp_path, monkeypatch):
    def interrupt(self, env_steps, mean_return):
        if env_steps == 60:
            raise KeyboardInterrupt

    monkeypatch.setattr(TrainingLog, "evaluation", interrupt)
    assert train(tmp_path, "Pendulum-v1", "--steps", "100", "--evaluate-every", "30") == 130
    monkeypatch.undo()
    (run,) = tmp_path.iterdir()
    assert main(["train", "Pendulum-v1", "--resume", str(run), "--steps", "90", "--evaluate-every", "15"]) == 0
    assert evaluations(run) == [75, 90]


def test_updates_that_are_not_finite_end_the_training(tmp_path, capsys):
    words = ["--steps", "200", "agent.learning_rate=1e30", "learner.max_skipped_updates=3"]
    assert train(tmp_path, "Pendulum-v1", *words) == 2
    assert "error: 3 updates in a row were not finite" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, said",
    [
        (["Pendulum-v1", "--seeds", "3"], "--seeds 3 does not apply"),
        (["Pendulum-v1", "--evaluate-every", "0"], "--evaluate-every is 0; expected at least 1"),
        (["Seen-v0", "camera.channels=1", "--observe", "image"], "camera.channels is 1; expected 3"),
        (["Pendulum-v1", "learner.resume=/nowhere"], "learner.resume is /nowhere; expected --resume"),
        (["Pendulum-v1", "learner.encoder=/nowhere"], "policy /nowhere: cannot be read"),
        (["cartpole", "--steps", "3"], "--steps 3 does not apply"),
        (["Seen-v0", "--observe", "both"], "observation space is Dict"),
        (["Blind-v0", "--observe", "image"], "environment 'Blind-v0' gives no pictures: no window"),
        (["Old-v0", "--observe", "image"], "environment 'Old-v0': "),
        (["Endless-v0"], "expected finite bounds"),
    ],
)
def test_what_does_not_apply_is_refused_in_one_line(tmp_path, capsys, words, said):
    assert train(tmp_path, *words) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and said in error and "\n" not in error


class Seen(gymnasium.Env):
    """Counts what it is told, which must be one of its own three numbers; a grey picture of the last one."""

    action_space = Discrete(3, start=-1)
    observation_space = Dict({"count": Box(-np.inf, np.inf, (1,))})
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, render_mode=None):
        self.render_mode, self.told = render_mode, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return {"count": np.zeros(1, np.float32)}, {}

    def step(self, action):
        assert action in (-1, 0, 1)
        self.steps, self.told = self.steps + 1, action
        return {"count": np.zeros(1, np.float32)}, float(action), False, self.steps >= 10, {}

    def render(self):
        return np.full((48, 48, 3), 100 + 50 * self.told, np.uint8)


class Blind(Seen):
    def render(self):
        raise RuntimeError("no window")


class Old(Seen):
    def __init__(self):
        super().__init__()


class Endless(Seen):
    action_space = Box(-np.inf, np.inf, (1,))
    observation_space = Box(-1.0, 1.0, (1,))


for made in (Seen, Blind, Old, Endless):
    gymnasium.register(f"{made.__name__}-v0", made, disable_env_checker=True)


def test_pictures_of_an_environment_are_learned_from(tmp_path):
    words = ["--observe", "image", "--agent", "dqn", "camera.height=36", "camera.width=36", "agent.conv_channels=[4,4,4,4]"]
    assert train(tmp_path, "Seen-v0", *words, "--steps", "40", "--evaluate-every", "40") == 0
    (run,) = tmp_path.iterdir()
    store = FrameStore.read(run / "replay")
    told = {int(value) for value in store.rows["reward"][store.live_slots()]}
    assert told == {-1, 0, 1}
    policy = export.load(run / "policy")
    picture, nothing = np.zeros(policy.spec.image_shape, np.uint8), np.zeros(0, np.float32)
    assert policy(picture, nothing) in (0, 1, 2)
    with pytest.raises(ValueError, match=r"image is float32\[36, 36, 9\]; expected uint8\[36, 36, 9\]"):
        policy(picture.astype(np.float32), nothing)


def test_discrete_actions_need_dqn(tmp_path, capsys):
    assert train(tmp_path, "CartPole-v1", "--steps", "40") == 2
    assert "agent.algorithm is 'jsac'" in capsys.readouterr().err
    assert train(tmp_path, "CartPole-v1", "--steps", "40", "--agent", "dqn") == 0


def test_unknown_environment_is_one_line(tmp_path, capsys):
    assert train(tmp_path, "NoSuch-v1") == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: environment 'NoSuch-v1'") and "\n" not in error
