"""A scripted person over the real topics: demonstrations are recorded, then a policy that knows nothing is helped."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from live_system import System, leftovers, tiny_config

from jsac_ros.replay.demonstrations import episodes_of
from jsac_ros.replay.interventions import FOLDER
from jsac_ros.replay.store import FrameStore

pytestmark = pytest.mark.timeout(300)
LIFT = Path(__file__).resolve().parent.parent / "config" / "lift.yaml"
SMALL = {
    "run.name": "live", "agent.conv_channels": (4, 4, 4, 4), "agent.latent_dim": 8, "agent.hidden": (16,),
    "replay.capacity": 2000, "replay.batch_size": 16, "replay.warmup_steps": 10, "learner.checkpoint_period_s": 1.0,
    "realtime.learner_nice": 0, "realtime.replay_nice": 0, "task.reset_s": 0.5, "sim.joint_rate_hz": 125.0,  # two cores hold no more in real time
}  # fmt: skip
DEMO = (sys.executable, "-m", "jsac_ros", "demo")


def rows_of(folder):
    store = FrameStore.read(folder)
    rows, episodes = store.records[store.live_slots()].copy(), episodes_of(store)
    store.close()
    return rows, episodes


def test_demonstrations_then_help_that_is_learned_from_and_outlives_a_kill(tmp_path):
    demo = System(tiny_config(tmp_path, LIFT, SMALL), "--expert", "--episodes", "2", command=DEMO)
    try:
        assert demo.join(120) == 0, demo.words()
        shown = demo.folder / "demonstrations"
        rows, episodes = rows_of(shown)
        assert len(episodes) == 2 and all(e.is_complete and e.success and e.episode_return == 1.0 for e in episodes)
        assert rows["intervened"][~rows["is_last"]].all()
        assert all(int(row["intervened_steps"]) == int(row["steps"]) for row in demo.table("episodes.csv"))
    finally:
        demo.close()
    helped = {
        "person__by": "intervener",
        "replay__demonstrations": str(shown),
        "run__folder": str(tmp_path / "helped" / "runs"),
    }
    (tmp_path / "helped").mkdir()
    system = System(tiny_config(tmp_path / "helped", LIFT, SMALL, **helped))
    try:
        system.wait_until("a person helps", lambda: system.latest["replay_status"].intervened > 8)
        system.wait_until("what helped is learned from", lambda: system.latest["training_status"].updates > 5)
        before = system.latest["replay_status"].intervened
        for name in ("replay", "learner", "scripted_person", "actor", "sim_robot", "safety"):
            system.kill(name)
            time.sleep(0.5)
        system.forget()
        # Safety comes back latched: a person looks and releases it.
        system.wait_until("it is latched", lambda: system.latest["safety_status"].emergency_stop)
        assert system.call("safety/release").success
        system.wait_until("it continues", lambda: system.latest["replay_status"].intervened > before)
        helped = lambda: sum(int(row["interventions"]) for row in system.table("episodes.csv"))
        system.wait_until("an episode with help is over", lambda: helped() > 0)
        assert system.end() == 0, system.words()
        kept, _ = rows_of(system.folder / "replay" / FOLDER)
        stored, _ = rows_of(system.folder / "replay")
        chosen = stored[stored["intervened"]]
        known = set(zip(kept["session"].tolist(), kept["sequence"].tolist()))
        assert known >= set(zip(chosen["session"].tolist(), chosen["sequence"].tolist())), "every step of a person's"
        assert 0 < np.count_nonzero(stored["intervened"]) < len(stored), "the policy acted as well"
    finally:
        system.close()
    assert leftovers() == []
