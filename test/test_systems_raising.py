"""A whole system whose task raises in the middle of an episode."""

import os
from pathlib import Path

import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from live_system import System, tiny_config

from jsac_ros.replay.store import FrameStore


@pytest.mark.timeout(180)
def test_a_task_that_raises_leaves_the_robot_at_rest_and_the_episode_closed(tmp_path, monkeypatch):
    here = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(here))
    system = System(tiny_config(tmp_path, task__type="raising_cases:Raises"))
    try:
        system.wait_until("the actor has stopped", lambda: system.latest["control_status"].state == "stopped")
        reason = system.latest["control_status"].reason
        assert "task 'raising_cases:Raises': KeyError: 'no gauge' (" in reason and "raising_cases.py:" in reason
        system.wait_until("every transition is stored", lambda: system.latest["control_status"].unacknowledged == 0)
        system.wait_until("the robot is at rest", lambda: system.speed < 1e-3, 20)
        assert system.end() == 0, system.words()
        store = FrameStore.read(system.folder / "replay")
        last = store.rows["is_last"][store.live_slots()]
        assert len(last) == 3 and last[-1] and not last[:-1].any(), "two scored steps, and the one that closes the episode"
    finally:
        system.close()
