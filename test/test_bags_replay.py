"""A checkpoint judges a recording, and recordings alone teach."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from bag_cases import DATA, recorded_run

from jsac_ros import agent as algorithms
from jsac_ros.__main__ import main
from jsac_ros.agent.checkpoint import Checkpoints
from jsac_ros.bags.replay_page import moments
from jsac_ros.parameters import dump
from jsac_ros.replay.store import FrameStore
from jsac_ros.rig import Rig

G1 = Path(__file__).resolve().parent.parent / "config" / "g1_shadow.yaml"
pytestmark = pytest.mark.timeout(300)
on_g1 = pytest.mark.skipif(not (DATA / "g1_pick_bottle").is_dir(), reason="the recordings in ../shared/data are not here")


def agent_of(config):
    return algorithms.build(config.agent, Rig.of(config).spaces)


@pytest.fixture
def checkpoints(tmp_path):
    """Two run folders with a checkpoint each, of other networks."""
    agent = agent_of(recorded_run()[2])
    for seed in (1, 2):
        with Checkpoints(tmp_path / f"run{seed}" / "checkpoints", agent) as saved:
            saved.save(agent.init(seed), {})
    return [str(tmp_path / f"run{seed}") for seed in (1, 2)]


def rows_of(folder: Path) -> list[dict]:
    with (folder / "steps.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_step_is_judged(checkpoints, tmp_path, capsys):
    bag, sent, _ = recorded_run()
    out = tmp_path / "out"
    command = ["recompute", str(bag), "--checkpoint", checkpoints[0], "--compare", checkpoints[1], "--out", str(out)]
    assert main([*command, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    rows, acted = rows_of(out), [step for step in sent if not step.is_last]
    assert len(rows) == len(acted) == summary["steps"]
    for row, step in zip(rows, acted):
        assert (int(row["episode"]), int(row["step"])) == (step.episode, step.step)
        np.testing.assert_allclose([float(row[f"action_{i}"]) for i in range(5)], step.action["arm"], rtol=1e-4, atol=1e-6)
        assert float(row["reward"]) == pytest.approx(step.reward, rel=1e-4, abs=1e-6)
        assert float(row["q_std"]) >= 0 and np.isfinite(float(row["td_error"]))
    # The policies that acted last were made with the same seeds: one of the two checkpoints computes their actions.
    last = [(row, step) for row, step in zip(rows, acted) if step.policy_version == 8]
    assert last
    for row, step in last:
        np.testing.assert_allclose([float(row[f"computed_{i}"]) for i in range(5)], step.action["arm"], atol=1e-4)
    assert summary["checkpoints_differ"] > 0.01
    page = (out / "report.html").read_text()
    assert "Most surprising" in page and page.count("data:image/jpeg") > 20


def test_it_stops_at_the_first_difference(checkpoints, tmp_path, capsys):
    bag, sent, _ = recorded_run()
    out = tmp_path / "out"
    command = ["recompute", str(bag), "--checkpoint", checkpoints[0], "--out", str(out), "--tolerance", "0.01", "--json"]
    assert main(command) == 1
    summary = json.loads(capsys.readouterr().out)
    assert "s, episode 0 step 0: action [" in summary["first_difference"]
    assert len(rows_of(out)) == 1


def test_a_checkpoint_of_another_shape_is_one_line_and_writes_nothing(checkpoints, tmp_path, capsys):
    bag, _, config = recorded_run()
    other = config.model_copy(update={"agent": config.agent.model_copy(update={"latent_dim": 16})})
    dump(other, tmp_path / "other.yaml")
    out = tmp_path / "out"
    command = ["recompute", str(bag), "--checkpoint", checkpoints[0], "--out", str(out)]
    assert main([*command, "--config", str(tmp_path / "other.yaml")]) == 2
    error = capsys.readouterr().err.strip()
    assert "expected float32" in error and "\n" not in error and not out.exists()
    assert main([*command[:3], str(tmp_path / "nowhere"), *command[4:]]) == 2
    assert "expected a run folder" in capsys.readouterr().err and not out.exists()


def test_moments_are_apart_and_finite():
    scores = [0.0] * 50
    scores[10], scores[11], scores[40], scores[45] = 5.0, 4.0, 3.0, float("nan")
    assert moments(scores, count=2, apart=5) == [10, 40]
    assert moments([float("nan")] * 3) == []


def test_steps_of_recordings_become_a_store(tmp_path, capsys):
    bag, sent, _ = recorded_run()
    assert main(["bag", "transitions", str(bag), str(tmp_path / "store")]) == 0
    store = FrameStore.read(tmp_path / "store")
    stored = [store.transition(slot) for slot in store.live_slots()]
    assert [s.sequence for s in stored] == [s.sequence for s in sent]
    for ours, theirs in zip(stored, sent):
        np.testing.assert_array_equal(ours.frames["wrist"], theirs.frames["wrist"])
        assert ours.reward == (0.0 if theirs.is_last else np.float32(theirs.reward))
    assert main(["bag", "transitions", str(bag), str(tmp_path / "store")]) == 2
    assert "exists already" in capsys.readouterr().err


def test_the_same_recording_twice_is_refused(tmp_path, capsys):
    bag = str(recorded_run()[0])
    assert main(["bag", "transitions", bag, bag, str(tmp_path / "store")]) == 2
    assert "none of its steps could be stored" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []  # nothing half-written


def test_rewards_are_relabelled_when_asked(tmp_path):
    bag, sent, config = recorded_run()
    minimum_time = config.model_copy(update={"task": config.task.model_copy(update={"reward": "minimum_time"})})
    dump(minimum_time, tmp_path / "other.yaml")
    command = ["bag", "transitions", str(bag), str(tmp_path / "store"), "--config", str(tmp_path / "other.yaml")]
    assert main([*command, "--relabel"]) == 0
    store = FrameStore.read(tmp_path / "store")
    rewards = {store.transition(slot).reward for slot in store.live_slots() if not store.transition(slot).is_last}
    assert rewards == {-1.0}


def test_training_on_a_run_leaves_a_run_folder(tmp_path, capsys):
    bag = str(recorded_run()[0])
    assert main(["learn", bag, "--updates", "20", f"run.folder={tmp_path}", "--json"]) == 0
    (folder,) = tmp_path.iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["updates"] == 20 and summary["steps"] > 40
    with Checkpoints(folder / "checkpoints", agent_of(recorded_run()[2])) as saved:
        assert saved.latest() == 20
    assert FrameStore.read(folder / "replay").valid_count > 20


@on_g1
def test_training_on_a_real_robot_lowers_the_loss_on_held_out_steps(tmp_path):
    small = ["agent.hidden=[32]", "agent.conv_channels=[4,4,4,4]", "replay.batch_size=32", "bag.reward=end"]
    command = ["learn", str(DATA / "g1_pick_bottle"), "--config", str(G1), "--updates", "150"]
    assert main([*command, *small, f"run.folder={tmp_path}"]) == 0
    (folder,) = tmp_path.iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["steps"], summary["episodes"], summary["held_out"]) == (498, 2, 50)
    assert summary["held_out_critic_loss_last"] < 0.5 * summary["held_out_critic_loss_first"]
    out = tmp_path / "out"
    command = ["recompute", str(DATA / "g1_pick_bottle"), "--config", str(folder / "config.yaml")]
    assert main([*command, "--checkpoint", str(folder), "--out", str(out)]) == 0
    assert len(rows_of(out)) == 496 and "Most surprising" in (out / "report.html").read_text()
