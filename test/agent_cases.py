"""Small systems and random batches that the agent's tests share."""

from __future__ import annotations

import os
from functools import cache

from jsac_ros import xla_settings

# Compiling takes most of the time of these tests. Half of it is optimisation, which they do not need; the fusion emitters
# take two thirds of the rest. XLA reads its flags when its first device is asked for.
_FLAGS = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false".strip()
if xla_settings.accepted(_FLAGS):
    os.environ["XLA_FLAGS"] = _FLAGS

import jax  # noqa: E402
import numpy as np  # noqa: E402

jax.config.update("jax_disable_most_optimizations", True)

from jsac_ros import plugins  # noqa: E402
from jsac_ros.agent import build  # noqa: E402
from jsac_ros.agent.agent import Agent  # noqa: E402
from jsac_ros.agent.parameters import NetworkParameters  # noqa: E402
from jsac_ros.agent.update import Update, make_update  # noqa: E402
from jsac_ros.spaces import ActionSpace, ImageSpace, Spaces, VectorSpace  # noqa: E402
from jsac_ros.types import Arrays, Batch, batch_layout  # noqa: E402

IMAGE = ImageSpace("wrist", 17, 19, channels=3, stack=2)
SMALL = ImageSpace("scene", 9, 8, channels=1, stack=1)
BESIDE = ImageSpace("scene", 17, 19, channels=1, stack=3)
VECTORS = (VectorSpace("joint_position", 3, "rad"), VectorSpace("wrench", 2, "N"))
ACTIONS = (ActionSpace("arm", 2, "rad/s"), ActionSpace("gripper", 1))
CHOICES = (ActionSpace("arm", 1, choices=3),)

# What an observation is made of, and the encoder that it takes.
OBSERVATIONS = {
    "vectors": ((), VECTORS, "separate"),
    "image": ((IMAGE,), (), "separate"),
    "both": ((IMAGE,), VECTORS, "separate"),
    "two images, separate": ((IMAGE, SMALL), VECTORS, "separate"),
    "two images, joined": ((IMAGE, BESIDE), VECTORS, "joined"),
}
ALGORITHMS = plugins.names("agent")


def spaces_of(mode: str, algorithm: str = "jsac") -> Spaces:
    images, vectors, _ = OBSERVATIONS[mode]
    return Spaces.of(images, vectors, CHOICES if algorithm == "dqn" else ACTIONS)


def small(algorithm: str = "jsac", **changes) -> NetworkParameters:
    """Every part of the recipe, in sizes that compile in seconds."""
    sizes = {
        "conv_channels": (4,), "conv_kernels": (3,), "conv_strides": (2,), "latent_dim": 7, "hidden": (16,),
    }  # fmt: skip
    if algorithm != "dqn":
        sizes["q_count"] = 3
    return plugins.load("agent", algorithm).Parameters(**(sizes | changes))


@cache
def agent_of(mode: str, algorithm: str = "jsac", parameters: NetworkParameters | None = None) -> Agent:
    """One agent for all tests of a run, so that its update is compiled once."""
    parameters = parameters or small(algorithm, encoder=OBSERVATIONS[mode][2])
    return build(parameters, spaces_of(mode, algorithm))


@cache
def compiled_update(agent: Agent) -> Update:
    """`make_update`, compiled once for all tests of a run."""
    return make_update(agent)


def random_batch(spaces: Spaces, size: int = 8, n_step: int = 1, seed: int = 0) -> Batch:
    """Uint8 frames, actions in [-1, 1] or numbers of choices, one transition in four terminal, unequal weights."""
    rng = np.random.default_rng(seed)
    fields = {
        path: rng.integers(0, 256, shape).astype(dtype) if dtype != "float32" else rng.normal(size=shape).astype(dtype)
        for path, (shape, dtype) in batch_layout(spaces, size, n_step).items()
    }
    for part in spaces.actions:
        drawn = rng.integers(part.choices, size=(size, 1)) if part.choices else rng.uniform(-1, 1, (size, part.size))
        fields[f"action/{part.name}"] = drawn.astype(np.float32)
    fields["discount"] = np.where(rng.uniform(size=size) < 0.25, 0.0, 0.99).astype(np.float32)
    fields["weight"] = rng.uniform(0.2, 1.0, size).astype(np.float32)
    return Batch.of(fields)


def random_observation(spaces: Spaces, seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    images = {image.name: rng.integers(0, 256, image.shape, np.uint8) for image in spaces.images}
    return images | {vector.name: rng.normal(size=vector.size).astype(np.float32) for vector in spaces.vectors}


def flat(parts: Arrays) -> np.ndarray:
    """The parts of a batch of vectors or actions side by side, in order of their names."""
    return np.concatenate([parts[name] for name in sorted(parts)], axis=-1)


def same(a, b) -> bool:
    """Two trees, to the bit."""
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def host(tree):
    """A copy that survives donation."""
    return jax.tree.map(np.array, tree)
