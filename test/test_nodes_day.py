"""A day of messages at speed, without a stranger: what each node keeps in memory stays as it was after the first minutes.

Of the reporter, whose rows and files grow by design, `test_report_day.py` says the same with its files.
"""

import gc
import random
import time

import jax
import numpy as np
import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from fuzz_nodes import CASES, Case, rounds, started

from jsac_ros import parameters
from jsac_ros.dashboard import hub
from jsac_ros.replay import names
from jsac_ros.replay.ring import BatchRing
from jsac_ros.training.setup import setup
from jsac_ros.types import batch_layout

HELD = 20  # in the place of the lengths that fill up in a minute or more
# node -> rounds of messages before the first look and until the second
NODES = {"actor": (60, 100)} | dict.fromkeys(
    ("safety", "replay", "dashboard", "scripted person", "gamepad", "leader"), (150, 300)
)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Is put back afterwards."""
    for name in ("ROS_DOMAIN_ID", "JSAC_RUN_FOLDER", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.setenv(name, "0")
    for name in hub.MOST:
        monkeypatch.setitem(hub.MOST, name, HELD)


def count_objects():
    """That may hold others: messages, rows, arrays of them; what Python's collector knows."""
    gc.collect()
    return len(gc.get_objects())


@pytest.mark.parametrize("name", NODES)
def test_a_days_messages_leave_nothing_in_memory(name, tmp_path):
    rng, (first, more) = random.Random(0), NODES[name]
    with started(name, tmp_path) as node:
        if sender := getattr(node, "sender", None):
            sender.outbox._limit = HELD  # of transitions that nobody acknowledges
        rounds(name, node, 0, first, rng)
        before = count_objects()
        rounds(name, node, first, more, rng)
        assert count_objects() - before < more / 2


def acknowledge(sender):
    """All that has been sent, as replay does."""
    sender._publish(sender.outbox.acknowledge(sender.outbox._unsent, resend=False))


def called_each_second(node):
    for timer in node.timers:
        timer.callback()


def test_a_days_updates_leave_nothing_in_memory_and_a_bounded_folder(tmp_path, monkeypatch):
    """The learner's own loop, on batches of random numbers, with a checkpoint whenever there is time for one."""
    values = {
        "run.name": "day", "task.type": "shadow", "robot.interface": "none", "actions.arm.type": "joint_velocity",
        "agent.hidden": (8,), "replay.batch_size": 4, "learner.checkpoint_period_s": 0.1, "learner.keep_checkpoints": 2,
    }  # fmt: skip
    monkeypatch.setitem(CASES, "learner", Case("learner:Learner", values))
    rng, held = np.random.default_rng(0), []
    with started("learner", tmp_path) as node:
        ring = BatchRing.create(names.batches("day"), batch_layout(node.spaces, 4), 2)
        try:
            node._worker.start()
            for number in range(1001):
                slot = ring.fill(30.0)
                for field in slot.batch.fields.values():
                    field[...] = rng.random(field.shape).astype(field.dtype)
                ring.publish()
                if number % 25 == 0:
                    called_each_second(node)
                if number % 100 == 0:
                    held.append((count_objects(), len(jax.live_arrays())))
        finally:
            node.close()
            ring.close()
            node.close = lambda: None  # once
        (objects, arrays), (objects_later, arrays_later) = (map(min, zip(*part)) for part in (held[1:4], held[-3:]))
        assert node.learner.updates > 900 and objects_later - objects < 400 and arrays_later - arrays < 100  # over 600 updates
        assert node.checkpoints.latest() > 900 and len(list((tmp_path / "checkpoints").glob("[0-9]*"))) == 2


def test_a_days_steps_of_an_environment_leave_nothing_in_memory(tmp_path, monkeypatch):
    """Its own loop, with a policy; everything that it sends is acknowledged."""
    made = setup("Pendulum-v1", {"agent": {"hidden": (8,)}, "train": {"steps": 10**9, "evaluate_every": 10**9}})
    case = Case("environment:Environment", parameters.to_parameters(made.config), spaces=made.spaces)
    monkeypatch.setitem(CASES, "environment", case)
    held = []
    with started("environment", tmp_path) as node:
        node.acting.take(np.zeros(node.acting._count, np.float32), 1, time.time_ns())
        node._worker.start()
        deadline = time.monotonic() + 30
        for steps in (600, 1800):
            while node.steps < steps:
                assert node._worker.is_alive() and time.monotonic() < deadline
                acknowledge(node.sender)
                called_each_second(node)
                time.sleep(0.01)
            held.append(count_objects())
        node.stop.set()
        while node._worker.is_alive():
            acknowledge(node.sender)
        assert held[1] - held[0] < 600
