"""The loop that learns: when it asks for batches, what it gives back, and where it stops."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest
from agent_cases import agent_of, host, random_batch, same

from jsac_ros.agent.learning import Learner, NotFinite, every
from jsac_ros.agent.policy import parameter_count


@pytest.fixture
def agent():
    return agent_of("vectors")


def broken(agent, seed=0):
    """A batch whose sixth sample is not finite."""
    batch = random_batch(agent.spaces, seed=seed)
    batch.reward[5] = np.nan
    return batch


def test_the_next_batch_is_asked_for_before_the_one_is_given_back(agent):
    events, learner = [], Learner(agent, agent.init(0))

    def batches():
        for k in (0, None, 1, 2):
            events.append(f"asked for {k}")
            yield None if k is None else random_batch(agent.spaces, seed=k)

    def give_back(td_error):
        assert td_error.shape == (8,) and td_error.dtype == np.float32
        events.append("given back")

    learner.learn(batches(), give_back=give_back, after=[every(2, lambda found: events.append(f"after {found.updates}"))])
    assert events == [
        "asked for 0", "asked for None", "given back",
        "asked for 1", "asked for 2", "given back", "after 2", "given back",
    ]  # fmt: skip
    assert learner.updates == int(learner.state.step) == 3
    assert np.isfinite(float(learner.metrics["critic_loss"])) and learner.update_s > 0
    assert learner.policy_vector().shape == (parameter_count(agent),)


def test_a_policy_read_between_batches_is_the_newest(agent):
    """A synchronous training acts, and so computes the next batch, with what was learned last."""
    learner, seen = Learner(agent, agent.init(0)), []

    def batches():
        for k in range(3):
            seen.append(int(learner.state.step))
            yield random_batch(agent.spaces, seed=k)

    learner.learn(batches())
    assert seen == [0, 1, 2]


def test_skipped_updates_are_named_not_returned_and_limited(agent):
    learner, returned, skipped = Learner(agent, agent.init(0)), [], []
    batches = [
        random_batch(agent.spaces),
        broken(agent),
        random_batch(agent.spaces),
        broken(agent),
        broken(agent),
        broken(agent),
    ]
    batches[4].index[:] = np.arange(8)
    with pytest.raises(
        NotFinite, match=r"2 updates in a row were not finite and learned nothing, the last on rows \[0, 1, 2, 3\]"
    ):
        learner.learn(
            batches,
            give_back=returned.append,
            on_skipped=lambda batch, td_error: skipped.append(batch.index[~np.isfinite(td_error)].tolist()),
            max_skipped_updates=2,
        )
    assert [td_error is None for td_error in returned] == [False, True, False, True, True]
    assert [len(rows) for rows in skipped] == [1, 1, 1] and skipped[2] == [5]
    assert learner.updates == 5 and int(learner.metrics["skipped"]) == 3


def test_the_loss_of_a_batch_is_measured_without_learning(agent):
    learner = Learner(agent, agent.init(0))
    learner.compile(batch_size=8)
    before = host(learner.state)
    first, again = (learner.loss_of(random_batch(agent.spaces)) for _ in range(2))
    assert first == again > 0 and same(before, learner.state)
    learner.learn([random_batch(agent.spaces)])
    assert float(learner.metrics["critic_loss"]) == first


def test_a_long_run_of_updates_leaves_nothing_in_memory(agent):
    """As the learner's process makes them: the policy read every eighth time, the metrics every time."""
    learner, sizes = Learner(agent, agent.init(0)), []
    batch = random_batch(agent.spaces)

    def look(found):
        [float(value) for value in found.metrics.values()]
        if found.updates in (100, 400):
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    try:
        learner.learn((batch for _ in range(400)), after=[every(8, lambda found: found.policy_vector()), look])
    finally:
        tracemalloc.stop()
    assert sizes[1] - sizes[0] < 100 * 300
