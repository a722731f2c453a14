"""SAC with a value function: losses by hand, the delayed policy, the target of V."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsac_ros.agent import sac_v
from jsac_ros.agent.distributions import sample_tanh_gaussian
from jsac_ros.agent.networks import make_networks
from jsac_ros.config import AgentConfig
from jsac_ros.types import Batch, Spec

SPEC = Spec(height=0, width=0, channels=3, stack=1, proprioception=3, action=2)
pytestmark = pytest.mark.timeout(600)  # compiling takes its time on a busy machine
CONFIG = AgentConfig(
    algorithm="sac_v", hidden=(16,), q_count=2, layer_norm=False, weight_clip=False, tau=0.1, actor_period=2,
    target_period=2, learning_rate=0.01, max_gradient_norm=1e6,
)  # fmt: skip


def batch_of(size: int = 16) -> Batch:
    random = np.random.default_rng(0)
    return Batch(
        frames=np.zeros((size, 2, 0, 0, 3), np.uint8),
        proprioception=random.normal(size=(size, 3)).astype(np.float32),
        next_proprioception=random.normal(size=(size, 3)).astype(np.float32),
        action=random.uniform(-1, 1, (size, 2)).astype(np.float32),
        reward=random.normal(size=size).astype(np.float32),
        discount=0.9 * (np.arange(size) % 3 > 0).astype(np.float32),
        weight=np.ones(size, np.float32),
        index=np.arange(size),
    )


@pytest.fixture(scope="module")
def update():
    return sac_v.make_update(CONFIG, SPEC)


def equal(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def copy(tree):
    return jax.tree.map(lambda leaf: np.array(leaf), tree)


def test_losses_are_those_of_the_equations(update):
    """J_Q towards r + gamma m V'(s'), J_V towards min Q(s, a) - alpha log pi(a|s), J_pi with the advantage."""
    batch, state = batch_of(), sac_v.create(CONFIG, SPEC, 0)
    other = sac_v.create(CONFIG, SPEC, 5)
    state = state.replace(target=copy(other.target), value=other.value._replace(params=copy(other.value.params)))
    networks, value = make_networks(CONFIG, SPEC), sac_v.make_value(CONFIG)
    key = jax.random.split(state.key, 4)[3]
    z, p = jnp.zeros((16, 0)), batch.proprioception
    mean, log_std = networks.actor.apply({"params": state.actor.params}, z, p)
    action, log_prob = sample_tanh_gaussian(key, mean, log_std)
    critic = {"params": state.critic.params["critic"]}
    q, new_q = (np.asarray(networks.critic.apply(critic, z, p, a), np.float64) for a in (batch.action, action))
    next_v = np.asarray(value.apply({"params": state.target}, z, batch.next_proprioception), np.float64)
    v = np.asarray(value.apply({"params": state.value.params}, z, p), np.float64)
    alpha, log_prob = float(np.exp(state.log_alpha.params)), np.asarray(log_prob, np.float64)
    smaller = new_q.min(axis=0)
    expected = {
        "critic_loss": np.mean((q - (batch.reward + batch.discount * next_v)) ** 2),
        "value_loss": np.mean((v - (smaller - alpha * log_prob)) ** 2),
        "actor_loss": np.mean(alpha * log_prob - (smaller - v)),
        "temperature_loss": -alpha * np.mean(log_prob - 2.0),
        "entropy": -np.mean(log_prob),
    }
    _, metrics = update(state, batch)
    for name, number in expected.items():
        assert float(metrics[name]) == pytest.approx(number, rel=1e-4, abs=1e-5), name


def test_policy_and_target_wait_for_their_turn(update):
    state, batch = sac_v.create(CONFIG, SPEC, 0), batch_of()
    for step in range(4):
        before = copy((state.actor.params, state.target, state.critic.params, state.value.params))
        state, _ = update(state, batch)
        assert equal(before[0], state.actor.params) == (step % 2 != 0)
        assert equal(before[1], state.target) == (step % 2 == 0)
        assert not equal(before[2], state.critic.params) and not equal(before[3], state.value.params)
        if step % 2:
            moved = jax.tree.map(lambda v, t: 0.1 * v + 0.9 * t, copy(state.value.params), before[1])
            for ours, theirs in zip(jax.tree.leaves(moved), jax.tree.leaves(state.target), strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_target_starts_as_v_and_what_is_not_finite_is_left_out(update):
    state = sac_v.create(CONFIG, SPEC, 0)
    assert equal(state.target, state.value.params)
    before = copy((state.actor.params, state.critic.params, state.value.params, state.log_alpha.params))
    state, metrics = update(state, batch_of()._replace(reward=np.full(16, np.inf, np.float32)))
    assert int(metrics["skipped"]) == 1
    assert equal(before, (state.actor.params, state.critic.params, state.value.params, state.log_alpha.params))
