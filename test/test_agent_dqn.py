"""DQN: the target and the loss by hand, epsilon, and the hard copy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from agent_cases import agent_of, compiled_update, host, random_batch, random_observation, same, small

from jsac_ros.agent import policy
from jsac_ros.agent.dqn.losses import td_target, value_loss
from jsac_ros.agent.observation import inputs_of
from jsac_ros.agent.update import sample_of


@pytest.fixture(scope="module")
def agent():
    parameters = small("dqn", tau=1.0, target_period=3, learning_rate=0.01, epsilon_final=0.1, epsilon_updates=10)
    return agent_of("vectors", "dqn", parameters)


def test_loss_is_the_weighted_squared_td_error(agent):
    """y = r + gamma m max_a Q'(s', a), loss = mean w (Q(s, a) - y)^2, in NumPy from the values of every choice."""
    batch, key = random_batch(agent.spaces), jax.random.PRNGKey(0)
    sample, network = sample_of(agent, batch, key, key), agent.network
    params, other = (agent.init(seed).params["critic"] for seed in (0, 1))  # a target unlike the online network
    target = td_target(network, other, sample)
    loss, q = value_loss(params, network, sample, target)
    next_values = np.asarray(network(other, sample.next_observation), np.float64)
    values = np.asarray(network(params, sample.observation), np.float64)
    y = batch.reward + batch.discount * next_values.max(axis=1)
    taken = values[np.arange(8), batch.action["arm"][:, 0].astype(int)]
    np.testing.assert_allclose(target, y, rtol=1e-5)
    np.testing.assert_allclose(q, taken, rtol=1e-5)
    assert float(loss) == pytest.approx(np.mean(batch.weight * (taken - y) ** 2), rel=1e-5)


def test_target_is_copied_every_n_updates_and_only_then(agent):
    state, update, batch = agent.init(0), compiled_update(agent), random_batch(agent.spaces)
    first = host(state.target)
    for step in range(1, 7):
        state, _ = update(state, batch)
        assert same(state.params["critic"], state.target) == (step % 3 == 0)
        assert step >= 3 or same(first, state.target)


def test_updates_reduce_the_error(agent):
    state, update, batch = agent.init(0), compiled_update(agent), random_batch(agent.spaces)
    batch.discount[:] = 0.0  # regression on the rewards: every copy of the target is as good
    losses = []
    for _ in range(200):
        state, metrics = update(state, batch)
        losses.append(float(metrics["critic_loss"]))
    assert losses[-1] < 0.05 * losses[0]


def test_epsilon_falls_with_the_updates_and_travels_with_the_policy(agent):
    for step, expected in ((0, 1.0), (5, 0.55), (10, 0.1), (1000, 0.1)):
        assert float(agent.epsilon(jnp.int32(step))) == pytest.approx(expected)
    state = agent.init(0)
    for _ in range(5):
        state, metrics = compiled_update(agent)(state, random_batch(agent.spaces))
    vector = np.asarray(policy.flatten(agent.policy_params(state)))
    assert len(vector) == policy.parameter_count(agent)
    assert float(policy.unflatten(vector, agent)["epsilon"]) == float(metrics["epsilon"]) == pytest.approx(0.55)


@pytest.mark.parametrize(("epsilon", "greedy_share"), [(0.0, 1.0), (0.6, 0.6), (1.0, 1 / 3)])
def test_acting_is_epsilon_greedy(agent, epsilon, greedy_share):
    """The greedy choice comes with probability 1 - epsilon + epsilon / choices; always where deterministic."""
    params = agent.policy_params(agent.init(0)) | {"epsilon": jnp.float32(epsilon)}
    observation = {name: value[None] for name, value in random_observation(agent.spaces).items()}
    inputs, keys = inputs_of(agent.spaces, observation), jax.random.split(jax.random.PRNGKey(0), 3000)
    actions = np.asarray(jax.jit(jax.vmap(lambda key: agent.act(params, inputs, key, False)))(keys))[:, 0, 0]
    best = float(agent.act(params, inputs, keys[0], True)[0, 0])
    assert set(actions) <= {0.0, 1.0, 2.0}
    assert np.mean(actions == best) == pytest.approx(greedy_share, abs=0.04)
