"""A policy to carry away: `policy.safetensors` with the weights, `policy.json` with all that is needed to use them.

    policy = load("my_policy")                      # no ROS, no learner
    action = policy(image, proprioception)          # uint8 [H, W, C*S], float32 [P] -> float32 [A] in [-1, 1]

Both files are plain data: nothing in them is executed when they are read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from jsac_ros.agent.algorithm import algorithm_of
from jsac_ros.agent.policy import action_key
from jsac_ros.agent.state import Params
from jsac_ros.config import AgentConfig
from jsac_ros.types import Spec

FORMAT = 1


class Policy(NamedTuple):
    """A loaded policy. `about` is the JSON; calling it acts deterministically unless told otherwise."""

    act: Any
    params: Params
    config: AgentConfig
    spec: Spec
    about: dict[str, Any]

    def __call__(self, image, proprioception, key: np.ndarray | None = None) -> np.ndarray:
        """image: uint8 [H, W, C*S], oldest frame first; proprioception: float32 [P]; float32 [A] in [-1, 1].

        key: uint32 [2] of `action_key`, to sample instead of taking the mean.
        Raises ValueError where a shape or dtype is another one.
        """
        _check("image", image, self.spec.image_shape, np.uint8)
        _check("proprioception", proprioception, (self.spec.proprioception,), np.float32)
        key, deterministic = (action_key(0, 0, 0), True) if key is None else (key, False)
        return np.asarray(self.act(self.params, image, proprioception, key, deterministic))


def save(folder: str | Path, params: Params, config: AgentConfig, spec: Spec, task: dict[str, Any]) -> None:
    """Writes a policy of `policy_parameters`.

    task: JSON values about where it was learned and what its actions mean (name, action scale and units, joints, ...).
    """
    tensors = {_name(path): np.array(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
    about = {
        "format": FORMAT,
        "observation": {
            "image": {"shape": list(spec.image_shape), "dtype": "uint8", "normalisation": "x * 2 / 255 - 1"},
            "proprioception": {"shape": [spec.proprioception], "dtype": "float32", "normalisation": "none"},
        },
        "action": {"shape": [spec.action], "range": [-1.0, 1.0], "choices": spec.choices},
        "spec": spec._asdict(),
        "agent": config.model_dump(mode="json"),
        "task": task,
        "tensors": {name: list(value.shape) for name, value in tensors.items()},
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "policy.safetensors")
    (folder / "policy.json").write_text(json.dumps(about, indent=2) + "\n")


def load(folder: str | Path) -> Policy:
    """Raises ValueError with one line where files are missing, damaged, of another format or of other shapes."""
    folder = Path(folder)
    try:
        about = json.loads((folder / "policy.json").read_text())
        tensors = load_file(folder / "policy.safetensors")
    except (OSError, json.JSONDecodeError, UnicodeDecodeError, SafetensorError) as error:
        raise ValueError(f"policy {folder}: cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        found = about.get("format") if isinstance(about, dict) else about
        raise ValueError(f"policy {folder}: format {found}; expected {FORMAT}")
    try:
        # Not strict: JSON has no tuples.
        config, spec = AgentConfig.model_validate(about["agent"], strict=False), Spec(**about["spec"])
        if not all(type(value) is int and value >= 0 for value in spec):
            raise ValueError(f"spec is {about['spec']}; expected whole numbers")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"policy {folder}: policy.json: {' '.join(str(error).split())}") from None
    algorithm = algorithm_of(config)
    template = jax.eval_shape(lambda: algorithm.policy_parameters(algorithm.create(config, spec, 0)))
    expected = {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(template)}
    for name in [*expected, *tensors]:
        found, wanted = (_describe(tree.get(name)) for tree in (tensors, expected))
        if found != wanted:
            raise ValueError(f"policy {folder}: {name} is {found}; expected {wanted}")
    params = jax.tree_util.tree_map_with_path(lambda path, _: jax.numpy.asarray(tensors[_name(path)]), template)
    return Policy(algorithm.make_act(config, spec), params, config, spec, about)


def _check(name: str, given, shape: tuple[int, ...], dtype) -> None:
    given = np.asarray(given)
    if given.shape != shape or given.dtype != dtype:
        raise ValueError(f"{name} is {given.dtype}{list(given.shape)}; expected {np.dtype(dtype)}{list(shape)}")


def _name(path) -> str:
    return "/".join(str(part.key) for part in path)


def _describe(leaf) -> str:
    return "missing" if leaf is None else f"{leaf.dtype}{list(leaf.shape)}"
