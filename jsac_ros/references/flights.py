"""Evaluation episodes of a learned policy, with deterministic actions."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jsac_ros.agent.agent import TrainState
from jsac_ros.references.loop import Reference


class Flights(NamedTuple):
    """N episodes in parallel, [T, N]; after its end an episode repeats its last state."""

    states: Any  # after each step
    actions: jax.Array  # float32 [T, N, A]
    flying: jax.Array  # bool [T, N]: the episode had not ended before this step
    start: Any  # states, [N]
    episode_return: jax.Array  # float32 [N]
    success: jax.Array  # bool [N]


def fly(reference: Reference, learned: TrainState, seed: int, count: int) -> Flights:
    """`count` episodes from random starts."""
    environment, params = reference.environment, reference.agent.policy_params(learned)
    key, reset_key = jax.random.split(jax.random.PRNGKey(seed))
    start = jax.vmap(environment.reset)(jax.random.split(reset_key, count))

    def step(running, _):
        states, over, episode_return, success = running
        actions = reference.act(params, jax.vmap(environment.observe)(states), key, True)
        outcome = jax.vmap(environment.step)(states, actions)
        states = jax.tree.map(lambda old, new: jnp.where(over, old, new), states, outcome.state)
        episode_return += jnp.where(over, 0.0, outcome.reward)
        success |= outcome.success & ~over
        return (states, over | outcome.terminated, episode_return, success), (states, actions, ~over)

    nothing = jnp.zeros(count, bool)
    running = (start, nothing, jnp.zeros(count), nothing)
    run = jax.jit(lambda running: jax.lax.scan(step, running, length=environment.time_limit))
    (_, _, episode_return, success), (states, actions, flying) = run(running)
    return Flights(states, actions, flying, start, episode_return, success)
