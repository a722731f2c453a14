"""Two actors, replay and a learner, each killed again and again: nothing acknowledged is lost, no batch is wrong.

JSAC_SOAK_S=120 makes it as long as a release asks for.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from replay_cases import same_step
from replay_soak import EPISODE, SPEC, fingerprint, step_of

from jsac_ros.config import dump, from_parameters, spec_of
from jsac_ros.replay import names
from jsac_ros.replay.store import FrameStore

SOAK_S = float(os.environ.get("JSAC_SOAK_S", 20))
DOMAIN = 120 + os.getpid() % 20
DISCOUNT = 0.99
HERE = Path(__file__).parent


@pytest.fixture
def processes(tmp_path, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("JSAC_RUN_FOLDER", str(tmp_path))
    config = from_parameters({
        "run": {"name": f"soak{os.getpid()}"}, "camera": {"height": 32, "width": 32},
        "task": {"stack": 2, "controlled_joints": 2},
        "replay": {
            "capacity": 60_000, "batch_size": 16, "warmup_steps": 10, "sampler": "prioritised", "priority_alpha": 0.0,
        },
    })  # fmt: skip
    assert spec_of(config, 6) == SPEC
    dump(config, tmp_path / "config.yaml")
    soak = [sys.executable, str(HERE / "replay_soak.py")]
    commands = {
        "replay": [
            sys.executable, "-m", "jsac_ros.nodes.replay", "--ros-args", "--params-file", str(tmp_path / "config.yaml"),
        ],
        "actor a": [*soak, "actor", str(tmp_path), "a"],
        "actor b": [*soak, "actor", str(tmp_path), "b"],
        "learner": [*soak, "learner", str(tmp_path), str(tmp_path / "config.yaml")],
    }
    running = {}

    def start(name):
        running[name] = subprocess.Popen(commands[name])

    yield config, start, running
    for process in running.values():
        process.kill()
        process.wait()
    names.remove_leftovers(config.run.name)


def stop(process):
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


@pytest.mark.timeout(SOAK_S + 240)
def test_nothing_acknowledged_is_lost_and_no_batch_is_wrong(processes, tmp_path):
    config, start, running = processes
    chance = random.Random(3)
    for name in ("replay", "learner", "actor a", "actor b"):
        start(name)
    until, kills = time.monotonic() + SOAK_S, 0
    while time.monotonic() < until:
        time.sleep(chance.uniform(0.5, 3.0))
        name = chance.choice(list(running))
        running[name].kill()
        running[name].wait()
        kills += 1
        start(name)
    time.sleep(3.0)  # the last ones started have work to do
    for name in ("actor a", "actor b", "learner", "replay"):  # an actor ends when everything is acknowledged
        assert running[name].poll() is None, f"{name} died by itself"
        stop(running[name])
    assert not [entry for entry in os.listdir("/dev/shm") if config.run.name in entry]

    store = FrameStore.read(tmp_path / "replay")
    assert store.damaged() == [] and store.counters["lost"] == 0 and store.counters["refused"] == 0
    held, identity = stored_steps(store)
    acknowledged = 0
    for log in tmp_path.glob("acknowledged_*"):
        _, robot, session = log.name.split("_")
        following = max((int(line) for line in log.read_text().splitlines()), default=0)
        present = held.get((robot, int(session)), set())
        assert present >= set(range(following)), f"acknowledged steps missing of {log.name}"
        acknowledged += following
    consumed = check_consumed(tmp_path, identity)
    print(f"{kills} kills, {acknowledged} steps acknowledged, {store.stored} stored, {consumed} transitions consumed")
    assert acknowledged > 200 and consumed > 200  # enough to have been killed in the middle of it


def stored_steps(store):
    """Sequences held of every stream, and the identity of every row by its number; each step is what was sent."""
    held, identity = {}, {}
    for slot in store.live_slots():
        step = store.step(slot)
        assert same_step(step, step_of(step.robot, step.session, step.sequence))
        stream = (step.robot, step.session)
        assert step.sequence not in held.setdefault(stream, set()), "stored twice"
        held[stream].add(step.sequence)
        identity[int(store.rows["number"][slot])] = (*stream, step.sequence)
    return held, identity


def check_consumed(folder, identity):
    """Every row of every batch against the two steps that it must have come from. Returns how many there were."""
    expected, count = {}, 0
    for log in folder.glob("consumed_*"):
        for line in log.read_text().splitlines():
            number, mark = map(int, line.split())
            if number not in expected:
                robot, session, sequence = identity[number]
                expected[number] = fingerprint_of(robot, session, sequence)
            assert mark == expected[number], f"row {number}, {identity[number]}, is not what it should be"
            count += 1
    return count


def fingerprint_of(robot, session, sequence):
    assert sequence % EPISODE < EPISODE - 1, "the end of an episode was sampled"
    before = step_of(robot, session, max(sequence - 1, sequence - sequence % EPISODE))
    step, following = step_of(robot, session, sequence), step_of(robot, session, sequence + 1)
    frames = np.stack([before.frame, step.frame, following.frame])
    return fingerprint(
        frames, step.proprioception, following.proprioception, step.action, step.reward, DISCOUNT * step.mask, 1.0
    )
