"""What the actor process needs: the policy's parameters as one vector, and one action from one observation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from jsac_ros.agent.distributions import sample_tanh_gaussian
from jsac_ros.agent.networks import make_networks
from jsac_ros.agent.state import Params, TrainState
from jsac_ros.config import AgentConfig
from jsac_ros.types import Spec

Act = Callable[[Params, np.ndarray, np.ndarray, np.ndarray, bool], jax.Array]

# Fields that change what the same parameters compute; the others show in their shapes or matter only in learning.
_FORWARD_FIELDS = (
    "algorithm", "conv_strides", "conv_activation", "hidden_activation", "log_std_min", "log_std_max", "bfloat16",
)  # fmt: skip


def compute_in_calling_thread() -> None:
    """For a process that only acts, before its first computation: an action is there when the call returns, and all of
    it was computed at the caller's priority. With one thread for XLA (PJRT_NPROC=1) no other thread takes part.

    JAX reads this setting from no variable of the environment.
    """
    jax.config.update("jax_cpu_enable_async_dispatch", False)


def policy_parameters(state: TrainState) -> Params:
    """{"encoder", "actor"}: float32 trees; the encoder is the critic's."""
    return {"encoder": state.critic.params["encoder"], "actor": state.actor.params}


@jax.jit
def flatten(params: Params) -> jax.Array:
    """All leaves in jax tree order as one float32 vector; still on the device."""
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(params)])


def unflatten(vector: np.ndarray, config: AgentConfig, spec: Spec) -> Params:
    """The tree that `flatten` took apart. Raises ValueError where the vector has another length or dtype."""
    template = _template(config, spec)
    leaves, structure = jax.tree.flatten(template)
    size = sum(leaf.size for leaf in leaves)
    if vector.shape != (size,) or vector.dtype != np.float32:
        raise ValueError(f"policy is {vector.dtype}{list(vector.shape)}; expected float32[{size}]")
    ends = np.cumsum([leaf.size for leaf in leaves])
    parts = [
        jnp.asarray(vector[end - leaf.size : end].reshape(leaf.shape)) for leaf, end in zip(leaves, ends, strict=True)
    ]
    return jax.tree.unflatten(structure, parts)


def parameter_count(config: AgentConfig, spec: Spec) -> int:
    """Length of the vector that `flatten` makes."""
    return sum(leaf.size for leaf in jax.tree.leaves(_template(config, spec)))


def layout_hash(config: AgentConfig, spec: Spec) -> int:
    """uint64 that differs wherever a vector of one side would mean something else on the other."""
    template = jax.tree_util.tree_leaves_with_path(_template(config, spec))
    layout = {
        "leaves": [[jax.tree_util.keystr(path), list(leaf.shape), str(leaf.dtype)] for path, leaf in template],
        "spec": list(spec),
        "config": {name: getattr(config, name) for name in _FORWARD_FIELDS},
    }
    return int.from_bytes(hashlib.sha256(json.dumps(layout).encode()).digest()[:8], "little")


def make_act(config: AgentConfig, spec: Spec) -> Act:
    """The compiled `act(params, image, proprioception, key, deterministic) -> action`, a batch of one.

    params: of `policy_parameters`; image: uint8 [H, W, C*S]; proprioception: float32 [P]; key: uint32 [2] of
    `action_key`; deterministic: tanh of the mean instead of a sample; action: float32 [A] in [-1, 1].
    """
    networks = make_networks(config, spec)

    @jax.jit
    def act(params, image, proprioception, key, deterministic):
        z = networks.encoder.apply({"params": params["encoder"]}, image[None])
        mean, log_std = networks.actor.apply({"params": params["actor"]}, z, proprioception[None])
        action, _ = sample_tanh_gaussian(key, mean, log_std)
        return jnp.where(deterministic, jnp.tanh(mean), action)[0]

    return act


def acting_seed(run_seed: int, session: int) -> int:
    """The seed of one session's actions, uint32: a restarted actor draws other noise."""
    return (run_seed ^ session) & 0xFFFFFFFF


def action_key(seed: int, episode: int, step: int) -> np.ndarray:
    """The random key, uint32 [2], of one step: whoever knows the three numbers can compute its action again.

    NumPy, not JAX: no dispatch in the control thread.
    """
    return np.random.SeedSequence((seed, episode, step)).generate_state(2, np.uint32)


def random_action(key: np.ndarray, spec: Spec) -> np.ndarray:
    """Uniform in [-1, 1), float32 [A], or the number of a choice: the initial random steps. key: of `action_key`."""
    random = np.random.default_rng(key)
    drawn = random.integers(spec.choices, size=1) if spec.choices else random.uniform(-1.0, 1.0, spec.action)
    return drawn.astype(np.float32)


@lru_cache(maxsize=8)
def _template(config: AgentConfig, spec: Spec) -> Params:
    from jsac_ros.agent.algorithm import algorithm_of  # which itself imports this module

    algorithm = algorithm_of(config)
    return jax.eval_shape(lambda: algorithm.policy_parameters(algorithm.create(config, spec, 0)))
