"""A configured system learned in its simulator, without ROS: demonstrations, interventions, what it leaves, refusals."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import jax
import numpy as np
import pytest
from train_cases import FROM_STATE, LIFT, SMALL, without_pages  # noqa: F401

import jsac_ros as jr
from jsac_ros.__main__ import main
from jsac_ros.agent import export
from jsac_ros.config import ConfigError
from jsac_ros.parameters import load
from jsac_ros.replay.store import FrameStore
from jsac_ros.rig import Rig, read_spaces
from jsac_ros.training import synchronous
from jsac_ros.training.evaluation import Episode
from jsac_ros.training.simulation import Simulation
from jsac_ros.training.synchronous import Training

TRAIN = {"evaluate_every": 30, "evaluation_episodes": 1, "evaluate_sampled": True, "demonstrations": 2}
REACHER = str(Path(LIFT).with_name("ur5_reacher_demo.yaml"))


def train(folder: Path, steps: int, **more) -> jr.Run:
    sections = SMALL | FROM_STATE | {"run": {"folder": str(folder)}, "train": TRAIN, "person": {"by": "intervener"}}
    sections["task"] = sections["task"] | {"episode_s": 3.5}
    return jr.train(LIFT, steps, progress=False, **(({} if "resume" in more else sections) | more))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    return train(tmp_path_factory.mktemp("runs"), 60).folder


def test_it_leaves_what_a_live_run_leaves_and_the_demonstrations(trained):
    assert {"config.yaml", "spaces.json", "replay", "demonstrations", "checkpoints", "policy", "episodes.csv"} <= {
        path.name for path in trained.iterdir()
    }
    config = load(trained / "config.yaml")
    assert Rig.of(config).spaces.difference(read_spaces(trained)) == "" and config.train.environment == LIFT
    shown = FrameStore.read(trained / "demonstrations", read_spaces(trained))
    rows, slots = shown.rows, shown.live_slots()
    assert rows["is_last"][slots].sum() == rows["reward"][slots].sum() == 2 and not shown.damaged()
    assert rows["intervened"][slots][~rows["is_last"][slots]].all()
    evaluated = [episode for episode in jr.Run(trained).episodes if episode.evaluation]
    assert [episode.env_steps for episode in evaluated] == [30, 30, 60, 60], "with mean and with sampled actions"


def test_the_best_of_the_last_policies_is_exported(tmp_path, monkeypatch):
    """Tried again in fresh episodes with best and with sampled actions; here only the first one's sampled actions succeed."""
    tried, mean = [], jax.tree.leaves
    of = lambda params: float(sum(abs(leaf).sum() for leaf in mean(params)))

    def ways(training, params):
        return {way: (way, of(params)) for way in ("best", "sampled")}

    def evaluate(environment, choose, episodes, env_steps=0, sampled=False):
        again = env_steps == 0
        tried.extend([choose] * again)
        success = again and len(tried) == 2
        return [Episode(env_steps, float(success), 4, success, success, True, sampled=sampled)] * episodes

    monkeypatch.setattr(Training, "_ways", ways)
    monkeypatch.setattr(synchronous, "evaluate", evaluate)
    more = {"candidates": 2, "demonstrations": 1}
    run = train(tmp_path, 60, train=TRAIN | more)
    assert [way for way, _ in tried] == ["best", "sampled"] * 2 and tried[0][1] == tried[1][1] != tried[2][1]
    policy = jr.load(run.folder)
    assert policy.about["card"]["chosen"] == {"env_steps": 30, "actions": "sampled", "success": 1.0, "episodes": 1}
    assert of(export.load(run.folder / "policy").params) == pytest.approx(tried[0][1], rel=1e-5)


def test_a_person_takes_over_where_it_is_stuck_and_is_stored_as_such(trained):
    store = FrameStore.read(trained / "replay", read_spaces(trained))
    slots = store.live_slots()
    intervened = store.rows["intervened"][slots]
    assert 0 < intervened.sum() < len(slots)
    assert (store.rows["policy_version"][slots][intervened] == -1).all()


def test_it_is_resumed_with_the_same_demonstrations(trained, tmp_path):
    folder = Path(shutil.copytree(trained, tmp_path / "run"))
    written = lambda: {path.name: path.stat().st_mtime_ns for path in (folder / "demonstrations").iterdir()}
    before = written()
    train(tmp_path, 75, resume=folder)
    assert FrameStore.read(folder / "replay").valid_count == 75
    assert written() == before
    with pytest.raises(ConfigError, match="is a run of .*lift.yaml; expected one of Pendulum-v1"):
        jr.train("Pendulum-v1", resume=folder)


def test_a_policy_is_evaluated_in_a_configuration_that_has_its_parts(trained):
    policy = jr.load(trained)
    assert jr.evaluate(policy, str(trained / "config.yaml"), episodes=1).returns.shape == (1,)
    with pytest.raises(ConfigError, match="environment .*lift.yaml: "):
        jr.evaluate(policy, LIFT, episodes=1)


def test_an_episode_is_what_it_is_live_and_seeds_decide_where_it_begins():
    config = load(LIFT, {f"{name}.{field}": value for name, fields in FROM_STATE.items() for field, value in fields.items()})

    def show(seed: int):
        with closing(Simulation(config, seed)) as simulation:
            return simulation.demonstration(), simulation

    shown, simulation = show(3)
    assert simulation.success and simulation.terminated and simulation.episode_return == 1.0
    assert [t.step for t in shown] == list(range(simulation.length + 1)) and shown[0].is_first and shown[-1].is_last
    assert shown[-2].mask == 0.0 and shown[-2].reward == 1.0 and not np.isnan(shown[0].executed["arm"]).any()
    again, _ = show(3)
    for name, vector in shown[5].vectors.items():
        np.testing.assert_array_equal(vector, again[5].vectors[name])
    other, _ = show(4)
    assert np.abs(shown[0].vectors["cube_from_tip"] - other[0].vectors["cube_from_tip"]).max() > 0.01


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([LIFT, "robot.driver=external"], "robot.driver is 'external'; a training without ROS runs in the simulator, 'sim'"),
        ([LIFT, "--demonstrations", "2", "replay.demonstrations=/nowhere"], "and replay.demonstrations /nowhere; expected one"),
        ([REACHER, "--demonstrations", "2"], "ur5_reacher_demo has no scripted expert"),
        ([REACHER, "--interventions"], "person.by is 'intervener'; task 'ur5_reacher' has no scripted person"),
        ([LIFT, "person.by=device"], "person.by is 'device'; without ROS it is 'nobody' or 'intervener'"),
        ([LIFT, "--asynchronous"], "lift.yaml; expected `jsac-ros run` of it"),
        ([LIFT, "task.observe=[scent]"], "task.observe holds scent"),
        ([LIFT, "train.stop_at_success=1.5"], "train.stop_at_success is 1.5: expected 0 (off) or 0.01 to 1"),
        (["/nowhere.yaml"], "config /nowhere.yaml"),
        (["Pendulum-v1", "--demonstrations", "2"], "environment Pendulum-v1 has no scripted expert"),
        (["Pendulum-v1", "--interventions"], "person: does not apply to a training; expected run, agent"),
    ],
)
def test_what_does_not_apply_is_refused_in_one_line_and_nothing_stays(tmp_path, capsys, words, said):
    assert main(["train", *words, f"run.folder={tmp_path}"]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and said in error and "\n" not in error and not list(tmp_path.iterdir())


def test_a_task_that_raises_is_one_line_with_its_file_and_the_tick(tmp_path, capsys):
    more = ["--steps", "20", f"run.folder={tmp_path}", "task.type=raising_cases:Raises", "replay.warmup_steps=100"]
    assert main(["train", REACHER, *more]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    (line,) = error
    assert line.startswith("error: task 'raising_cases:Raises' in 'kinematic', episode 0 step 2: KeyError: 'no gauge' (")
    assert "raising_cases.py:" in line


OF_FORMAT_1 = """/**:
  ros__parameters:
    run: {name: ur5_reacher_demo}
    camera: {topic: camera/image_raw, height: 32, width: 48}
    robot: {model: ur5, driver: sim}
    task: {name: ur5_reacher, control_period_s: 0.04, stack: 2, controlled_joints: 5}
    train: {environment: Pendulum-v1}
"""


def test_a_run_of_the_format_before_is_one_line_with_its_version(tmp_path, capsys):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.yaml").write_text(OF_FORMAT_1)
    assert main(["train", "Pendulum-v1", "--resume", str(tmp_path / "old")]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"error: config {tmp_path / 'old' / 'config.yaml'} is of ") and len(error.splitlines()) == 1
    assert "format 1 (camera, robot.model, task.name; jsac_ros 0.1), which is not read; expected format 2" in error
