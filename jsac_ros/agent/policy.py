"""Functions for the actor process: the policy's parameters as one vector, and one action from one observation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jsac_ros.agent.agent import Agent, Params
from jsac_ros.agent.observation import inputs_of
from jsac_ros.spaces import Spaces
from jsac_ros.types import Action

Act = Callable[[Params, Mapping[str, np.ndarray], np.ndarray, bool], Action]


def compute_in_calling_thread() -> None:
    """For a process that only acts; call it before the first computation. An action is then complete when the call returns,
    and all of it was computed at the caller's priority. With one thread for XLA (PJRT_NPROC=1) no other thread is involved.

    JAX has no environment variable for this setting.
    """
    jax.config.update("jax_cpu_enable_async_dispatch", False)


def make_act(agent: Agent) -> Act:
    """The compiled `act(params, observation, key, deterministic) -> action`.

    params: from `Agent.policy_params`; observation: {image: uint8 [H, W, S*C], vector: float32 [n]}; key: uint32 [2] of
    `action_key`; action: {part: float32 [a]}, in [-1, 1], or the index of a choice.
    """

    @jax.jit
    def flat_action(params, observation, key, deterministic):
        batch = {name: value[None] for name, value in observation.items()}
        return agent.act(params, inputs_of(agent.spaces, batch), key, deterministic)[0]

    def act(params, observation, key, deterministic) -> Action:
        return agent.spaces.split_action(np.asarray(flat_action(params, observation, key, deterministic)))

    return act


@jax.jit
def flatten(params: Params) -> jax.Array:
    """All leaves in jax tree order as one float32 vector; still on the device."""
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(params)])


def unflatten(vector: np.ndarray, agent: Agent) -> Params:
    """The inverse of `flatten`. Raises ValueError if the vector has another length or dtype."""
    leaves, structure = jax.tree.flatten(agent.policy_template)
    size = parameter_count(agent)
    if vector.shape != (size,) or vector.dtype != np.float32:
        raise ValueError(f"policy is {vector.dtype}{list(vector.shape)}; expected float32[{size}]")
    ends = np.cumsum([leaf.size for leaf in leaves])
    parts = [jnp.asarray(vector[end - leaf.size : end].reshape(leaf.shape)) for leaf, end in zip(leaves, ends, strict=True)]
    return jax.tree.unflatten(structure, parts)


def parameter_count(agent: Agent) -> int:
    """Length of the vector that `flatten` makes."""
    return sum(leaf.size for leaf in jax.tree.leaves(agent.policy_template))


def layout_hash(agent: Agent) -> int:
    """A uint64 that differs whenever a vector would mean something else on the other side."""
    leaves = jax.tree_util.tree_leaves_with_path(agent.policy_template)
    fields, forward = agent.parameters.model_dump(mode="json"), agent.forward_fields
    layout = {
        "leaves": [[jax.tree_util.keystr(path), list(leaf.shape), str(leaf.dtype)] for path, leaf in leaves],
        "spaces": agent.spaces.to_json(),
        "agent": fields if forward is None else {name: fields[name] for name in ("type", *forward)},
    }
    return int.from_bytes(hashlib.sha256(json.dumps(layout).encode()).digest()[:8], "little")


def acting_seed(run_seed: int, session: int) -> int:
    """The seed of one session's actions, uint32: a restarted actor draws different noise."""
    return (run_seed ^ session) & 0xFFFFFFFF


def action_key(seed: int, episode: int, step: int) -> np.ndarray:
    """The random key, uint32 [2], of one step: its action can be recomputed from these three numbers.

    NumPy, not JAX: no dispatch in the control thread.
    """
    return np.random.SeedSequence((seed, episode, step)).generate_state(2, np.uint32)


def random_action(key: np.ndarray, spaces: Spaces) -> Action:
    """A random initial action: uniform in [-1, 1), or the index of a choice. key: of `action_key`."""
    random = np.random.default_rng(key)
    draw = {
        part.name: random.integers(part.choices, size=1) if part.choices else random.uniform(-1.0, 1.0, part.size)
        for part in spaces.actions
    }
    return {name: drawn.astype(np.float32) for name, drawn in draw.items()}
