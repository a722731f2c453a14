"""DQN: the target and the loss by hand, epsilon, the hard copy, and a robot with a table of commands."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsac_ros import config as configuration
from jsac_ros import system
from jsac_ros.agent import dqn, policy
from jsac_ros.agent.algorithm import algorithm_of
from jsac_ros.config import AgentConfig, ConfigError
from jsac_ros.types import Batch, Spec

SPEC = Spec(height=0, width=0, channels=3, stack=1, proprioception=4, action=1, choices=3)
TABLE = (1.0, 0.0, -1.0, 0.0, 0.0, 1.0)  # three commands for two joints


def small(**changes) -> AgentConfig:
    plain = dict(algorithm="dqn", hidden=(16,), latent_dim=8, layer_norm=False, weight_clip=False, conv_channels=(4, 4))
    return AgentConfig(**plain | dict(conv_strides=(2, 2), tau=1.0, target_period=3, learning_rate=0.01) | changes)


def batch_of(spec: Spec, size: int = 8) -> Batch:
    random = np.random.default_rng(0)
    return Batch(
        frames=random.integers(0, 256, (size, spec.stack + 1, *spec.frame_shape), np.uint8),
        proprioception=random.normal(size=(size, spec.proprioception)).astype(np.float32),
        next_proprioception=random.normal(size=(size, spec.proprioception)).astype(np.float32),
        action=random.integers(0, spec.choices, (size, 1)).astype(np.float32),
        reward=random.normal(size=size).astype(np.float32),
        discount=0.9 * (np.arange(size) % 2).astype(np.float32),
        weight=np.linspace(0.5, 1.0, size, dtype=np.float32),
        index=np.arange(size),
    )


def test_loss_is_the_weighted_squared_td_error():
    """y = r + gamma m max_a Q'(s', a), loss = mean w (Q(s, a) - y)^2, in NumPy from the values of every choice."""
    config, batch = small(), batch_of(SPEC)
    network, state = dqn.make_network(config, SPEC), dqn.create(config, SPEC, 0)
    other = dqn.create(config, SPEC, 1).critic.params  # a target unlike the online network
    image = jnp.zeros((8, 0, 0, 3), jnp.uint8)
    target = dqn.td_target(network, other, image, batch)
    loss, q = dqn.value_loss(state.critic.params, network, image, batch, target)
    next_values = np.asarray(network(other, image, batch.next_proprioception), np.float64)
    values = np.asarray(network(state.critic.params, image, batch.proprioception), np.float64)
    y = batch.reward + batch.discount * next_values.max(axis=1)
    taken = values[np.arange(8), batch.action[:, 0].astype(int)]
    np.testing.assert_allclose(target, y, rtol=1e-5)
    np.testing.assert_allclose(q, taken, rtol=1e-5)
    assert float(loss) == pytest.approx(np.mean(batch.weight * (taken - y) ** 2), rel=1e-5)


def test_target_is_copied_every_n_updates_and_only_then():
    config, batch = small(), batch_of(SPEC)
    state, update = dqn.create(config, SPEC, 0), dqn.make_update(config, SPEC)
    first = jax.tree.map(np.asarray, state.target)
    for step in range(1, 7):
        state, metrics = update(state, batch)
        online, target = (jax.tree.leaves(tree) for tree in (state.critic.params, state.target))
        same = all(np.array_equal(a, b) for a, b in zip(online, target, strict=True))
        assert same == (step % 3 == 0)
        if step < 3:
            assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(first), target, strict=True))
    assert metrics["td_error"].shape == (8,)


def test_updates_reduce_the_error_and_leave_out_what_is_not_finite():
    config, batch = small(target_period=1000), batch_of(SPEC)
    state, update = dqn.create(config, SPEC, 0), dqn.make_update(config, SPEC)
    losses = []
    for _ in range(200):
        state, metrics = update(state, batch)
        losses.append(float(metrics["critic_loss"]))
    assert losses[-1] < 0.05 * losses[0]
    before = jax.tree.map(np.asarray, state.critic.params)
    state, metrics = update(state, batch._replace(reward=np.full(8, np.nan, np.float32)))
    assert int(metrics["skipped"]) == 1
    jax.tree.map(np.testing.assert_array_equal, before, state.critic.params)


def test_epsilon_falls_with_the_updates_and_travels_with_the_policy():
    config = small(epsilon_final=0.1, epsilon_updates=10)
    for step, expected in ((0, 1.0), (5, 0.55), (10, 0.1), (1000, 0.1)):
        assert float(dqn.epsilon_at(config, jnp.int32(step))) == pytest.approx(expected)
    state, update = dqn.create(config, SPEC, 0), dqn.make_update(config, SPEC)
    for _ in range(5):
        state, _ = update(state, batch_of(SPEC))
    vector = np.asarray(policy.flatten(dqn.policy_parameters(state)))
    assert len(vector) == policy.parameter_count(config, SPEC)
    assert float(policy.unflatten(vector, config, SPEC)["epsilon"]) == pytest.approx(0.55)


@pytest.mark.parametrize("epsilon, greedy_share", [(0.0, 1.0), (0.6, 0.6), (1.0, 1 / 3)])
def test_acting_is_epsilon_greedy(epsilon, greedy_share):
    """The greedy choice comes with probability 1 - epsilon + epsilon / choices; always where deterministic."""
    config = small()
    act = dqn.make_act(config, SPEC)
    parameters = dqn.policy_parameters(dqn.create(config, SPEC, 0)) | {"epsilon": jnp.float32(epsilon)}
    image, observation = np.zeros((0, 0, 3), np.uint8), np.ones(4, np.float32)
    keys = jax.random.split(jax.random.PRNGKey(0), 3000)
    actions = np.asarray(jax.vmap(lambda key: act(parameters, image, observation, key, False))(keys))[:, 0]
    best = float(act(parameters, image, observation, keys[0], True)[0])
    assert set(actions) <= {0.0, 1.0, 2.0}
    assert np.mean(actions == best) == pytest.approx(greedy_share, abs=0.04)


def test_random_actions_are_numbers_of_choices():
    drawn = {float(policy.random_action(policy.action_key(0, 0, step), SPEC)[0]) for step in range(50)}
    assert drawn == {0.0, 1.0, 2.0}


def test_a_robot_with_a_table_of_commands_learns_from_images_and_joints():
    """The joints that learner and actor use: shapes from the configuration, one update, one action of the table."""
    config = configuration.from_parameters(
        {
            "agent": small().model_dump(),
            "task": {"controlled_joints": 2, "action_table": TABLE, "stack": 2},
            "camera": {"height": 12, "width": 16},
        }
    )
    system.check(config)
    spec = configuration.spec_of(config, joints=6)
    assert (spec.choices, spec.action, spec.proprioception) == (3, 1, 5)
    algorithm = algorithm_of(config.agent)
    state, update = algorithm.create(config.agent, spec, 0), algorithm.make_update(config.agent, spec)
    before = np.asarray(policy.flatten(algorithm.policy_parameters(state)))
    state, metrics = update(state, batch_of(spec))
    vector = np.asarray(policy.flatten(algorithm.policy_parameters(state)))
    assert np.isfinite(float(metrics["critic_loss"])) and not np.array_equal(before, vector)
    parameters = policy.unflatten(vector, config.agent, spec)
    act = algorithm.make_act(config.agent, spec)
    image, proprioception = np.zeros(spec.image_shape, np.uint8), np.zeros(spec.proprioception, np.float32)
    action = np.asarray(act(parameters, image, proprioception, policy.action_key(0, 0, 0), True))
    assert action.dtype == np.float32 and action.shape == (1,) and action[0] in (0, 1, 2)


@pytest.mark.parametrize("algorithm, table", [("dqn", ()), ("jsac", TABLE)])
def test_a_table_belongs_to_dqn_and_dqn_needs_one(algorithm, table):
    tree = {"agent": {"algorithm": algorithm}, "task": {"controlled_joints": 2, "action_table": table}}
    with pytest.raises(ConfigError, match="task.action_table has"):
        system.check(configuration.from_parameters(tree))
    with pytest.raises(ValueError, match="choices is 0; expected at least 2"):
        dqn.make_network(small(), SPEC._replace(choices=0))
