"""What is measured: the recipe at four shapes, random batches of it, and how many operations an update has."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from jsac_ros.config import AgentConfig
from jsac_ros.types import Batch, Spec, batch_layout


class Case(NamedTuple):
    spec: Spec
    batch_size: int
    repeats: int  # updates timed, on a CPU


def _case(height: int, width: int, batch_size: int, repeats: int) -> Case:
    return Case(Spec(height, width, channels=3, stack=3, proprioception=15, action=5), batch_size, repeats)


CASES = {
    "96x96x9_b128": _case(96, 96, 128, 12),
    "160x90x9_b256": _case(90, 160, 256, 6),
    "64x64x9_b64": _case(64, 64, 64, 30),
    "48x48x9_b64": _case(48, 48, 64, 40),
}
CONFIG = AgentConfig()  # as published: 4 x 32 channels, latent 64, 1024 x 1024, 5 Qs, every stabiliser


def random_batch(case: Case, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    fields = {}
    for name, (shape, dtype) in batch_layout(case.spec, case.batch_size).items():
        fields[name] = rng.random(shape, np.float32) if dtype == "float32" else rng.integers(0, 255, shape, dtype)
    return Batch(**fields)


def multiplications(config: AgentConfig, case: Case) -> float:
    """Floating-point operations (2 per multiply-add) of the products in one update; nothing else is counted.

    The encoder runs forwards four times: the observation, the next one by the encoder and by its target, and the
    observation again for the actor. Backwards costs as much as forwards for the kernels and again for the inputs, of
    which the image's is not needed.
    """
    layers, (height, width), channels = [], (case.spec.height, case.spec.width), case.spec.image_shape[-1]
    for out, stride in zip(config.conv_channels, config.conv_strides, strict=True):
        height, width = ((n - config.conv_kernel) // stride + 1 for n in (height, width))
        layers.append(height * width * config.conv_kernel**2 * channels * out)
        channels = out
    encoder = 4 * sum(layers) + sum(layers) + sum(layers[1:])

    def mlp(inputs: int, outputs: int) -> int:
        sizes = (inputs, *config.hidden, outputs)
        return sum(a * b for a, b in zip(sizes, sizes[1:], strict=False))

    projection = height * width * channels * config.latent_dim
    others = config.latent_dim + case.spec.proprioception
    ensemble = config.q_count * mlp(others + case.spec.action, 1)
    actor = mlp(others, 2 * case.spec.action)
    # Critic: target forwards, forwards and backwards (3); for the actor forwards and back to the action.
    critic = (1 + 3 + 2) * ensemble + (1 + 3 + 1) * projection
    # Actor: next action forwards, forwards and backwards; z is a constant for it.
    return 2.0 * case.batch_size * (encoder + critic + (1 + 3) * actor + (1 + 2) * projection)


def milliseconds(seconds: list[float]) -> dict[str, float]:
    """{"p50", "p99"} of durations, in ms."""
    return {f"p{q}": round(1e3 * float(np.percentile(seconds, q)), 3) for q in (50, 99)}


def share(part: float, whole: float) -> float:
    return round(part / whole, 3) if whole else math.nan
