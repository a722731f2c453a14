"""The whole training loop (act, step, store, sample, update) as one compiled function.

`jax.vmap` over state and seed trains many seeds at once. Axes: T steps of every environment, E environments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jsac_ros import agent as algorithms
from jsac_ros.agent.agent import Agent, Metrics, Params, TrainState
from jsac_ros.agent.observation import Inputs
from jsac_ros.agent.update import make_update
from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.references import buffer as replay
from jsac_ros.references.environments import ENVIRONMENTS, Environment
from jsac_ros.spaces import Spaces

REPORTS = 100  # progress reports per run, at most


class Reference(NamedTuple):
    """An environment and the agent that learns in it."""

    config: SystemConfig
    environment: Environment
    agent: Agent

    @classmethod
    def of(cls, config: SystemConfig) -> Reference:
        """Raises ConfigError if replay.warmup_steps or agent.n_step does not fit the environment."""
        environment, train, warmup = ENVIRONMENTS[config.train.environment], config.train, config.replay.warmup_steps
        if not config.replay.batch_size <= warmup <= train.steps - train.environments:
            raise ConfigError(
                f"replay.warmup_steps is {warmup}; expected between replay.batch_size {config.replay.batch_size} "
                f"and train.steps {train.steps}"
            )
        if config.agent.n_step != 1:
            raise ConfigError(f"agent.n_step is {config.agent.n_step}; expected 1 in {train.environment}")
        return cls(config, environment, algorithms.build(config.agent, environment.spaces))

    def act(self, params: Params, observations: jax.Array, key: jax.Array, deterministic: bool) -> jax.Array:
        """Actions, float32 [E, A], for observations, float32 [E, V]. params: from `Agent.policy_params`."""
        return self.agent.act(params, Inputs({}, observations), key, jnp.asarray(deterministic))


class Episodes(NamedTuple):
    """Episodes that ended in one step, [E] each; the values are valid where `ended`."""

    ended: jax.Array  # bool
    episode_return: jax.Array  # float32, without discount
    steps: jax.Array  # int32
    terminated: jax.Array  # bool
    success: jax.Array  # bool


class Trained(NamedTuple):
    state: TrainState
    episodes: Episodes  # [T, E]
    metrics: Metrics  # float32 [T], of the last update of each step; NaN during the warm-up


class _Running(NamedTuple):
    state: TrainState
    environments: Any  # states, [E]
    length: jax.Array  # int32 [E]
    episode_return: jax.Array  # float32 [E]
    buffer: replay.Buffer


class _Chance(NamedTuple):
    """All random numbers of T steps, drawn in advance: one large draw costs little more than one small draw."""

    act: jax.Array  # keys, [T]
    actions: jax.Array  # float32 [T, E, A], uniform
    fresh: Any  # states, [T, E], in which a next episode starts
    sample: jax.Array  # keys, [T, updates]


def _chances(environment: Environment, key: jax.Array, steps: int, count: int, updates: int) -> _Chance:
    act_key, action_key, fresh_key, sample_key = jax.random.split(key, 4)
    reset = jax.vmap(jax.vmap(environment.reset))
    return _Chance(
        act=jax.random.split(act_key, steps),
        actions=random_actions(action_key, environment.spaces, (steps, count)),
        fresh=reset(jax.random.split(fresh_key, (steps, count))),
        sample=jax.random.split(sample_key, (steps, updates)),
    )


def make_train(reference: Reference, report: Callable[[int], None] | None = None) -> Callable[[TrainState, jax.Array], Trained]:
    """The function (state, seed int32 []) -> Trained, to be jitted, or vmapped and jitted; `fresh_states` makes its arguments.

    report: called with the number of steps (of all environments) since the last call.
    """
    config, environment, agent = reference
    train, spaces, update = config.train, environment.spaces, make_update(agent)
    count = train.environments
    warmup = config.replay.warmup_steps // count
    learning = train.steps // count - warmup

    def explore(running: _Running, chance: _Chance):
        running, episodes = _step(environment, running, chance.actions, chance.fresh)
        return running, episodes

    def advance(running: _Running, chance: _Chance):
        observations = jax.vmap(environment.observe)(running.environments)
        actions = reference.act(agent.policy_params(running.state), observations, chance.act, False)
        running, episodes = _step(environment, running, actions, chance.fresh)
        state, buffer = running.state, running.buffer
        for i in range(train.updates_per_step):
            batch = replay.sample(buffer, chance.sample[i], config.replay, spaces, config.agent.discount, state.step)
            state, metrics = update(state, batch)
            buffer = replay.learned(buffer, batch.index, metrics.pop("td_error"), config.replay.priority_alpha)
        return running._replace(state=state, buffer=buffer), (episodes, metrics)

    def reported(body, running: _Running, key: jax.Array, length: int):
        """Scans `body` in equal parts, at most REPORTS, with a progress report after each."""
        parts = next(n for n in range(min(REPORTS, length), 0, -1) if length % n == 0) if report else 1
        size = length // parts

        def part(running: _Running, key: jax.Array):
            chances = _chances(environment, key, size, count, train.updates_per_step)
            running, said = jax.lax.scan(body, running, chances)
            if report:
                jax.debug.callback(lambda: report(size * count))
            return running, said

        running, said = jax.lax.scan(part, running, jax.random.split(key, parts))
        return running, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), said)

    def run(state: TrainState, seed: jax.Array) -> Trained:
        reset_key, explore_key, advance_key = jax.random.split(jax.random.PRNGKey(seed), 3)
        running = _Running(
            state=state,
            environments=jax.vmap(environment.reset)(jax.random.split(reset_key, count)),
            length=jnp.zeros(count, jnp.int32),
            episode_return=jnp.zeros(count),
            buffer=replay.create(config.replay, spaces, count),
        )
        running, before = reported(explore, running, explore_key, warmup)
        running, (after, metrics) = reported(advance, running, advance_key, learning)
        episodes = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), before, after)
        nothing = jnp.full(warmup, jnp.nan)
        return Trained(running.state, episodes, jax.tree.map(lambda m: jnp.concatenate([nothing, m]), metrics))

    return run


def fresh_states(reference: Reference, count: int) -> tuple[TrainState, jax.Array]:
    """Initial states and their seeds, [count] first: run.seed and the seeds that follow it."""
    seeds = range(reference.config.run.seed, reference.config.run.seed + count)
    states = [reference.agent.init(seed) for seed in seeds]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states), jnp.array(seeds, jnp.int32)


def one(tree: Any, index: int = 0) -> Any:
    """The pytree of one seed, from a pytree with a leading axis [seeds]."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def random_actions(key: jax.Array, spaces: Spaces, shape: tuple[int, ...]) -> jax.Array:
    """Uniform actions: float32 [*shape, A] in [-1, 1), or [*shape, 1] numbers of choices."""
    if spaces.choices:
        return jax.random.randint(key, (*shape, 1), 0, spaces.choices).astype(jnp.float32)
    return jax.random.uniform(key, (*shape, spaces.action_size), minval=-1.0, maxval=1.0)


def _step(environment: Environment, running: _Running, actions: jax.Array, fresh) -> tuple[_Running, Episodes]:
    """Steps every environment and stores the transitions; an ended episode is followed by one that starts in `fresh`."""
    observations = jax.vmap(environment.observe)(running.environments)
    outcome = jax.vmap(environment.step)(running.environments, actions)
    next_observations = jax.vmap(environment.observe)(outcome.state)
    mask = 1.0 - outcome.terminated.astype(jnp.float32)
    length = running.length + 1
    episode_return = running.episode_return + outcome.reward
    ended = outcome.terminated | (length >= environment.time_limit)
    running = running._replace(
        environments=jax.tree.map(lambda new, old: jnp.where(ended, new, old), fresh, outcome.state),
        length=jnp.where(ended, 0, length),
        episode_return=jnp.where(ended, 0.0, episode_return),
        buffer=replay.add(running.buffer, observations, actions, outcome.reward, mask, next_observations),
    )
    return running, Episodes(ended, episode_return, length, outcome.terminated, outcome.success)
