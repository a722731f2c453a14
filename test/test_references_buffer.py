"""The buffer of the compiled loop: what comes out is what went in, drawn as often as it should be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsac_ros.agent.update import check_batch
from jsac_ros.config import ReplayConfig
from jsac_ros.references import buffer as replay
from jsac_ros.references.environments.environment import state_spaces

SPACES = state_spaces(observation=2)


def filled(config: ReplayConfig, count: int, environments: int = 4) -> replay.Buffer:
    """Transition i: observation [i, 0], action i / 10, reward -i, mask 0 at every third, next [i + 1, 0]."""
    buffer = replay.create(config, SPACES, environments)
    for begin in range(0, count, environments):
        i = jnp.arange(begin, begin + environments, dtype=jnp.float32)
        nothing = jnp.zeros_like(i)
        buffer = replay.add(
            buffer, jnp.stack([i, nothing], 1), i[:, None] / 10, -i, (i % 3 != 0).astype(jnp.float32),
            jnp.stack([i + 1, nothing], 1),
        )  # fmt: skip
    return buffer


@pytest.mark.parametrize("sampler", ["uniform", "prioritised"])
@pytest.mark.parametrize("count, kept", [(40, range(40)), (200, range(72, 200))])
def test_samples_are_whole_transitions_of_those_kept(sampler, count, kept):
    config = ReplayConfig(capacity=128, batch_size=256, sampler=sampler)
    batch = replay.sample(filled(config, count), jax.random.PRNGKey(0), config, SPACES, 0.9, jnp.int32(0))
    i = np.asarray(batch.vectors["state"][:, 0])
    assert set(i) <= set(kept) and len(set(i)) > 0.5 * len(kept)
    np.testing.assert_array_equal(batch.next_vectors["state"][:, 0], i + 1)
    np.testing.assert_allclose(batch.action["action"][:, 0], i / 10, rtol=1e-6)
    np.testing.assert_array_equal(batch.reward, -i)
    np.testing.assert_allclose(batch.discount, 0.9 * (i % 3 != 0), rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(batch.index) % 128, i % 128)
    check_batch(batch, SPACES, n_step=1)


def test_priorities_are_drawn_in_proportion_and_weighed_against():
    """P(i) = p_i / sum p with p = (|error| + floor)^alpha; w = (n P)^-beta over the largest (Schaul et al., 2016)."""
    config = ReplayConfig(capacity=128, batch_size=128, sampler="prioritised", priority_beta_steps=100)
    buffer = filled(config, 100)
    error = np.linspace(0.0, 5.0, 100).astype(np.float32)
    buffer = replay.learned(buffer, jnp.arange(100), jnp.asarray(error), config.priority_alpha)
    draw = jax.jit(lambda key, drawn: replay.sample(buffer, key, config, SPACES, 0.9, drawn))
    expected = (error + replay.PRIORITY_FLOOR) ** config.priority_alpha
    expected /= expected.sum()
    counts = np.zeros(100)
    for seed in range(200):
        counts += np.bincount(np.asarray(draw(jax.random.PRNGKey(seed), jnp.int32(0)).index), minlength=100)
    assert np.abs(counts / counts.sum() - expected).max() < 0.002
    for drawn, beta in ((0, 0.4), (50, 0.7), (100, 1.0), (1000, 1.0)):
        batch = draw(jax.random.PRNGKey(0), jnp.int32(drawn))
        weight = (100 * expected[np.asarray(batch.index)]) ** -beta
        np.testing.assert_allclose(batch.weight, weight / weight.max(), rtol=1e-3)


def test_new_transitions_get_the_largest_priority():
    config = ReplayConfig(capacity=128, batch_size=8, sampler="prioritised")
    buffer = filled(config, 64)
    buffer = replay.learned(buffer, jnp.arange(64), jnp.full(64, 9.0).at[1:].set(0.0), config.priority_alpha)
    buffer = replay.add(buffer, *(jnp.zeros((4, n)) for n in (2, 1)), jnp.zeros(4), jnp.ones(4), jnp.zeros((4, 2)))
    priority = np.asarray(buffer.priority).reshape(-1)
    np.testing.assert_allclose(priority[64:68], (9.0 + replay.PRIORITY_FLOOR) ** 0.6, rtol=1e-5)
    np.testing.assert_allclose(buffer.priority_sum, buffer.priority.sum(axis=1), rtol=1e-5)


def test_a_capacity_that_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match="replay.capacity is 100; expected a multiple of 3"):
        replay.create(ReplayConfig(capacity=100), SPACES, 3)
    with pytest.raises(ValueError, match="replay.capacity is 100"):
        replay.create(ReplayConfig(capacity=100, sampler="prioritised"), SPACES, 4)
