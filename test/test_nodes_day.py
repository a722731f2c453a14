"""A day of messages at speed, without a stranger: what each node keeps in memory stays as it was after the first minutes.

Of the reporter, whose rows and files grow by design, `test_report_day.py` says the same with its files.
"""

import gc
import random

import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from fuzz_nodes import rounds, started

from jsac_ros.dashboard import hub

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
