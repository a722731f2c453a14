"""An exported policy: `policy.safetensors` with the parameters, `policy.json` with all that is needed to use them.

    policy = load("my_policy")                      # no ROS, no learner
    action = policy({"wrist": image, "joint_position": vector})   # -> {"arm": float32 [A] in [-1, 1]}

Both files are plain data: nothing in them is executed when they are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from jsac_ros import documents, plugins
from jsac_ros.agent.agent import Agent, Params
from jsac_ros.agent.policy import Act, action_key, make_act
from jsac_ros.agent.policy_files import ABOUT, FORMAT, WEIGHTS, about_of
from jsac_ros.spaces import Spaces
from jsac_ros.types import Action


@dataclass(frozen=True)
class Policy:
    """A loaded policy. `about` is the JSON; calling it acts deterministically unless a key is given."""

    act: Act
    params: Params
    agent: Agent
    about: dict[str, Any]

    @property
    def spaces(self) -> Spaces:
        return self.agent.spaces

    def __call__(self, observation: Mapping[str, np.ndarray], key: np.ndarray | None = None) -> Action:
        """observation: {image: uint8 [H, W, S*C], oldest frame first; vector: float32 [n]}; -> {part: float32 [a]}.

        key: uint32 [2] of `action_key`, to sample instead of taking the mean.
        Raises ValueError naming a part that is missing, unknown, or of another shape or dtype.
        """
        self.spaces.check_observation(observation)
        key, deterministic = (action_key(0, 0, 0), True) if key is None else (key, False)
        return self.act(self.params, dict(observation), key, deterministic)


def save(folder: str | Path, params: Params, agent: Agent, card: dict[str, Any]) -> None:
    """Writes the policy with the parameters from `Agent.policy_params`. Raises OSError; the previous policy is whole then.

    card: JSON values about its origin and the meaning of its actions (task, robot, steps, results, ...).
    """
    tensors = {_name(path): np.array(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
    about = {
        "format": FORMAT,
        "spaces": agent.spaces.to_json(),
        "agent": agent.parameters.model_dump(mode="json"),
        "card": card,
        "tensors": {name: list(value.shape) for name, value in tensors.items()},
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{WEIGHTS}", folder / f".{ABOUT}"
    try:
        save_file(tensors, beside[0])
    except SafetensorError as error:
        raise OSError(None, str(error)) from None
    beside[1].write_text(json.dumps(about, indent=2) + "\n")
    beside[0].replace(folder / WEIGHTS)  # both are complete, so a full disk does not destroy the previous policy
    beside[1].replace(folder / ABOUT)


def load(folder: str | Path, algorithm: str | None = None) -> Policy:
    """Raises ValueError with one line if files are missing, damaged, of another format or of other shapes.

    algorithm: `module:Class` of an algorithm that is not an installed plug-in. A module that only the file names is not
    imported. No array is read or allocated before all shapes agree.
    """
    folder = Path(folder)
    try:
        about = about_of(folder)
        with safe_open(folder / WEIGHTS, framework="numpy") as file:
            agent = _agent_of(about, algorithm)
            _check_tensors(file, agent)
            params = jax.tree_util.tree_map_with_path(
                lambda path, _: jnp.asarray(file.get_tensor(_name(path))), agent.policy_template
            )
    except (OSError, SafetensorError) as error:
        raise ValueError(f"policy {folder}: {WEIGHTS} cannot be read: {' '.join(str(error).split())}") from None
    except ValueError as error:
        raise ValueError(f"policy {folder}: {' '.join(str(error).split())}") from None
    return Policy(make_act(agent), params, agent, about)


def _agent_of(about: dict[str, Any], algorithm: str | None) -> Agent:
    """The agent that policy.json describes. Raises ValueError."""
    try:
        named = about["agent"]["type"]
        if algorithm is None and ":" in named:
            raise ValueError(f"agent.type is {named!r}; expected an installed plug-in, or this name given to load() or --agent")
        if algorithm is not None and algorithm != named:
            raise ValueError(f"agent.type is {named!r}; expected {algorithm!r}")
        plugin = plugins.load("agent", named)
        parameters = plugin.Parameters.model_validate(about["agent"], strict=False)  # JSON has no tuples
        agent = plugin.build(parameters, Spaces.from_json(about["spaces"]))
        _ = agent.policy_template  # shapes only; sizes beyond JAX's integers raise here
    except KeyError as error:
        raise ValueError(f"policy.json: {error} is missing") from None
    except Exception as error:  # the sizes may be anything, and JAX raises various exceptions
        raise ValueError(f"policy.json: {documents.one_line(error)}") from None
    return agent


def _check_tensors(file: Any, agent: Agent) -> None:
    """Raises ValueError if the header names other arrays than those of the agent's policy."""
    found = {name: _described(file.get_slice(name)) for name in file.keys()}
    expected = {
        _name(path): f"F32{list(leaf.shape)}" for path, leaf in jax.tree_util.tree_leaves_with_path(agent.policy_template)
    }
    for name in [*expected, *found]:
        if found.get(name) != expected.get(name):
            raise ValueError(f"{name} is {found.get(name, 'missing')}; expected {expected.get(name, 'no such array')}")


def _described(part: Any) -> str:
    return f"{part.get_dtype()}{list(part.get_shape())}"


def _name(path) -> str:
    return "/".join(str(part.key) for part in path)
