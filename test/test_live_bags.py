"""Real processes: a recorded run is the run, and a real robot's recording goes through the same actor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bag_cases import DATA
from live_system import System, leftovers, tiny_config

from jsac_ros.bags.identity import compare
from jsac_ros.bags.reader import Bag
from jsac_ros.bags.recorded_run import configuration_of
from jsac_ros.bags.transitions import open_steps
from jsac_ros.config import dump, load
from jsac_ros.replay.store import FrameStore

pytestmark = pytest.mark.timeout(400)
SECONDS = 10
G1 = Path(__file__).resolve().parent.parent / "config" / "g1_shadow.yaml"


def test_a_recorded_run_is_the_run(tmp_path):
    system = System(tiny_config(tmp_path, bag__record=True), "--duration", str(SECONDS))
    try:
        assert system.join(SECONDS + 150) == 0, system.words()
        sent = system.summary()["transitions"]["sent"]
        with Bag(system.folder) as bag:
            assert not bag.damage
            for topic in ("safety_status", "control_status", "applied_action", "policy_info", "policy_parameters"):
                assert bag.topic(topic).count > 0, topic
            result = compare(bag, configuration_of(bag))
    finally:
        system.close()
    assert result.lost == 0 and result.observations_missing == 0
    # The mailbox keeps the latest policy only: a recorder on a busy machine may miss one, and says for how many steps.
    assert result.actions_missing <= 0.2 * result.steps
    assert result.steps == result.observations_equal == result.rewards_equal == sent > 20
    assert result.actions_compared > 20 and result.actions_max_abs_diff < 1e-5, result.first_difference
    assert leftovers() == []


@pytest.mark.skipif(not (DATA / "g1_pick_bottle").is_dir(), reason="the recordings in ../shared/data are not here")
def test_every_frame_of_a_real_robot_reaches_replay(tmp_path):
    """In shadow mode: nothing is commanded, what was recorded is learned from."""
    overrides = {
        "run.name": "shadow", "run.folder": str(tmp_path / "runs"), "bag.path": str(DATA / "g1_pick_bottle"),
        "bag.rate": 2.0, "agent.conv_channels": (4, 4, 4, 4), "agent.latent_dim": 8, "agent.hidden": (16,),
        "replay.batch_size": 8,
    }  # fmt: skip
    config = load(G1, overrides)
    dump(config, tmp_path / "config.yaml")
    system = System(tmp_path / "config.yaml")
    try:
        assert system.join(250) == 0, system.words()
        summary, store = system.summary(), FrameStore.read(system.folder / "replay")
    finally:
        system.close()
    assert summary["transitions"] == {"sent": 498, "received": 498, "lost": 0}
    assert summary["episodes"] == 2 and summary["updates"] > 20
    assert system.counts["policy_command"] == system.counts["applied_action"] == 0
    with Bag(DATA / "g1_pick_bottle") as bag:
        offline = [remade.step for remade in open_steps(bag, config)]
    live = [store.step(slot) for slot in store.live_slots()]
    assert [(s.episode, s.step, s.is_last) for s in live] == [(s.episode, s.step, s.is_last) for s in offline]
    for ours, theirs in zip(live, offline, strict=True):
        np.testing.assert_array_equal(ours.frame, theirs.frame)
    # Which command is the newest at a frame is up to the network; it may come late on a busy machine.
    same = [np.array_equal(ours.action, theirs.action) for ours, theirs in zip(live, offline, strict=True)]
    assert np.mean(same) > 0.5
    assert leftovers() == []
