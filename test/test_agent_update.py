"""The update as a whole: modes, options, refusal of wrong batches, and what a batch that is not finite does."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from agent_cases import SPECS, compiled_update, random_batch, small_config

from jsac_ros.agent.state import create
from jsac_ros.agent.update import stacks
from jsac_ros.config import smallest_image
from jsac_ros.types import Spec


def same(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def host(tree):
    """A copy that survives donation."""
    return jax.tree.map(np.array, tree)


@pytest.mark.parametrize("mode", SPECS)
def test_every_mode_moves_every_parameter(mode):
    spec, config = SPECS[mode], small_config()
    state = create(config, spec, seed=1)
    before = host(state)
    state, metrics = compiled_update(config, spec)(state, random_batch(spec))
    assert metrics["td_error"].shape == (8,)
    assert all(np.isfinite(value).all() for value in metrics.values())
    for part in ("critic", "actor", "log_alpha"):
        old, new = jax.tree.leaves(getattr(before, part).params), jax.tree.leaves(getattr(state, part).params)
        assert all(not np.array_equal(a, b) for a, b in zip(old, new, strict=True))
    assert not same(before.target, state.target)
    assert (int(state.step), int(state.skipped)) == (1, 0)


@pytest.mark.parametrize(
    ("field", "value"), [("reward", np.nan), ("action", np.inf), ("proprioception", np.nan), ("weight", np.inf)]
)
def test_batch_that_is_not_finite_changes_nothing_and_is_counted(field, value):
    spec, config = SPECS["both"], small_config()
    update = compiled_update(config, spec)
    state, _ = update(create(config, spec, seed=1), random_batch(spec))
    before = host(state)
    batch = random_batch(spec, seed=2)
    getattr(batch, field).flat[3] = value
    state, metrics = update(state, batch)
    assert int(metrics["skipped"]) == int(metrics["skipped_in_a_row"]) == 1
    for part in ("critic", "actor", "log_alpha", "target"):
        assert same(getattr(before, part), getattr(state, part)), part
    assert not np.array_equal(before.key, state.key)
    state, metrics = update(state, random_batch(spec, seed=3))
    assert (int(metrics["skipped"]), int(metrics["skipped_in_a_row"]), int(state.step)) == (1, 0, 3)
    assert not same(before.critic, state.critic)


def test_stack_puts_the_oldest_frame_first():
    frames = np.arange(2 * 4 * 3 * 2 * 3, dtype=np.uint8).reshape(2, 4, 3, 2, 3)
    image, following = stacks(frames, 3)
    for s in range(3):
        np.testing.assert_array_equal(image[..., 3 * s : 3 * s + 3], frames[:, s])
        np.testing.assert_array_equal(following[..., 3 * s : 3 * s + 3], frames[:, s + 1])


def test_smallest_image_of_the_published_encoder_is_31_and_smaller_is_refused():
    config = small_config(conv_channels=(4, 4, 4, 4), conv_strides=(2, 2, 2, 1))
    assert smallest_image(config) == 31
    create(config, Spec(31, 31, 1, 1, 0, 2), seed=0)
    with pytest.raises(ValueError, match=r"image 27x48: expected at least 31x31.*strides \[2, 2, 2, 1\]"):
        create(config, Spec(27, 48, 1, 1, 0, 2), seed=0)


def test_observation_without_anything_is_refused():
    with pytest.raises(ValueError, match="observation is empty"):
        create(small_config(), Spec(0, 0, 3, 1, 0, 2), seed=0)


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("frames", lambda x: x.astype(np.float32), r"batch.frames is float32\[8, 3, 17, 19, 3\]; expected uint8"),
        ("frames", lambda x: x[..., :1], r"batch.frames is uint8\[8, 3, 17, 19, 1\]; .*\[8, 3, 17, 19, 3\]"),
        ("reward", lambda x: x[:, None], r"batch.reward is float32\[8, 1\]; expected float32\[8\]"),
        ("action", lambda x: x[:, :2], r"batch.action is float32\[8, 2\]; expected float32\[8, 3\]"),
    ],
)
def test_wrong_batch_is_refused_naming_both(field, change, message):
    spec, config = SPECS["both"], small_config()
    batch = random_batch(spec)
    with pytest.raises(ValueError, match=message):
        compiled_update(config, spec)(create(config, spec, 0), batch._replace(**{field: change(getattr(batch, field))}))
