"""The whole training loop as one compiled function: act, step, store, sample, update - nothing returns to Python.

`jax.vmap` over the agent and the seed trains many at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jsac_ros.agent.algorithm import algorithm_of
from jsac_ros.config import SystemConfig
from jsac_ros.envs import ENVIRONMENTS, Environment
from jsac_ros.references import buffer as replay
from jsac_ros.types import Spec

REPORTS = 100  # of progress, in a run


class Episodes(NamedTuple):
    """What one step of every environment says about episodes; meaningful where `ended`. [E]"""

    ended: jax.Array  # bool
    episode_return: jax.Array  # float32, without discount
    length: jax.Array  # int32, steps
    success: jax.Array  # bool


class Trained(NamedTuple):
    agent: Any  # the state of the algorithm
    episodes: Episodes  # [T, E]
    metrics: dict[str, jax.Array]  # float32 [T], of the last update of each step; NaN before learning


class _Running(NamedTuple):
    agent: Any
    environments: Any  # states, [E]
    length: jax.Array  # int32 [E]
    episode_return: jax.Array  # float32 [E]
    buffer: replay.Buffer


class _Chance(NamedTuple):
    """All that is random in T steps, drawn before them: one large draw costs little more than one small one. [T]"""

    act: jax.Array  # keys, [T, E]
    actions: jax.Array  # float32 [T, E, A]: uniform ones
    fresh: Any  # states, [T, E]: where the next episode begins
    sample: jax.Array  # keys, [T, updates]


def _chances(environment: Environment, key: jax.Array, steps: int, count: int, updates: int) -> _Chance:
    act_key, action_key, fresh_key, sample_key = jax.random.split(key, 4)
    reset = jax.vmap(jax.vmap(environment.reset))
    return _Chance(
        act=jax.random.split(act_key, (steps, count)),
        actions=random_actions(action_key, environment.spec, (steps, count)),
        fresh=reset(jax.random.split(fresh_key, (steps, count))),
        sample=jax.random.split(sample_key, (steps, updates)),
    )


def make_train(
    config: SystemConfig, report: Callable[[int], None] | None = None
) -> Callable[[Any, jax.Array], Trained]:
    """The function (agent, seed int32 []) -> Trained, to be jitted, or vmapped and jitted; `fresh_agents` starts it.

    report: called with the steps (of all environments) that came since the last call.
    """
    environment, train = ENVIRONMENTS[config.train.environment], config.train
    algorithm = algorithm_of(config.agent)
    spec = environment.spec
    if spec.choices and config.agent.algorithm != "dqn":
        raise ValueError(f"agent.algorithm is {config.agent.algorithm!r}; expected 'dqn' for {spec.choices} choices")
    act = make_act_many(config)
    update = algorithm.make_update(config.agent, spec)
    count = train.environments
    warmup = config.replay.warmup_steps // count
    learning = train.steps // count - warmup
    if learning < 1 or config.replay.warmup_steps < config.replay.batch_size:
        raise ValueError(
            f"replay.warmup_steps is {config.replay.warmup_steps}; expected between replay.batch_size "
            f"{config.replay.batch_size} and train.steps {train.steps}"
        )

    def explore(running: _Running, chance: _Chance):
        running, episodes = _step(environment, running, chance.actions, chance.fresh)
        return running, episodes

    def advance(running: _Running, chance: _Chance):
        parameters = algorithm.policy_parameters(running.agent)
        actions = act(parameters, jax.vmap(environment.observe)(running.environments), chance.act, False)
        running, episodes = _step(environment, running, actions, chance.fresh)
        agent, buffer = running.agent, running.buffer
        for i in range(train.updates_per_step):
            batch = replay.sample(buffer, chance.sample[i], config.replay, spec, config.agent.discount, agent.step)
            agent, metrics = update(agent, batch)
            buffer = replay.learned(buffer, batch.index, metrics.pop("td_error"), config.replay.priority_alpha)
        return running._replace(agent=agent, buffer=buffer), (episodes, metrics)

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

    def run(agent: Any, seed: jax.Array) -> Trained:
        reset_key, explore_key, advance_key = jax.random.split(jax.random.PRNGKey(seed), 3)
        running = _Running(
            agent=agent,
            environments=jax.vmap(environment.reset)(jax.random.split(reset_key, count)),
            length=jnp.zeros(count, jnp.int32),
            episode_return=jnp.zeros(count),
            buffer=replay.create(config.replay, spec, count),
        )
        running, before = reported(explore, running, explore_key, warmup)
        running, (after, metrics) = reported(advance, running, advance_key, learning)
        episodes = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), before, after)
        nothing = jnp.full(warmup, jnp.nan)
        return Trained(running.agent, episodes, jax.tree.map(lambda m: jnp.concatenate([nothing, m]), metrics))

    return run


def fresh_agents(config: SystemConfig, count: int) -> tuple[Any, jax.Array]:
    """Agents that have learned nothing, and their seeds: run.seed and those after it, [count] first."""
    spec, seeds = ENVIRONMENTS[config.train.environment].spec, range(config.run.seed, config.run.seed + count)
    agents = [algorithm_of(config.agent).create(config.agent, spec, seed) for seed in seeds]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *agents), jnp.array(seeds, jnp.int32)


def one(tree: Any, index: int = 0) -> Any:
    """That of one seed, out of [seeds]."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def make_act_many(config: SystemConfig) -> Callable:
    """act(parameters, observations [E, P], keys [E], deterministic) -> float32 [E, A]."""
    spec = ENVIRONMENTS[config.train.environment].spec
    act = algorithm_of(config.agent).make_act(config.agent, spec)
    image = jnp.zeros(spec.image_shape, jnp.uint8)
    return lambda parameters, observations, keys, deterministic: jax.vmap(
        lambda observation, key: act(parameters, image, observation, key, deterministic)
    )(observations, keys)


def random_actions(key: jax.Array, spec: Spec, shape: tuple[int, ...]) -> jax.Array:
    """Uniform: float32 [*shape, A] in [-1, 1), or the numbers of choices."""
    if spec.choices:
        return jax.random.randint(key, (*shape, 1), 0, spec.choices).astype(jnp.float32)
    return jax.random.uniform(key, (*shape, spec.action), minval=-1.0, maxval=1.0)


def _step(environment: Environment, running: _Running, actions: jax.Array, fresh) -> tuple[_Running, Episodes]:
    """One step of every environment, stored; those whose episode ended go on from `fresh`."""
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
    return running, Episodes(ended, episode_return, length, outcome.success)
