"""The same agent in a plain Python loop over Gymnasium: what the compiled loop is measured against.

Update and policy are compiled, as anybody would have them; environment, buffer and loop are NumPy and Python.
"""

from __future__ import annotations

import time

import gymnasium
import numpy as np

from jsac_ros.agent.algorithm import algorithm_of
from jsac_ros.agent.policy import action_key
from jsac_ros.config import SystemConfig
from jsac_ros.envs import ENVIRONMENTS
from jsac_ros.types import Batch, Spec

GYMNASIUM = {"cartpole": "CartPole-v1", "pendulum": "Pendulum-v1"}


class Rows:
    """A ring of transitions in NumPy."""

    def __init__(self, capacity: int, spec: Spec):
        self._rows = np.zeros((capacity, 2 * spec.proprioception + spec.action + 2), np.float32)
        self._spec, self.added = spec, 0

    def add(self, observation, action, reward: float, mask: float, next_observation) -> None:
        row = self._rows[self.added % len(self._rows)]
        row[:] = np.concatenate([observation, action, (reward, mask), next_observation])
        self.added += 1

    def sample(self, random: np.random.Generator, size: int, discount: float) -> Batch:
        p, a, spec = self._spec.proprioception, self._spec.action, self._spec
        index = random.integers(0, min(self.added, len(self._rows)), size)
        rows = self._rows[index]
        return Batch(
            frames=np.zeros((size, spec.stack + 1, *spec.frame_shape), np.uint8),
            proprioception=rows[:, :p],
            next_proprioception=rows[:, p + a + 2 :],
            action=rows[:, p : p + a],
            reward=rows[:, p + a],
            discount=discount * rows[:, p + a + 1],
            weight=np.ones(size, np.float32),
            index=index,
        )


def steps_per_second(config: SystemConfig, blocks: int, block: int) -> float:
    """Trains for so many blocks of steps after the warm-up; the rate of the fastest. Compilation is not counted."""
    spec, random = ENVIRONMENTS[config.train.environment].spec, np.random.default_rng(config.run.seed)
    algorithm, environment = algorithm_of(config.agent), gymnasium.make(GYMNASIUM[config.train.environment])
    state = algorithm.create(config.agent, spec, config.run.seed)
    update, act = algorithm.make_update(config.agent, spec), algorithm.make_act(config.agent, spec)
    rows, image = Rows(config.replay.capacity, spec), np.zeros(spec.image_shape, np.uint8)
    warmup = config.replay.warmup_steps
    observation, _ = environment.reset(seed=config.run.seed)
    first, ends_s = warmup + 1, []  # from the first step on everything is compiled
    for step in range(first + blocks * block):
        if step >= first and (step - first) % block == 0:
            np.asarray(state.step)  # every update is done
            ends_s.append(time.perf_counter())
        if step < warmup:
            action = _random_action(random, spec)
        else:
            key = action_key(config.run.seed, 0, step)
            action = np.asarray(act(algorithm.policy_parameters(state), image, observation, key, False))
        next_observation, reward, terminated, truncated, _ = environment.step(to_gymnasium(environment, action, spec))
        rows.add(observation, action, reward, 1.0 - terminated, next_observation)
        observation = environment.reset()[0] if terminated or truncated else next_observation
        if step >= warmup:
            state, _ = update(state, rows.sample(random, config.replay.batch_size, config.agent.discount))
    np.asarray(state.step)
    return block / float(np.diff([*ends_s, time.perf_counter()]).min())


def to_gymnasium(environment: gymnasium.Env, action: np.ndarray, spec: Spec):
    """float32 [A] in [-1, 1] -> what the environment takes (the ActionNormalizer); a choice -> its number."""
    if spec.choices:
        return int(action[0])
    low, high = environment.action_space.low, environment.action_space.high
    return np.clip(low + 0.5 * (action + 1.0) * (high - low), low, high)


def _random_action(random: np.random.Generator, spec: Spec) -> np.ndarray:
    if spec.choices:
        return random.integers(0, spec.choices, 1).astype(np.float32)
    return random.uniform(-1.0, 1.0, spec.action).astype(np.float32)
