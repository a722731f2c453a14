"""What a person did: kept beside the store, sampled as a share of every batch, nothing lost by a kill."""

import numpy as np
import pytest
from replay_cases import SPACES, make_episode, same, with_stacks

from jsac_ros.config import ReplayConfig
from jsac_ros.replay.copies import problems
from jsac_ros.replay.interventions import FOLDER, Interventions
from jsac_ros.replay.samplers import Sampler, open_demonstrations
from jsac_ros.replay.store import FrameStore
from jsac_ros.types import empty_batch

CONFIG = ReplayConfig(batch_size=64)
HELPED = {5, 6, 7, 8, 15, 16}  # steps that a person chose


def episode(helped=HELPED, **more):
    rows = make_episode(20, **more)
    return [row._replace(intervened=row.step in helped and not row.is_last) for row in rows]


def added(folder, transitions, spaces=SPACES):
    """Both stores with these in them, as the replay process adds them."""
    store = FrameStore.open(folder, spaces, 200)
    interventions = Interventions(store, 100)
    for transition in transitions:
        interventions.add(transition)
        store.append(transition)
    return store, interventions


def steps_in(interventions):
    kept = interventions._kept
    return sorted(kept.rows["step"][kept.live_slots()].tolist())


@pytest.mark.parametrize("stack", [1, 3])
def test_each_step_is_kept_with_its_stack_and_the_observation_after_it(tmp_path, stack):
    spaces, rows = with_stacks(SPACES, stack), episode()
    store, interventions = added(tmp_path, rows, spaces)
    before = {s - k for s in HELPED for k in range(1, stack)}
    assert steps_in(interventions) == sorted(HELPED | {s + 1 for s in HELPED} | before)
    assert interventions.count == len(HELPED)
    kept = interventions._kept
    for slot in kept.live_slots():
        assert same(kept.transition(slot), rows[kept.rows["step"][slot]])
    assert problems(tmp_path / FOLDER) == []
    ours, theirs = empty_batch(spaces, 1), empty_batch(spaces, 1)
    for slot in interventions._chosen():  # what is sampled there is what would be sampled here
        step = kept.rows["step"][slot]
        (same_step,) = np.flatnonzero((store.rows["step"] == step) & (store.rows["number"] > 0))
        for one, batch, at in ((store, ours, same_step), (kept, theirs, slot)):
            one.gather(np.array([at]), batch, 1, 0.9)
        for name, array in ours.fields.items():
            assert name in ("index", "weight") or np.array_equal(array, theirs.fields[name]), name
    interventions.close()
    store.close()


def test_where_no_person_acts_there_is_no_store_and_the_whole_batch_is_the_runs(tmp_path):
    store, interventions = added(tmp_path, episode(helped=()))
    assert not (tmp_path / FOLDER).exists() and interventions.count == 0
    batch = empty_batch(SPACES, 64)
    assert Sampler(CONFIG, store, 1, 0.9, None, interventions).sample_into(np.random.default_rng(0), batch)
    assert (batch.index > 0).all()
    store.close()


def test_half_of_every_batch_is_what_a_person_did_and_returns_end_where_the_hand_changes(tmp_path):
    store, interventions = added(tmp_path, episode())
    batch, rng = empty_batch(SPACES, 64, 3), np.random.default_rng(0)
    sampler, kept = Sampler(CONFIG, store, 3, 0.9, None, interventions), interventions._kept
    drawn = set()
    for _ in range(20):
        assert sampler.sample_into(rng, batch)
        assert (batch.index[:32] < 0).all() and (batch.index[32:] > 0).all()
        steps = kept.rows["step"][(-batch.index[:32] - 1) % kept.capacity]
        drawn |= set(steps.tolist())
        left = np.array([next(k for k in range(1, 4) if step + k not in HELPED or k == 3) for step in steps])
        np.testing.assert_allclose(batch.discount[:32], 0.9**left, rtol=1e-6)
    assert drawn == HELPED
    interventions.close()
    store.close()


def test_demonstrations_and_interventions_share_by_their_numbers(tmp_path):
    store, interventions = added(tmp_path / "run", episode(session=2))
    shown = FrameStore.open(tmp_path / "shown", SPACES, 100)
    for transition in make_episode(18):
        shown.append(transition)
    shown.close()
    shown = open_demonstrations(str(tmp_path / "shown"), SPACES)
    sampler, batch = Sampler(CONFIG, store, 1, 0.9, shown, interventions), empty_batch(SPACES, 64)
    rewards = np.array([row.reward for row in episode(session=2) if row.step in HELPED], np.float32)
    helped, rng = 0, np.random.default_rng(1)
    for _ in range(200):
        assert sampler.sample_into(rng, batch) and (batch.index[:32] < 0).all()
        helped += np.isin(batch.reward[:32], rewards).sum()
    assert helped / (200 * 32) == pytest.approx(6 / 24, abs=0.03), "6 steps of a person's help, 18 of demonstrations"
    for one in (interventions, shown, store):
        one.close()


def test_it_grows_is_resumed_and_what_comes_twice_is_kept_once(tmp_path):
    rows = episode()
    store, interventions = added(tmp_path, rows[:7])
    interventions.add(rows[7])  # killed here: step 7 is in one store, not in the other, and not acknowledged
    interventions.close()
    store.close()
    store = FrameStore.open(tmp_path, SPACES, 200)
    interventions = Interventions(store, 100)
    assert interventions.count == 2, "step 7 closes it so far"
    for row in rows[7:]:
        interventions.add(row)
        store.append(row)
    assert interventions.count == len(HELPED)
    numbers = steps_in(interventions)
    assert len(numbers) == len(set(numbers)) and problems(tmp_path / FOLDER) == []
    interventions.close()
    store.close()


def test_it_is_a_store_that_another_run_takes_for_demonstrations(tmp_path):
    store, interventions = added(tmp_path, episode())
    interventions.close()
    store.close()
    shown = open_demonstrations(str(tmp_path / FOLDER), SPACES)
    assert shown.valid_count >= len(HELPED)
    shown.close()


def test_two_robots_do_not_mix(tmp_path):
    one, other = episode(), episode(helped={6}, robot="other")
    store, interventions = added(tmp_path, [row for pair in zip(one, other) for row in pair])
    assert interventions.count == len(HELPED) + 1
    interventions.close()
    store.close()


def test_where_it_cannot_be_made_nothing_is_acknowledged(tmp_path):
    store = FrameStore.open(tmp_path, SPACES, 200)
    (tmp_path / FOLDER).write_text("in the way")
    interventions = Interventions(store, 100)
    with pytest.raises(OSError, match="interventions"):
        interventions.add(episode()[5])
    store.close()
