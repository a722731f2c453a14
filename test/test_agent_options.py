"""Every option changes what it says, and nothing else."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from agent_cases import agent_of, compiled_update, host, random_batch, same, small

from jsac_ros.agent.update import make_updates


def vectors(**changes):
    """An agent without images, which compiles fastest."""
    return agent_of("vectors", "jsac", small(**changes))


def moves(agent, updates):
    """For each update, which of critic, actor, log_alpha and target it changed."""
    state, changed = agent.init(0), []
    for k in range(updates):
        before = host(state)
        state, _ = compiled_update(agent)(state, random_batch(agent.spaces, seed=k))
        pairs = {name: (before.params[name], state.params[name]) for name in state.params}
        pairs["target"] = before.target, state.target
        changed.append({name for name, (old, new) in pairs.items() if not same(old, new)})
    return changed


def test_periods_and_critic_warm_up():
    late = {"actor", "log_alpha"}
    assert moves(vectors(actor_period=2, target_period=3, critic_warmup_updates=3), 6) == [
        {"critic"}, {"critic"}, {"critic", "target"},  # warm-up
        {"critic"}, {"critic"} | late, {"critic", "target"},
    ]  # fmt: skip


def test_weight_of_zero_takes_a_sample_out_of_the_critics_gradient():
    agent, params = vectors(), []
    for reward in (0.0, 1e6):
        batch = random_batch(agent.spaces)
        batch.weight[2], batch.reward[2] = 0.0, reward
        state, metrics = compiled_update(agent)(agent.init(0), batch)
        params.append(state.params["critic"])
        assert (metrics["td_error"][2] > 1e5) == (reward > 0)  # what a prioritised sampler is told
    assert same(*params)


def test_min_over_a_random_subset_is_no_smaller_than_over_all():
    targets = {}
    for subset in (0, 1):
        agent = vectors(q_subset=subset)
        _, metrics = compiled_update(agent)(agent.init(0), random_batch(agent.spaces))
        targets[subset] = float(metrics["target_mean"])
    assert targets[1] > targets[0]


def test_n_step_batch_has_the_frames_of_both_stacks():
    agent = agent_of("image", "jsac", small(n_step=3))
    batch = random_batch(agent.spaces, n_step=3)
    assert batch.frames["wrist"].shape[1] == 4
    _, metrics = compiled_update(agent)(agent.init(0), batch)
    assert np.isfinite(metrics["critic_loss"])
    with pytest.raises(ValueError, match=r"batch.frames/wrist is uint8\[8, 3, 17, 19, 3\]; expected uint8\[8, 4, 17, 19, 3\]"):
        compiled_update(agent)(agent.init(0), random_batch(agent.spaces))


def test_bfloat16_keeps_parameters_in_float32_and_losses_close():
    losses = []
    for bfloat16 in (False, True):
        agent = vectors(bfloat16=bfloat16)
        state, metrics = compiled_update(agent)(agent.init(0), random_batch(agent.spaces))
        losses.append(float(metrics["critic_loss"]))
        assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(state.params))
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_scan_over_updates_equals_one_after_the_other():
    agent, td_errors = vectors(), []
    batches = [random_batch(agent.spaces, seed=k) for k in range(3)]
    state = agent.init(0)
    for batch in batches:
        state, metrics = compiled_update(agent)(state, batch)
        td_errors.append(metrics["td_error"])
    stacked = jax.tree.map(lambda *fields: np.stack(fields), *batches)
    scanned, metrics = make_updates(agent)(agent.init(0), stacked)
    np.testing.assert_allclose(metrics["td_error"], np.stack(td_errors), rtol=1e-5, atol=1e-6)
    for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(scanned.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
