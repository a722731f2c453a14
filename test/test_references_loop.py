"""One step of the compiled loop: what it stores, where episodes end, and where the next ones begin."""

import jax
import jax.numpy as jnp
import numpy as np

from jsac_ros.config import ReplayConfig
from jsac_ros.references import buffer as replay
from jsac_ros.references.environments.cartpole import CartPole, cartpole
from jsac_ros.references.environments.rocket_phases import rocket_landing
from jsac_ros.references.loop import _Running, _step, random_actions


def test_a_fall_is_terminal_a_time_out_is_not_and_both_begin_anew():
    """Three carts: one continues, one falls, one reaches the time limit."""
    angle = jnp.array([0.0, 0.209, 0.0])
    states = CartPole(position=jnp.zeros(3), speed=jnp.zeros(3), angle=angle, rate=jnp.array([0.0, 1.0, 0.0]))
    fresh = CartPole(*(jnp.full(3, value) for value in (0.01, 0.02, 0.03, 0.04)))
    running = _Running(
        state=None,
        environments=states,
        length=jnp.array([7, 7, cartpole.time_limit - 1]),
        episode_return=jnp.array([7.0, 7.0, cartpole.time_limit - 1.0]),
        buffer=replay.create(ReplayConfig(capacity=6), cartpole.spaces, 3),
    )
    actions = jnp.array([[1.0], [0.0], [1.0]])
    before = running.environments
    running, episodes = jax.jit(lambda *inputs: _step(cartpole, *inputs))(running, actions, fresh)
    np.testing.assert_array_equal(episodes.ended, [False, True, True])
    np.testing.assert_array_equal(episodes.terminated, [False, True, False])
    np.testing.assert_array_equal(episodes.episode_return, [8, 8, cartpole.time_limit])
    np.testing.assert_array_equal(running.length, [8, 0, 0])
    np.testing.assert_array_equal(running.environments.position[1:], fresh.position[1:])
    assert float(running.environments.speed[0]) > 0
    rows = np.asarray(running.buffer.rows)[:3]
    np.testing.assert_array_equal(rows[:, 6], [1.0, 0.0, 1.0])  # masks
    np.testing.assert_array_equal(rows[:, 4], actions[:, 0])
    np.testing.assert_allclose(rows[:, 2], angle)
    after = jax.jit(jax.vmap(cartpole.step))(before, actions).state
    np.testing.assert_allclose(rows[:, 7:], jnp.stack(after, axis=1))  # not where the next episode begins


def test_random_actions_cover_their_range():
    choices = np.asarray(random_actions(jax.random.PRNGKey(0), cartpole.spaces, (50, 2)))
    assert choices.shape == (50, 2, 1) and set(choices.ravel()) == {0.0, 1.0}
    drawn = np.asarray(random_actions(jax.random.PRNGKey(0), rocket_landing.spaces, (500,)))
    assert drawn.shape == (500, 3) and -1 <= drawn.min() < -0.95 and 0.95 < drawn.max() <= 1
