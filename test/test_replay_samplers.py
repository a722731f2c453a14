"""Prioritised sampling and demonstrations, on the same index as uniform sampling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replay_cases import SPACES, VARIANTS, make_episode, make_transition, with_stacks
from scipy import stats

from jsac_ros.config import ReplayConfig
from jsac_ros.replay.format import StoreError
from jsac_ros.replay.priorities import EPSILON, SumTree
from jsac_ros.replay.ring import Returned
from jsac_ros.replay.samplers import Sampler, open_demonstrations
from jsac_ros.replay.store import FrameStore
from jsac_ros.types import empty_batch

PRIORITISED = ReplayConfig(sampler="prioritised", batch_size=64, priority_alpha=0.7, priority_beta=0.5)


@settings(max_examples=100, deadline=None)
@given(size=st.integers(2, 70), data=st.data())
def test_the_tree_finds_what_a_running_sum_finds(size, data):
    leaves, tree = np.zeros(size), SumTree(size)
    for _ in range(data.draw(st.integers(1, 5))):
        slots = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=8, unique=True)))
        leaves[slots] = data.draw(st.lists(st.integers(0, 9), min_size=len(slots), max_size=len(slots)))
        tree.update(slots, leaves[slots])
    assert tree.total == leaves.sum()
    if tree.total:
        mass = np.arange(tree.total) + 0.5
        np.testing.assert_array_equal(tree.find(mass), np.searchsorted(np.cumsum(leaves), mass, side="right"))


def test_a_leaf_of_zero_is_never_found():
    tree = SumTree(8)
    tree.update(np.array([1, 4]), np.array([0.1, 0.2]))
    found = tree.find(np.array([0.0, np.nextafter(tree.total, 0), tree.total]))
    assert found.tolist() == [1, 4, 4]


def filled_store(folder, capacity=40, length=30):
    store = FrameStore.open(folder, SPACES, capacity)
    for transition in make_episode(length):
        store.append(transition)
    return store


def draw_counts(sampler, store, batches):
    batch, rng, counts = empty_batch(SPACES, 64), np.random.default_rng(2), np.zeros(store.capacity, int)
    for _ in range(batches):
        assert sampler.sample_into(rng, batch)
        counts += np.bincount((batch.index - 1) % store.capacity, minlength=store.capacity)
    return counts, batch


def test_rows_are_drawn_in_proportion_to_their_td_error(tmp_path):
    store = filled_store(tmp_path)
    sampler = Sampler(PRIORITISED, store, 1, 0.99)
    index = np.arange(1, 31)
    td_error = np.linspace(-3, 3, 30).astype(np.float32)
    sampler.feedback(Returned(index, td_error))
    counts, batch = draw_counts(sampler, store, 400)
    share = (np.abs(td_error.astype(float)) + EPSILON) ** 0.7
    assert stats.chisquare(counts[:30], share / share.sum() * counts.sum()).pvalue > 1e-3
    assert counts[30:].sum() == 0
    weights = (30 * share / share.sum())[batch.index - 1] ** -0.5
    np.testing.assert_allclose(batch.weight, weights / weights.max(), rtol=1e-5)
    store.close()


def test_beta_rises_to_one(tmp_path):
    store = filled_store(tmp_path)
    sampler = Sampler(PRIORITISED, store, 1, 0.99)
    sampler.feedback(Returned(np.arange(1, 31), np.linspace(0.1, 3, 30)))
    store.counters["batches"] = PRIORITISED.priority_beta_steps
    _, batch = draw_counts(sampler, store, 1)
    share = np.linspace(0.1, 3, 30)[batch.index - 1] ** 0.7
    np.testing.assert_allclose(batch.weight, share.min() / share, rtol=1e-3)
    store.close()


def test_new_rows_have_the_largest_priority_and_overwritten_ones_none(tmp_path):
    store = filled_store(tmp_path)
    sampler = Sampler(PRIORITISED, store, 1, 0.99)
    sampler.feedback(Returned(np.arange(1, 31), np.full(30, 1e-3)))
    stale = np.arange(1, 31)
    for transition in make_episode(12, 31, episode=1):
        store.append(transition)
    sampler.feedback(Returned(stale, np.full(30, 100.0)))  # rows 1 to 4 are other rows by now
    assert np.isnan(store.rows["priority"][:4]).all()
    counts, _ = draw_counts(sampler, store, 100)
    invalid = np.ones(40, bool)
    invalid[store.links.valid.slots] = False
    assert counts[invalid].sum() == 0
    assert counts[31:39].min() > 0  # of the new episode
    store.close()
    store = FrameStore.open(tmp_path, SPACES, 40)  # priorities are kept on disk
    assert store.rows["priority"][10] == pytest.approx(100.0)
    store.close()


def test_a_damaged_priority_is_none(tmp_path):
    store = filled_store(tmp_path)
    store.set_priorities(np.arange(1, 31), np.ones(30, np.float32))
    store.rows["priority"][3] = 1e38  # a flipped bit of its exponent
    sampler = Sampler(PRIORITISED, store, 1, 0.99)
    counts, _ = draw_counts(sampler, store, 100)
    assert 0 < counts[3] < 3 * counts[:30].mean()
    store.close()


def shown(folder, length=20):
    store = FrameStore.open(folder, SPACES, 30)
    for transition in make_episode(length, robot="person"):
        store.append(transition)
    return store


@pytest.mark.parametrize("kind", ["uniform", "prioritised"])
def test_the_configured_share_of_a_batch_is_demonstrations(tmp_path, kind):
    shown(tmp_path / "shown").close()
    store = filled_store(tmp_path / "ours")
    config = ReplayConfig(sampler=kind, batch_size=64, demonstration_share=0.25)
    demonstrations = open_demonstrations(str(tmp_path / "shown"), SPACES)
    sampler = Sampler(config, store, 1, 0.99, demonstrations)
    batch = empty_batch(SPACES, 64)
    assert sampler.sample_into(np.random.default_rng(0), batch)
    assert (batch.index < 0).sum() == 16
    for row, index in enumerate(batch.index):
        robot, sequence = ("person", -index - 1) if index < 0 else ("ur5", index - 1)
        expected = make_transition(robot=robot, sequence=int(sequence), step=int(sequence))
        np.testing.assert_array_equal(batch.action["arm"][row], expected.action["arm"])
        np.testing.assert_array_equal(batch.frames["wrist"][row, 2], expected.frames["wrist"])
    sampler.feedback(Returned(batch.index.copy(), np.ones(64, np.float32)))
    with pytest.raises(StoreError, match="another process has it open"):  # it does not change while it is sampled
        FrameStore.open(tmp_path / "shown", SPACES, 30)
    demonstrations.close()
    store.close()


def test_demonstrations_may_grow_from_nothing(tmp_path):
    store, demonstrations = filled_store(tmp_path / "ours"), FrameStore.open(tmp_path / "shown", SPACES, 30)
    sampler = Sampler(ReplayConfig(batch_size=64, demonstration_share=0.5), store, 1, 0.99, demonstrations)
    batch, rng = empty_batch(SPACES, 64), np.random.default_rng(0)
    assert sampler.sample_into(rng, batch) and (batch.index > 0).all()
    for transition in make_episode(5, robot="person"):
        demonstrations.append(transition)
    assert sampler.sample_into(rng, batch) and (batch.index < 0).sum() == 32
    demonstrations.close()
    store.close()


def test_demonstrations_that_do_not_fit_are_refused(tmp_path):
    used = FrameStore.open(tmp_path / "used", SPACES, 30)
    FrameStore.open(tmp_path / "other", VARIANTS["no image"], 30).close()
    FrameStore.open(tmp_path / "empty", SPACES, 30).close()
    for folder, message in (
        ("other", "image 'wrist' is missing"), ("empty", "expected at least one"), ("nothing", "no replay store"),
        ("used", "a process is writing to it; expected a snapshot"),
    ):  # fmt: skip
        with pytest.raises(StoreError, match=message):
            open_demonstrations(str(tmp_path / folder), SPACES)
    assert open_demonstrations("", SPACES) is None
    used.close()


def test_demonstrations_are_sampled_with_our_stacks(tmp_path):
    shown(tmp_path).close()
    spaces = with_stacks(SPACES, 5)
    demonstrations = open_demonstrations(str(tmp_path), spaces)
    batch = empty_batch(spaces, 8)
    assert demonstrations.sample_into(np.random.default_rng(0), batch)
    assert batch.frames["wrist"].shape[1] == 6
    demonstrations.close()
