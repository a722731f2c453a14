"""Every algorithm with every kind of observation: create, update, checkpoint, resume, export, act."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from agent_cases import ALGORITHMS, agent_of, compiled_update, host, random_batch, random_observation, same

from jsac_ros.agent import export, policy
from jsac_ros.agent.checkpoint import Checkpoints

MODES = ("vectors", "image", "two images, separate", "two images, joined")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_learns_resumes_and_is_carried_away(algorithm, mode, tmp_path):
    agent = agent_of(mode, algorithm)
    spaces, update = agent.spaces, compiled_update(agent)
    state = agent.init(seed=1)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), agent.template
    )
    before = host(state)
    state, metrics = update(state, random_batch(spaces))

    # every parameter has moved, and nothing is missing from the metrics
    assert metrics["td_error"].shape == (8,) and all(np.isfinite(value).all() for value in metrics.values())
    old, new = (jax.tree_util.tree_leaves_with_path(s.params) for s in (before, state))
    assert not [jax.tree_util.keystr(path) for (path, a), (_, b) in zip(old, new, strict=True) if np.array_equal(a, b)]
    assert not same(before.target, state.target)
    assert (int(state.step), int(state.skipped)) == (1, 0)

    # the next update after a restore is the same to the bit, and is not compiled again
    with Checkpoints(tmp_path / "checkpoints", agent) as checkpoints:
        checkpoints.save(state, {"place": 17})
        state, metrics = update(state, random_batch(spaces, seed=1))
    with Checkpoints(tmp_path / "checkpoints", agent) as checkpoints:
        restored, counters = checkpoints.restore()
    compiled = update._cache_size()
    restored, again = update(restored, random_batch(spaces, seed=1))
    assert counters == {"place": 17} and same(state, restored) and same(metrics, again)
    assert update._cache_size() == compiled

    # the exported policy acts as the one that the actor gets
    params = agent.policy_params(state)
    export.save(tmp_path / "policy", params, agent, {"task": "none"})
    loaded, act = export.load(tmp_path / "policy"), policy.make_act(agent)
    assert loaded.spaces == spaces
    received = policy.unflatten(np.asarray(policy.flatten(params)), agent)
    observation, key = random_observation(spaces), policy.action_key(7, 2, 11)
    for deterministic in (True, False):
        action = act(received, observation, key, deterministic)
        assert same(action, loaded(observation, None if deterministic else key))
        spaces.check_action(action)
        assert all(np.abs(part).max() <= (2 if algorithm == "dqn" else 1) for part in action.values())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("field", ["reward", "vectors/wrench", "weight"])
def test_a_batch_that_is_not_finite_changes_nothing_and_is_counted(algorithm, field):
    agent = agent_of("vectors", algorithm)
    update = compiled_update(agent)
    state, _ = update(agent.init(seed=1), random_batch(agent.spaces))
    before, batch = host(state), random_batch(agent.spaces, seed=2)
    batch.fields[field].flat[3] = np.nan
    state, metrics = update(state, batch)
    assert int(metrics["skipped"]) == int(metrics["skipped_in_a_row"]) == 1
    for part in ("params", "opt_state", "target"):
        assert same(getattr(before, part), getattr(state, part)), part
    assert not np.array_equal(before.key, state.key)
    state, metrics = update(state, random_batch(agent.spaces, seed=3))
    assert (int(metrics["skipped"]), int(metrics["skipped_in_a_row"]), int(state.step)) == (1, 0, 3)
    assert not same(before.params, state.params)
