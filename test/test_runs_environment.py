"""`jsac-ros train ENV --asynchronous`: a Gymnasium environment with the live system's learner and replay processes."""

import csv
import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
from live_system import environment, leftovers

import jsac_ros
from jsac_ros.replay.store import FrameStore

STEPS, WARMUP = 600, 200


@pytest.mark.timeout(200)
def test_an_environment_learns_with_processes_of_its_own(tmp_path):
    words = [
        "Pendulum-v1", "--asynchronous", "--steps", str(STEPS), f"run.folder={tmp_path}", "agent.hidden=[16]",
        "replay.batch_size=8", f"replay.warmup_steps={WARMUP}", "realtime.learner_nice=0", "run.name=gymnasium",
        "--evaluate-every", "500",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "jsac_ros", "train", *words],
        env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = tmp_path.iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    store = FrameStore.read(folder / "replay")
    steps = [store.transition(slot) for slot in store.live_slots()]
    assert len(steps) == STEPS + STEPS // 200, "every step, and one that closes each episode of 200"
    assert all(step.stamp_ns > 0 for step in steps) and list(store.spaces.observation) == ["state"]
    assert summary["transitions"] == {"sent": len(steps), "received": len(steps), "lost": 0}
    assert summary["episodes"] == 3 and summary["env_steps"] == STEPS
    # Steps that are not acknowledged are as far as acting goes ahead of `replay.min_updates_per_step: 1`.
    assert store.counters["batches"] >= STEPS - WARMUP - 110
    assert max(step.policy_version for step in steps) > 0, "it acted with what was learned"
    with (folder / "episodes.csv").open() as file:
        evaluated = [row for row in csv.DictReader(file) if row["evaluation"] == "1"]
    # Five at the end, and five after 500 steps where the learner's first policy was there by then.
    assert len(evaluated) in (5, 10) and {row["steps"] for row in evaluated} == {"200"}
    assert [row["env_steps"] for row in evaluated[-5:]] == [str(STEPS)] * 5
    if importlib.util.find_spec("pygame"):
        assert (folder / "video.mp4").stat().st_size > 1000
    else:  # with which this environment draws
        assert "no film: " in (folder / "logs" / "environment.log").read_text()
    assert (folder / "learning_curve.png").exists()
    action = jsac_ros.load(folder / "policy")(np.zeros(3, np.float32))
    assert np.abs(action["action"]).max() <= 1.0
    assert leftovers() == []


def test_an_unknown_environment_is_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "jsac_ros", "train", "Nowhere-v9", "--asynchronous", f"run.folder={tmp_path}"],
        env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2 and "Nowhere-v9" in done.stderr and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
