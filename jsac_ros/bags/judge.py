"""Evaluates a checkpoint on recorded steps: its action, values, entropy and saliency."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jsac_ros.agent.actor_critic import ActorCritic
from jsac_ros.agent.agent import Agent, TrainState
from jsac_ros.agent.checkpoint import CheckpointError, Checkpoints
from jsac_ros.agent.distributions import sample_tanh_gaussian
from jsac_ros.agent.observation import Inputs, inputs_of
from jsac_ros.agent.saliency import make_saliency
from jsac_ros.config import ConfigError
from jsac_ros.types import Arrays, Observation

BATCH = 64


class Judgement(NamedTuple):
    """The evaluation of B steps, in NumPy."""

    sampled: np.ndarray  # float32 [B, A], sampled with the step's key
    greedy: np.ndarray  # float32 [B, A], tanh of the mean
    entropy: np.ndarray  # float32 [B], -log pi of the sampled action
    q: np.ndarray  # float32 [N, B], of the recorded action
    q_greedy: np.ndarray  # float32 [N, B], of the greedy action


class Judge:
    """One checkpoint. Raises ConfigError if it does not fit the agent, or if the algorithm is not an actor-critic."""

    def __init__(self, path: str | Path, agent: Agent):
        if not isinstance(agent, ActorCritic):
            raise ConfigError(
                f"agent.type is {agent.parameters.type!r}; expected an actor-critic, such as jsac, to judge recorded steps"
            )
        self._agent = agent
        self.name, self._state = load(path, agent)
        self._critic, self._actor = self._state.params["critic"], self._state.params["actor"]
        self._judge = jax.jit(lambda *arguments: _judge(agent.networks, *arguments))
        self._saliency = make_saliency(agent)

    def __call__(self, observation: Arrays, action: np.ndarray, key: np.ndarray) -> Judgement:
        """observation: {image: uint8 [B, H, W, C*S], vector: float32 [B, n]}; action: float32 [B, A]; key: uint32 [B, 2], from
        `action_key`; B is at most 64."""
        count = len(action)
        padded = {name: _padded(part) for name, part in observation.items()}  # one shape, so that it compiles once
        inputs = inputs_of(self._agent.spaces, padded)
        j = self._judge(self._critic, self._actor, inputs, _padded(action), _padded(key))
        j = Judgement(*map(np.asarray, j))
        return Judgement(j.sampled[:count], j.greedy[:count], j.entropy[:count], j.q[:, :count], j.q_greedy[:, :count])

    def saliency(self, observation: Observation) -> Arrays:
        """Influence of each pixel on the value of the greedy action: {image: float32 [H, W] in [0, 1]}."""
        return self._saliency(self._state, observation)


def _padded(rows: np.ndarray) -> np.ndarray:
    return np.concatenate([rows, np.zeros((BATCH - len(rows), *rows.shape[1:]), rows.dtype)])


def load(path: str | Path, agent: Agent) -> tuple[str, TrainState]:
    """(name, TrainState) from a run folder, a checkpoints folder or one checkpoint in it. Raises ConfigError."""
    folder, step = Path(path), None
    if not folder.is_dir():
        raise ConfigError(f"checkpoint {path}: no such folder; expected a run folder or one of its checkpoints")
    if folder.name.isdigit():
        folder, step = folder.parent, int(folder.name)
    elif (folder / "checkpoints").is_dir():
        folder = folder / "checkpoints"
    try:
        with Checkpoints(folder, agent, read_only=True) as checkpoints:
            state, _ = checkpoints.restore(step)
    except CheckpointError as error:
        raise ConfigError(str(error)) from None
    return f"{path} after {int(state.step)} updates", state


def _judge(networks, critic, actor, observation: Inputs, action, key):
    z, vector = networks.encode(critic, observation), observation.vector
    mean, log_std = networks.actor.apply({"params": actor}, z, vector)
    sampled, log_prob = jax.vmap(lambda k, m, s: sample_tanh_gaussian(k, m, s))(key, mean, log_std)
    value = lambda a: networks.critic.apply({"params": critic["critic"]}, z, vector, a)
    greedy = jnp.tanh(mean)
    return Judgement(sampled, greedy, -log_prob, value(action), value(greedy))
