"""Real processes: a recorded run is the run, and a real robot's recording goes through the same actor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bag_cases import DATA
from live_system import TINY, System, leftovers, tiny_config

from jsac_ros.bags.identity import compare
from jsac_ros.bags.reader import Bag
from jsac_ros.bags.recorded_run import configuration_of
from jsac_ros.bags.transitions import open_transitions
from jsac_ros.parameters import load
from jsac_ros.replay.store import FrameStore
from jsac_ros.rig import Rig

pytestmark = pytest.mark.timeout(400)
SECONDS = 8
G1 = Path(__file__).resolve().parent.parent / "config" / "g1_shadow.yaml"
CREATE = Path(__file__).resolve().parent.parent / "config" / "create_reacher.yaml"
TINY_NETWORK = {name: TINY[name] for name in ("agent.conv_channels", "agent.latent_dim", "agent.hidden", "replay.batch_size")}
TINY_BASE = TINY_NETWORK | {
    "run.name": "live", "task.episode_s": 1.0, "task.reset_s": 0.3, "task.settle_s": 0.0, "agent.n_step": 1,
    "replay.capacity": 5000, "replay.warmup_steps": 40, "realtime.learner_nice": 0,
}  # fmt: skip


def identity_of(config: Path, topics: tuple[str, ...]):
    """What a recorded run and its recording have in common; and how many transitions were sent."""
    system = System(config, "--duration", str(SECONDS))
    try:
        assert system.join(SECONDS + 150) == 0, system.words()
        sent = system.summary()["transitions"]["sent"]
        with Bag(system.folder) as bag:
            assert not bag.damage
            for topic in ("safety_status", "control_status", "applied_action", "policy_info", "policy_parameters", *topics):
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


def test_a_recorded_run_is_the_run(tmp_path):
    """Two cameras of one topic, of which the policy sees one and the task the other."""
    second = {
        "cameras__close__topic": "camera/image_raw", "cameras__close__height": 31, "cameras__close__width": 31,
        "cameras__close__source_height": 31, "cameras__close__source_width": 31, "cameras__close__crop": (2, 2, 27, 27),
    }  # fmt: skip
    observed = {"task__camera": "wrist", "task__observe": ("close",)}
    identity_of(tiny_config(tmp_path, bag__record=True, **second, **observed), ())


def test_a_recorded_run_of_a_mobile_base_is_the_run(tmp_path):
    identity_of(tiny_config(tmp_path, CREATE, TINY_BASE, bag__record=True), ("bumper", "battery_state", "cmd_vel"))


@pytest.mark.skipif(not (DATA / "g1_pick_bottle").is_dir(), reason="the recordings in ../shared/data are not here")
def test_every_frame_of_a_real_robot_reaches_replay(tmp_path):
    """In shadow mode: nothing is commanded, what was recorded is learned from, the same as offline."""
    values = TINY_NETWORK | {"run.name": "shadow", "bag.path": str(DATA / "g1_pick_bottle"), "bag.rate": 2.0}
    path = tiny_config(tmp_path, G1, values)
    system = System(path)
    try:
        assert system.join(250) == 0, system.words()
        summary, store = system.summary(), FrameStore.read(system.folder / "replay")
    finally:
        system.close()
    assert summary["transitions"] == {"sent": 498, "received": 498, "lost": 0}
    assert summary["episodes"] == 2 and summary["updates"] > 20
    assert system.counts["policy_command"] == system.counts["applied_action"] == 0
    with Bag(DATA / "g1_pick_bottle") as bag:
        offline = [remade.transition for remade in open_transitions(bag, Rig.of(load(path)))]
    live = [store.transition(slot) for slot in store.live_slots()]
    assert [(t.episode, t.step, t.is_last) for t in live] == [(t.episode, t.step, t.is_last) for t in offline]
    for ours, theirs in zip(live, offline, strict=True):
        np.testing.assert_array_equal(ours.frames["head"], theirs.frames["head"])
        np.testing.assert_array_equal(ours.action["body"], theirs.action["body"])
    assert leftovers() == []
