"""A checkpoint holds everything: what was restored continues to the bit, and anything else is refused."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from agent_cases import SPECS, compiled_update, random_batch, small_config

from jsac_ros.agent.checkpoint import CheckpointError, Checkpoints
from jsac_ros.agent.state import create

SPEC, CONFIG = SPECS["both"], small_config()


def after(state, batches):
    for seed in batches:
        state, metrics = compiled_update(CONFIG, SPEC)(state, random_batch(SPEC, seed=seed))
    return state, metrics


def identical(a, b) -> bool:
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        np.array_equal(x, y) and x.dtype == y.dtype for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def test_next_updates_after_a_restore_are_bit_identical(tmp_path):
    state, _ = after(create(CONFIG, SPEC, 0), range(3))
    with Checkpoints(tmp_path, CONFIG, SPEC) as checkpoints:
        checkpoints.save(state, {"replay_next": 17, "episodes": 2})
        state, metrics = after(state, range(3, 6))  # while it is being written; the saved buffers are donated
    with Checkpoints(tmp_path, CONFIG, SPEC) as checkpoints:
        assert checkpoints.latest() == 3
        restored, counters = checkpoints.restore()
    assert counters == {"replay_next": 17, "episodes": 2}
    assert int(restored.step) == 3
    compiled = compiled_update(CONFIG, SPEC)._cache_size()
    restored, again = after(restored, range(3, 6))
    assert compiled_update(CONFIG, SPEC)._cache_size() == compiled  # resuming does not compile again
    assert identical(state, restored) and identical(metrics, again)


def test_only_the_newest_are_kept_and_any_of_them_can_be_had(tmp_path):
    state = create(CONFIG, SPEC, 0)
    with Checkpoints(tmp_path, CONFIG, SPEC, keep=2) as checkpoints:
        for step in (1, 2, 3):
            state = state.replace(step=np.int32(step))
            checkpoints.save(state, {})
        checkpoints.save(state, {})  # the same step again
    with Checkpoints(tmp_path, CONFIG, SPEC, keep=2) as checkpoints:
        assert sorted(int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()) == [2, 3]
        assert int(checkpoints.restore(2)[0].step) == 2
        with pytest.raises(CheckpointError, match=r"/1: cannot be read"):
            checkpoints.restore(1)


def test_checkpoint_of_other_shapes_is_refused_naming_both(tmp_path):
    with Checkpoints(tmp_path, CONFIG, SPEC) as checkpoints:
        checkpoints.save(create(CONFIG, SPEC, 0), {})
    other = small_config(latent_dim=9)
    message = r"/0: critic.*\['kernel'\] is float32\[3, 15, 16\]; expected float32\[3, 17, 16\]"
    with Checkpoints(tmp_path, other, SPEC) as checkpoints, pytest.raises(CheckpointError, match=message):
        checkpoints.restore()


def test_half_written_checkpoint_is_not_seen(tmp_path):
    with Checkpoints(tmp_path, CONFIG, SPEC) as checkpoints:
        checkpoints.save(create(CONFIG, SPEC, 0), {})
    (tmp_path / "9.orbax-checkpoint-tmp-0").mkdir()
    with Checkpoints(tmp_path, CONFIG, SPEC) as checkpoints:
        assert checkpoints.latest() == 0


def test_another_format_is_refused(tmp_path):
    with Checkpoints(tmp_path, CONFIG, SPEC) as checkpoints:
        checkpoints.save(create(CONFIG, SPEC, 0), {})
    (about,) = tmp_path.glob("0/about/metadata")
    about.write_text(json.dumps(json.loads(about.read_text()) | {"format": 99}))
    with Checkpoints(tmp_path, CONFIG, SPEC) as checkpoints:
        with pytest.raises(CheckpointError, match="format 99; expected 1"):
            checkpoints.restore()


def test_empty_folder_says_so(tmp_path):
    with Checkpoints(tmp_path, CONFIG, SPEC) as checkpoints:
        assert checkpoints.latest() is None
        with pytest.raises(CheckpointError, match="none there"):
            checkpoints.restore()
