"""SAC with a value function: losses by hand, the delayed policy, the target of V."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from agent_cases import agent_of, compiled_update, flat, host, random_batch, same, small

from jsac_ros.agent.distributions import sample_tanh_gaussian


@pytest.fixture(scope="module")
def agent():
    periods = {"actor_period": 2, "target_period": 2, "tau": 0.1, "learning_rate": 0.01, "max_gradient_norm": 1e6}
    return agent_of("vectors", "sac_v", small("sac_v", weight_clip=False, **periods))


def test_losses_are_those_of_the_equations(agent):
    """J_Q towards r + gamma m V'(s'), J_V towards min Q(s, a) - alpha log pi(a|s), J_pi with the advantage."""
    batch, state, other = random_batch(agent.spaces), agent.init(0), agent.init(5)
    state = state.replace(target=other.target, params=state.params | {"value": jax.tree.map(jnp.copy, other.params["value"])})
    params, networks = state.params, agent.networks
    key = jax.random.split(state.key, 4)[3]
    vector, next_vector, taken = flat(batch.vectors), flat(batch.next_vectors), flat(batch.action)
    mean, log_std = networks.actor.apply({"params": params["actor"]}, None, vector)
    action, log_prob = sample_tanh_gaussian(key, mean, log_std)
    critic = {"params": params["critic"]["critic"]}
    q, new_q = (np.asarray(networks.critic.apply(critic, None, vector, a), np.float64) for a in (taken, action))
    next_v = np.asarray(agent.value.apply({"params": state.target}, None, next_vector), np.float64)
    v = np.asarray(agent.value.apply({"params": params["value"]}, None, vector), np.float64)
    alpha, log_prob = float(np.exp(params["log_alpha"])), np.asarray(log_prob, np.float64)
    smaller = new_q.min(axis=0)
    expected = {
        "critic_loss": np.mean(batch.weight * (q - (batch.reward + batch.discount * next_v)) ** 2),
        "value_loss": np.mean((v - (smaller - alpha * log_prob)) ** 2),
        "actor_loss": np.mean(alpha * log_prob - (smaller - v)),
        "temperature_loss": -alpha * np.mean(log_prob - 3.0),
        "entropy": -np.mean(log_prob),
    }
    _, metrics = compiled_update(agent)(state, batch)
    for name, number in expected.items():
        assert float(metrics[name]) == pytest.approx(number, rel=1e-4, abs=1e-5), name


def test_policy_and_target_move_in_their_periods(agent):
    state, batch = agent.init(0), random_batch(agent.spaces)
    for step in range(4):
        before = host(state)
        state, _ = compiled_update(agent)(state, batch)
        assert same(before.params["actor"], state.params["actor"]) == (step % 2 != 0)
        assert same(before.target, state.target) == (step % 2 == 0)
        assert not same(before.params["critic"], state.params["critic"])
        assert not same(before.params["value"], state.params["value"])
        if step % 2:
            moved = jax.tree.map(lambda v, t: 0.1 * v + 0.9 * t, host(state.params["value"]), before.target)
            for ours, theirs in zip(jax.tree.leaves(moved), jax.tree.leaves(state.target), strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_target_starts_as_v(agent):
    state = agent.init(0)
    assert same(state.target, state.params["value"])
