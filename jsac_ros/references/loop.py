"""The whole training loop as one compiled function: act, step, store, sample, update - nothing returns to Python.

`jax.vmap` over the state and the seed trains many at once. Axes: T steps of every environment, E environments.
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

REPORTS = 100  # of progress, in a run


class Reference(NamedTuple):
    """An environment and an agent for it."""

    config: SystemConfig
    environment: Environment
    agent: Agent

    @classmethod
    def of(cls, config: SystemConfig) -> Reference:
        """Raises ConfigError where numbers or shapes do not go together."""
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
        """float32 [E, A] for observations float32 [E, V]. params: of `Agent.policy_params`."""
        return self.agent.act(params, Inputs({}, observations), key, jnp.asarray(deterministic))


class Episodes(NamedTuple):
    """What one step of every environment says about episodes; meaningful where `ended`. [E]"""

    ended: jax.Array  # bool
    episode_return: jax.Array  # float32, without discount
    steps: jax.Array  # int32
    terminated: jax.Array  # bool
    success: jax.Array  # bool


class Trained(NamedTuple):
    state: TrainState
    episodes: Episodes  # [T, E]
    metrics: Metrics  # float32 [T], of the last update of each step; NaN before learning


class _Running(NamedTuple):
    state: TrainState
    environments: Any  # states, [E]
    length: jax.Array  # int32 [E]
    episode_return: jax.Array  # float32 [E]
    buffer: replay.Buffer


class _Chance(NamedTuple):
    """All that is random in T steps, drawn before them: one large draw costs little more than one small one. [T]"""

    act: jax.Array  # keys, [T]
    actions: jax.Array  # float32 [T, E, A]: uniform ones
    fresh: Any  # states, [T, E]: where the next episode begins
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
    """The function (state, seed int32 []) -> Trained, to be jitted, or vmapped and jitted; `fresh_states` starts it.

    report: called with the steps (of all environments) that came since the last call.
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
        """A scan of `body` in as many parts as divide its length, up to REPORTS, each followed by a report."""
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
    """States that have learned nothing, and their seeds: run.seed and those after it, [count] first."""
    seeds = range(reference.config.run.seed, reference.config.run.seed + count)
    states = [reference.agent.init(seed) for seed in seeds]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states), jnp.array(seeds, jnp.int32)


def one(tree: Any, index: int = 0) -> Any:
    """That of one seed, out of [seeds]."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def random_actions(key: jax.Array, spaces: Spaces, shape: tuple[int, ...]) -> jax.Array:
    """Uniform: float32 [*shape, A] in [-1, 1), or the numbers of choices."""
    if spaces.choices:
        return jax.random.randint(key, (*shape, 1), 0, spaces.choices).astype(jnp.float32)
    return jax.random.uniform(key, (*shape, spaces.action_size), minval=-1.0, maxval=1.0)


def _step(environment: Environment, running: _Running, actions: jax.Array, fresh) -> tuple[_Running, Episodes]:
    """One step of every environment, stored; where an episode ended, the next one begins at `fresh`."""
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
