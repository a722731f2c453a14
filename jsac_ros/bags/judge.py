"""What a checkpoint thinks of recorded steps: its action, its values, its doubt, and where it looked."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jsac_ros.agent.checkpoint import CheckpointError, Checkpoints
from jsac_ros.agent.distributions import sample_tanh_gaussian
from jsac_ros.agent.networks import make_networks
from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.types import Spec

BATCH = 64


class Judgement(NamedTuple):
    """Of B steps, NumPy."""

    sampled: np.ndarray  # float32 [B, A], with the step's key
    greedy: np.ndarray  # float32 [B, A], tanh of the mean
    entropy: np.ndarray  # float32 [B], -log pi of the sampled action
    q: np.ndarray  # float32 [N, B], of the recorded action
    q_greedy: np.ndarray  # float32 [N, B], of the greedy action


class Judge:
    """One checkpoint. Raises ConfigError where it does not fit the configuration."""

    def __init__(self, path: str | Path, config: SystemConfig, spec: Spec):
        if config.agent.algorithm != "jsac":
            raise ConfigError(f"agent.algorithm is {config.agent.algorithm!r}; expected 'jsac' to judge recorded steps")
        self.name, state = load(path, config, spec)
        self._critic, self._actor = state.critic.params, state.actor.params
        networks = make_networks(config.agent, spec)
        self._judge = jax.jit(lambda *arguments: _judge(networks, *arguments))
        self._saliency = jax.jit(lambda *arguments: _saliency(networks, *arguments))

    def __call__(self, image: np.ndarray, proprioception: np.ndarray, action: np.ndarray, key: np.ndarray) -> Judgement:
        """uint8 [B, H, W, C*S], float32 [B, P], float32 [B, A], uint32 [B, 2] of `action_key`; B up to 64."""
        count = len(action)
        steps = (_padded(x) for x in (image, proprioception, action, key))  # one shape, one compilation
        j = Judgement(*map(np.asarray, self._judge(self._critic, self._actor, *steps)))
        return Judgement(j.sampled[:count], j.greedy[:count], j.entropy[:count], j.q[:, :count], j.q_greedy[:, :count])

    def saliency(self, image: np.ndarray, proprioception: np.ndarray) -> np.ndarray:
        """How much each pixel of the newest frame moves the value of the greedy action: float32 [H, W] in [0, 1].

        image: uint8 [H, W, C*S]; the gradient's size summed over channels and frames, smoothed, over its largest.
        """
        slope = np.asarray(self._saliency(self._critic, self._actor, image.astype(np.float32), proprioception))
        return slope / max(float(slope.max()), 1e-12)


def _padded(rows: np.ndarray) -> np.ndarray:
    return np.concatenate([rows, np.zeros((BATCH - len(rows), *rows.shape[1:]), rows.dtype)])


def load(path: str | Path, config: SystemConfig, spec: Spec):
    """(name, TrainState) from a run folder, a checkpoints folder or one checkpoint in it. Raises ConfigError."""
    folder, step = Path(path), None
    if not folder.is_dir():
        raise ConfigError(f"checkpoint {path}: no such folder; expected a run folder or one of its checkpoints")
    if folder.name.isdigit():
        folder, step = folder.parent, int(folder.name)
    elif (folder / "checkpoints").is_dir():
        folder = folder / "checkpoints"
    try:
        with Checkpoints(folder, config.agent, spec, keep=None) as checkpoints:
            state, _ = checkpoints.restore(step)
    except CheckpointError as error:
        raise ConfigError(str(error)) from None
    return f"{path} after {int(state.step)} updates", state


def _judge(networks, critic, actor, image, proprioception, action, key):
    z = networks.encoder.apply({"params": critic["encoder"]}, image)
    mean, log_std = networks.actor.apply({"params": actor}, z, proprioception)
    sampled, log_prob = jax.vmap(lambda k, m, s: sample_tanh_gaussian(k, m, s))(key, mean, log_std)
    value = lambda a: networks.critic.apply({"params": critic["critic"]}, z, proprioception, a)  # noqa: E731
    greedy = jnp.tanh(mean)
    return Judgement(sampled, greedy, -log_prob, value(action), value(greedy))


def _saliency(networks, critic, actor, image, proprioception):
    def value(pixels):
        z = networks.encoder.apply({"params": critic["encoder"]}, pixels[None])
        mean, _ = networks.actor.apply({"params": actor}, z, proprioception[None])
        greedy = jax.lax.stop_gradient(jnp.tanh(mean))
        return networks.critic.apply({"params": critic["critic"]}, z, proprioception[None], greedy).mean()

    slope = jnp.abs(jax.grad(value)(image)).sum(-1)
    kernel = jnp.ones((3, 3)) / 9  # single pixels are noise of the strides
    return jax.scipy.signal.convolve2d(slope, kernel, mode="same")
