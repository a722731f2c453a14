"""A full disk ends no node, neither while it runs nor at its end: each in this process, with a disk that takes nothing."""

import io
import random
import sys

import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from full_disk import files_of_at_most
from fuzz_nodes import rounds, started, unforeseen


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Is put back afterwards."""
    for name in ("ROS_DOMAIN_ID", "JSAC_RUN_FOLDER", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.setenv(name, "0")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["actor of a recording", "safety", "replay", "reporter", "dashboard"])
def test_a_full_disk_ends_no_node(name, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())  # a process drops what it cannot say, see `output`
    with started(name, tmp_path) as node, unforeseen() as found:
        with files_of_at_most(1):
            rounds(name, node, 0, 30, random.Random(0))
            for timer in node.timers:
                timer.callback()
            node.close()
        node.close = lambda: None  # once
        assert found == [] and not [topic for topic in node.refusals.count if topic.startswith("timer")]
        assert not node.stop.is_set() or name in ("actor of a recording", "replay")  # whose thread is asked to end
        assert node.exit_code == 0
