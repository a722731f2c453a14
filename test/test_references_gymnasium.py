"""Cart-pole and pendulum against Gymnasium's, step by step."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsac_ros.config import TrainConfig
from jsac_ros.references.environments.cartpole import CartPole, cartpole
from jsac_ros.references.environments.pendulum import Pendulum, pendulum
from jsac_ros.training.spaces import spaces_of

STEPS = 300


def test_cartpole_follows_gymnasium_through_whole_episodes():
    """The same forces from the same state: the same states, rewards and ends, from start to fall."""
    real = gymnasium.make("CartPole-v1").unwrapped
    step, random, falls = jax.jit(cartpole.step), np.random.default_rng(0), 0
    observation, _ = real.reset(seed=0)
    state = CartPole(*jnp.asarray(observation))
    for _ in range(STEPS):
        choice = int(random.integers(2))
        observation, reward, terminated, _, _ = real.step(choice)
        outcome = step(state, jnp.array([choice], jnp.float32))
        state = outcome.state
        np.testing.assert_allclose(cartpole.observe(state), observation, rtol=1e-4, atol=1e-5)
        assert float(outcome.reward) == reward
        assert bool(outcome.terminated) == terminated
        if terminated:
            falls += 1
            observation, _ = real.reset()
            state = CartPole(*jnp.asarray(observation))
    assert falls > 5


@pytest.mark.parametrize("position, angle, fallen", [(2.39, 0.0, False), (2.41, 0.0, True), (0.0, 0.2096, True)])
def test_cartpole_ends_where_gymnasium_does(position, angle, fallen):
    state = CartPole(jnp.float32(position), jnp.float32(0), jnp.float32(angle), jnp.float32(0))
    assert bool(cartpole.step(state, jnp.array([1.0])).terminated) == fallen


def test_pendulum_follows_gymnasium():
    """One step from each state of a long random swing, over the whole range of rates and angles."""
    real = gymnasium.make("Pendulum-v1").unwrapped
    step, random = jax.jit(pendulum.step), np.random.default_rng(1)
    real.reset(seed=1)
    for n in range(STEPS):
        angle, rate = (float(np.float32(v)) for v in real.state)
        real.state = np.array([angle, rate])
        # Pumped in the direction of the swing, so that it reaches the limit of the rate; some torques beyond the limit.
        action = np.float32(np.sign(rate) * random.uniform(0.0, 1.2) if n % 10 else random.uniform(-1.2, 1.2))
        observation, reward, _, _, _ = real.step(np.array([2.0 * action]))
        outcome = step(Pendulum(jnp.float32(angle), jnp.float32(rate)), jnp.array([action]))
        np.testing.assert_allclose(pendulum.observe(outcome.state), observation, rtol=1e-4, atol=1e-4)
        assert float(outcome.reward) == pytest.approx(reward, rel=1e-4, abs=1e-4)
        assert not outcome.terminated


@pytest.mark.parametrize("name, environment", [("CartPole-v1", cartpole), ("Pendulum-v1", pendulum)])
def test_starts_limits_and_shapes_are_gymnasiums(name, environment):
    real = gymnasium.make(name)
    assert environment.time_limit == real.spec.max_episode_steps
    ours, theirs = environment.spaces, spaces_of(real, TrainConfig())
    assert {part.name: part.shape for part in ours.vectors} == {part.name: part.shape for part in theirs.vectors}
    assert [(p.name, p.size, p.choices) for p in ours.actions] == [(p.name, p.size, p.choices) for p in theirs.actions]
    starts = jax.vmap(environment.reset)(jax.random.split(jax.random.PRNGKey(0), 2000))
    reals = np.array([real.reset(seed=seed)[0] for seed in range(500)])
    ours = np.asarray(jax.vmap(environment.observe)(starts))
    np.testing.assert_allclose(ours.min(axis=0), reals.min(axis=0), atol=0.03)
    np.testing.assert_allclose(ours.max(axis=0), reals.max(axis=0), atol=0.03)
