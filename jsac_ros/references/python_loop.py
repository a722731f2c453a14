"""The baseline of the compiled loop: the same agent in a plain Python loop over a Gymnasium environment.

Update and policy are jitted, as usual; environment, buffer and loop are NumPy and Python.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import gymnasium
import numpy as np

from jsac_ros.agent.learning import Learner
from jsac_ros.agent.policy import action_key, make_act, random_action
from jsac_ros.references.loop import Reference
from jsac_ros.spaces import Spaces
from jsac_ros.training.spaces import ACTION, STATE, native
from jsac_ros.types import Action, Batch

GYMNASIUM = {"cartpole": "CartPole-v1", "pendulum": "Pendulum-v1"}


class Rows:
    """A ring buffer of transitions in NumPy."""

    def __init__(self, capacity: int, spaces: Spaces):
        self._rows = np.zeros((capacity, 2 * spaces.vector_size + spaces.action_size + 2), np.float32)
        self._spaces, self.added = spaces, 0

    def add(self, observation: np.ndarray, action: Action, reward: float, mask: float, next_observation: np.ndarray) -> None:
        row = self._rows[self.added % len(self._rows)]
        row[:] = np.concatenate([observation, self._spaces.flat_action(action), (reward, mask), next_observation])
        self.added += 1

    def sample(self, random: np.random.Generator, size: int, discount: float) -> Batch:
        v, a = self._spaces.vector_size, self._spaces.action_size
        index = random.integers(0, min(self.added, len(self._rows)), size)
        rows = self._rows[index]
        return Batch(
            frames={},
            vectors={STATE: rows[:, :v]},
            next_vectors={STATE: rows[:, v + a + 2 :]},
            action=self._spaces.split_action(rows[:, v : v + a]),
            reward=rows[:, v + a],
            discount=discount * rows[:, v + a + 1],
            weight=np.ones(size, np.float32),
            index=index,
        )


def steps_per_second(reference: Reference, blocks: int, block: int) -> float:
    """Steps per second of the fastest of `blocks` blocks of `block` steps after the warm-up, without compilation."""
    config, spaces, agent = reference.config, reference.environment.spaces, reference.agent
    environment, seed = gymnasium.make(GYMNASIUM[config.train.environment]), config.run.seed
    learner, act, random = Learner(agent, agent.init(seed)), make_act(agent), np.random.default_rng(seed)
    rows, warmup = Rows(config.replay.capacity, spaces), config.replay.warmup_steps
    first, ends_s = warmup + 1, []  # the first learning step compiles

    def batches() -> Iterator[Batch]:
        observation, _ = environment.reset(seed=seed)
        for step in range(first + blocks * block):
            if step >= first and (step - first) % block == 0:
                np.asarray(learner.state.step)  # waits until every update is done
                ends_s.append(time.perf_counter())
            key = action_key(seed, 0, step)
            if step < warmup:
                action = random_action(key, spaces)
            else:
                action = act(learner.policy_params(), {STATE: observation}, key, False)
            taken = native(action[ACTION], environment.action_space)
            next_observation, reward, terminated, truncated, _ = environment.step(taken)
            rows.add(observation, action, reward, 1.0 - terminated, next_observation)
            observation = environment.reset()[0] if terminated or truncated else next_observation
            if step >= warmup:
                yield rows.sample(random, config.replay.batch_size, config.agent.discount)

    learner.learn(batches())
    return block / float(np.diff([*ends_s, time.perf_counter()]).min())
