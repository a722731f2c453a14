"""Two actors, replay and a learner, each killed again and again: nothing acknowledged is lost, no batch is wrong.

JSAC_SOAK_S=120 makes it as long as a release asks for.
"""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import domains
import numpy as np
import pytest
from replay_cases import same
from replay_soak import EPISODE, SPACES, fingerprint, made

from jsac_ros.parameters import dump, from_parameters
from jsac_ros.replay import names
from jsac_ros.replay.interventions import FOLDER
from jsac_ros.replay.store import FrameStore
from jsac_ros.rig import write_spaces
from jsac_ros.supervision import STOP

SOAK_S = float(os.environ.get("JSAC_SOAK_S", 20))
DOMAIN = domains.take()
DISCOUNT = 0.99
HERE = Path(__file__).parent


@pytest.fixture
def processes(tmp_path, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("JSAC_RUN_FOLDER", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))
    config = from_parameters({
        "run": {"name": f"soak{os.getpid()}"}, "agent": {"type": "replay_plugins:Algorithm"},
        "replay": {
            "capacity": 60_000, "batch_size": 16, "warmup_steps": 10, "sampler": "prioritised", "priority_alpha": 0.0,
        },
    }, kinds=("agent",))  # fmt: skip
    write_spaces(tmp_path, SPACES)
    dump(config, tmp_path / "config.yaml")
    soak = [sys.executable, str(HERE / "replay_soak.py")]
    commands = {
        "replay": [
            sys.executable,
            "-m",
            "jsac_ros.nodes.replay",
            "--ros-args",
            "--params-file",
            str(tmp_path / "config.yaml"),
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
    process.send_signal(STOP)
    assert process.wait(60) == 0


def wait_for_all(folder, running):
    """Until each of the processes that were started last has done its work: replay's is in the logs of the others."""
    logs = [folder / f"acknowledged_{robot}_{running[f'actor {robot}'].pid}" for robot in "ab"]
    logs.append(folder / f"consumed_{running['learner'].pid}")
    before = {log: size(log) for log in logs}
    deadline = time.monotonic() + 90
    while any(size(log) == before[log] for log in logs):
        for name, process in running.items():
            assert process.poll() is None, f"{name} died by itself"
        assert time.monotonic() < deadline, f"waited 90 s for {[log.name for log in logs if size(log) == before[log]]}"
        time.sleep(0.1)


def size(log):
    return log.stat().st_size if log.exists() else 0


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
    wait_for_all(tmp_path, running)
    for name in ("actor a", "actor b", "learner", "replay"):  # an actor ends when everything is acknowledged
        stop(running[name])
    assert not [entry for entry in os.listdir("/dev/shm") if config.run.name in entry]

    store = FrameStore.read(tmp_path / "replay")
    assert store.damaged() == [] and store.counters["lost"] == 0 and store.counters["refused"] == 0
    helped = FrameStore.read(tmp_path / "replay" / FOLDER)
    assert helped.damaged() == []
    held, identity = stored(store)
    chosen, identity_of_helped = stored(helped)
    identity |= {-number: row for number, row in identity_of_helped.items()}  # as in the index of a batch
    acknowledged = 0
    for log in tmp_path.glob("acknowledged_*"):
        _, robot, session = log.name.split("_")
        following = max((int(line) for line in log.read_text().splitlines()), default=0)
        present = held.get((robot, int(session)), set())
        assert present >= set(range(following)), f"acknowledged transitions missing of {log.name}"
        by_person = {k for k in range(following) if made(robot, int(session), k).intervened}
        assert chosen.get((robot, int(session)), set()) >= by_person, f"interventions missing of {log.name}"
        acknowledged += following
    consumed, consumed_helped = check_consumed(tmp_path, identity)
    print(
        f"{kills} kills, {acknowledged} acknowledged, {store.stored} stored, {consumed} consumed, "
        f"{consumed_helped} of them interventions"
    )
    assert acknowledged > 200 and consumed > 200 and consumed_helped > 20  # enough to have been killed in the middle of it


def stored(store):
    """Sequences held of every stream, and the identity of every row by its number; each is what was sent."""
    held, identity = {}, {}
    for slot in store.live_slots():
        t = store.transition(slot)
        assert same(t, made(t.robot, t.session, t.sequence))
        stream = (t.robot, t.session)
        assert t.sequence not in held.setdefault(stream, set()), "stored twice"
        held[stream].add(t.sequence)
        identity[int(store.rows["number"][slot])] = (*stream, t.sequence)
    return held, identity


def check_consumed(folder, identity):
    """Every row of every batch against the transitions that it must have come from. Returns how many there were, and
    how many of them from what a person did."""
    expected, count, helped = {}, 0, 0
    for log in folder.glob("consumed_*"):
        for line in log.read_text().splitlines():
            number, mark = map(int, line.split())
            if number not in expected:
                robot, session, sequence = identity[number]
                expected[number] = fingerprint_of(robot, session, sequence)
            assert mark == expected[number], f"row {number}, {identity[number]}, is not what it should be"
            count, helped = count + 1, helped + (number < 0)
    return count, helped


def fingerprint_of(robot, session, sequence):
    assert sequence % EPISODE < EPISODE - 1, "the end of an episode was sampled"
    before = made(robot, session, max(sequence - 1, sequence - sequence % EPISODE))
    t, following = made(robot, session, sequence), made(robot, session, sequence + 1)
    stacks = {"scene": (t, following), "wrist": (before, t, following)}
    return fingerprint(
        {f"frames/{name}": np.stack([one.frames[name] for one in stack]) for name, stack in stacks.items()}
        | {f"vectors/{name}": vector for name, vector in t.vectors.items()}
        | {f"next_vectors/{name}": vector for name, vector in following.vectors.items()}
        | {f"action/{name}": action for name, action in t.action.items()}
        | {"reward": t.reward, "discount": DISCOUNT * t.mask, "weight": 1.0}
    )
