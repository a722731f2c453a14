"""A checkpoint holds everything: what was restored continues to the bit, and anything else is refused."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from agent_cases import ACTIONS, VECTORS, agent_of, compiled_update, random_batch, same, small
from full_disk import files_of_at_most

from jsac_ros.agent import build
from jsac_ros.agent.checkpoint import CheckpointError, Checkpoints
from jsac_ros.spaces import Spaces

AGENT = agent_of("vectors")


@pytest.fixture
def saved(tmp_path):
    """A folder with the checkpoint of a fresh state."""
    with Checkpoints(tmp_path, AGENT) as checkpoints:
        checkpoints.save(AGENT.init(0), {})
    return tmp_path


def restore(folder, agent=AGENT):
    with Checkpoints(folder, agent) as checkpoints:
        return checkpoints.restore()


def after(state, batches):
    for seed in batches:
        state, metrics = compiled_update(AGENT)(state, random_batch(AGENT.spaces, seed=seed))
    return state, metrics


def test_many_updates_after_a_restore_are_bit_identical(tmp_path):
    """`test_agent_product.py` has one update for every algorithm and observation."""
    state, _ = after(AGENT.init(0), range(3))
    with Checkpoints(tmp_path, AGENT) as checkpoints:
        checkpoints.save(state, {"replay_next": 17, "episodes": 2})
        state, metrics = after(state, range(3, 6))  # while it is being written; the saved buffers are donated
    restored, counters = restore(tmp_path)
    assert counters == {"replay_next": 17, "episodes": 2} and int(restored.step) == 3
    restored, again = after(restored, range(3, 6))
    assert same(state, restored) and same(metrics, again)


def test_only_the_newest_are_kept_and_any_of_them_can_be_had(tmp_path):
    state = AGENT.init(0)
    with Checkpoints(tmp_path, AGENT, keep=2) as checkpoints:
        for step in (1, 2, 3):
            state = state.replace(step=np.int32(step))
            checkpoints.save(state, {})
        checkpoints.save(state, {})  # the same step again
    with Checkpoints(tmp_path, AGENT, keep=2) as checkpoints:
        assert sorted(int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()) == [2, 3]
        assert int(checkpoints.restore(2)[0].step) == 2
        with pytest.raises(CheckpointError, match=r"/1: cannot be read"):
            checkpoints.restore(1)


OTHERS = {
    "shapes": (small(latent_dim=9, hidden=(15,)), AGENT.spaces, r"params\['actor'\]\['log_std'\]\['kernel'\] is float32\[16, 3\]"),
    "algorithm": (small("sac_v"), AGENT.spaces, "agent.type jsac; expected sac_v"),
    "name": (
        small(), Spaces.of((), [replace(VECTORS[0], name="tool_position"), VECTORS[1]], ACTIONS),
        "observation 'tool_position' is missing; expected",
    ),
    "size": (small(), Spaces.of((), [replace(VECTORS[0], size=4), VECTORS[1]], ACTIONS),
             r"observation 'joint_position' is \[3\]; expected \[4\]"),
}  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
def test_checkpoint_of_another_agent_is_refused_naming_both(saved, other):
    parameters, spaces, message = OTHERS[other]
    with pytest.raises(CheckpointError, match="/0: " + message) as error:
        restore(saved, build(parameters, spaces))
    assert "\n" not in str(error.value)


def test_half_written_checkpoint_is_not_seen(saved):
    (saved / "9.orbax-checkpoint-tmp-0").mkdir()
    with Checkpoints(saved, AGENT) as checkpoints:
        assert checkpoints.latest() == 0


def test_the_format_before_is_refused_in_one_line(saved):
    (about,) = saved.glob("0/about/metadata")
    old = {"format": 1, "arrays": {}, "spec": {"height": 0}, "agent": {"algorithm": "jsac"}, "counters": {}}
    about.write_text(json.dumps(old))
    with pytest.raises(CheckpointError, match="/0: format 1; expected 2$"):
        restore(saved)


@pytest.mark.parametrize("lost", ["format", "agent", "spaces", "arrays", "counters", "everything"])
def test_a_damaged_about_is_refused_in_one_line(saved, lost):
    (file,) = saved.glob("0/about/metadata")
    about = json.loads(file.read_text())
    file.write_text("[]" if lost == "everything" else json.dumps({name: about[name] for name in about if name != lost}))
    with pytest.raises(CheckpointError, match="/0: (about is damaged|format missing|format None)") as error:
        restore(saved)
    assert "\n" not in str(error.value)


def test_empty_folder_is_named(tmp_path):
    with Checkpoints(tmp_path, AGENT) as checkpoints:
        assert checkpoints.latest() is None
        with pytest.raises(CheckpointError, match="none there"):
            checkpoints.restore()


def test_a_write_that_fails_costs_no_whole_one_and_is_tried_again(tmp_path):
    """As on a full disk: no file takes more than so many bytes."""
    with Checkpoints(tmp_path, AGENT) as checkpoints:
        checkpoints.save(at(1), {"batches": 1})
        checkpoints._manager.wait_until_finished()
        with files_of_at_most(1000):
            checkpoints.save(at(2), {})  # fails in the background
            for step in (3, 4):
                with pytest.raises(CheckpointError, match="cannot be written: .*File too large"):
                    checkpoints.save(at(step), {})
            while checkpoints._manager.is_saving_in_progress():
                time.sleep(0.01)
        assert checkpoints.latest() == 1
        with pytest.raises(CheckpointError):  # of the fourth; the sixth is written
            checkpoints.save(at(6), {"batches": 6})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "6"]
    with Checkpoints(tmp_path, AGENT) as checkpoints:
        state, counters = checkpoints.restore()
        assert int(state.step) == 6 and counters == {"batches": 6} and checkpoints.restore(1)[1] == {"batches": 1}


def at(step):
    return AGENT.init(0).replace(step=np.int32(step))
