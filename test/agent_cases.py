"""Small systems and random batches that the agent's tests share."""

from __future__ import annotations

from functools import cache

import jax
import numpy as np

from jsac_ros.agent.update import Update, make_update
from jsac_ros.config import AgentConfig
from jsac_ros.types import Batch, Spec, batch_layout

# Compiling takes most of the time of these tests; half of it is optimisation, which they do not need.
jax.config.update("jax_disable_most_optimizations", True)

SPECS = {
    "image": Spec(height=17, width=19, channels=3, stack=2, proprioception=0, action=3),
    "proprioception": Spec(height=0, width=0, channels=3, stack=1, proprioception=5, action=3),
    "both": Spec(height=17, width=19, channels=3, stack=2, proprioception=5, action=3),
}


def small_config(**changes) -> AgentConfig:
    """Every part of the recipe, in sizes that compile in seconds."""
    sizes = {
        "conv_channels": (4, 6), "conv_strides": (2, 1), "latent_dim": 7, "hidden": (16, 12), "q_count": 3,
    }  # fmt: skip
    return AgentConfig(**(sizes | changes))


def random_batch(spec: Spec, size: int = 8, n_step: int = 1, seed: int = 0) -> Batch:
    """Uint8 frames, actions in [-1, 1], one transition in four terminal, unequal weights."""
    rng = np.random.default_rng(seed)
    layout = batch_layout(spec, size, n_step)
    fields = {
        name: rng.integers(0, 256, shape).astype(dtype) if dtype != "float32" else rng.normal(size=shape).astype(dtype)
        for name, (shape, dtype) in layout.items()
    }
    fields["action"] = rng.uniform(-1, 1, layout["action"][0]).astype(np.float32)
    fields["discount"] = np.where(rng.uniform(size=size) < 0.25, 0.0, 0.99).astype(np.float32)
    fields["weight"] = rng.uniform(0.2, 1.0, size).astype(np.float32)
    return Batch(**fields)


@cache
def compiled_update(config: AgentConfig, spec: Spec) -> Update:
    """`make_update`, compiled once for all tests of a run."""
    return make_update(config, spec)
