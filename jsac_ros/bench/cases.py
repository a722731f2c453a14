"""The measured cases: shapes with their parameters, random batches, and the number of operations of an update."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from jsac_ros.agent.jsac.parameters import JsacParameters
from jsac_ros.spaces import ActionSpace, ImageSpace, Spaces, VectorSpace
from jsac_ros.types import Arrays, Batch, batch_layout

# JSAC with all stabilisers, 1024 x 1024 and 5 Qs: with the write-up's encoder, and with the smaller one of Yuan and Mahmood.
WRITE_UP = JsacParameters()
LIGHT = JsacParameters(conv_channels=(32,) * 4, conv_kernels=(3,), conv_strides=(2, 2, 2, 1))


class Case(NamedTuple):
    spaces: Spaces
    batch_size: int
    repeats: int  # timed updates on a CPU
    parameters: JsacParameters = LIGHT


def _case(height: int, width: int, batch_size: int, repeats: int, images: int = 1, **changes) -> Case:
    cameras = [ImageSpace(f"camera_{k}", height, width, channels=3, stack=3) for k in range(images)]
    spaces = Spaces.of(cameras, [VectorSpace("joints", 15)], [ActionSpace("arm", 5)])
    parameters = changes.pop("parameters", LIGHT).model_copy(update=changes)
    return Case(spaces, batch_size, repeats, parameters)


CASES = {
    "96x96x9_b128": _case(96, 96, 128, 12),
    "160x90x9_b256": _case(90, 160, 256, 6),
    "64x64x9_b64": _case(64, 64, 64, 30),
    "48x48x9_b64": _case(48, 48, 64, 40),
    # the write-up's encoder at the write-up's shape
    "96x96x9_b128_write_up": _case(96, 96, 128, 12, parameters=WRITE_UP),
    # one image, and two images of half the pixels each
    "64x128x9_b64": _case(64, 128, 64, 20),
    "2_64x64x9_b64_separate": _case(64, 64, 64, 20, images=2),
    "2_64x64x9_b64_joined": _case(64, 64, 64, 20, images=2, encoder="joined"),
    "128x256x9_b64": _case(128, 256, 64, 6),
    "2_128x128x9_b64_separate": _case(128, 128, 64, 6, images=2),
    "2_128x128x9_b64_joined": _case(128, 128, 64, 6, images=2, encoder="joined"),
}


def random_batch(case: Case, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    layout = batch_layout(case.spaces, case.batch_size, case.parameters.n_step)
    return Batch.of(
        {
            path: rng.random(shape, np.float32) if dtype == "float32" else rng.integers(0, 255, shape, dtype)
            for path, (shape, dtype) in layout.items()
        }
    )


def random_observation(case: Case, seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    images = {image.name: rng.integers(0, 255, image.shape, np.uint8) for image in case.spaces.images}
    return images | {vector.name: rng.normal(size=vector.size).astype(np.float32) for vector in case.spaces.vectors}


def multiplications(case: Case) -> float:
    """Floating-point operations (2 per multiply-add) of the matrix products and convolutions in one update.

    The encoder has four forward passes: the observation, the next observation by encoder and target encoder, and the
    observation again for the actor. The backward pass costs one forward pass for the kernels and one for the inputs, except
    for the image itself.
    """
    p, spaces = case.parameters, case.spaces
    if p.encoder == "joined":
        stacks = [(*spaces.images[0].shape[:2], sum(image.shape[2] for image in spaces.images))]
    else:
        stacks = [image.shape for image in spaces.images]
    encoder, z = 0, 0
    for height, width, channels in stacks:
        layers = []
        for out, kernel, stride in p.conv_layers:
            height, width = ((n - kernel) // stride + 1 for n in (height, width))
            layers.append(height * width * kernel**2 * channels * out)
            channels = out
        encoder += 4 * sum(layers) + sum(layers) + sum(layers[1:])
        z += height * width * channels

    def mlp(inputs: int, outputs: int) -> int:
        sizes = (inputs, *p.hidden, outputs)
        return sum(a * b for a, b in zip(sizes, sizes[1:], strict=False))

    projection, others = z * p.latent_dim, p.latent_dim + spaces.vector_size
    ensemble = p.q_count * mlp(others + spaces.action_size, 1)
    actor = mlp(others, 2 * spaces.action_size)
    # Critic: target forward, forward and backward (3); for the actor forward and back to the action.
    critic = (1 + 3 + 2) * ensemble + (1 + 3 + 1) * projection
    # Actor: next action forward, forward and backward; z is a constant.
    return 2.0 * case.batch_size * (encoder + critic + (1 + 3) * actor + (1 + 2) * projection)


def milliseconds(seconds: list[float]) -> dict[str, float]:
    """{"p50", "p99"} of durations, in ms."""
    return {f"p{q}": round(1e3 * float(np.percentile(seconds, q)), 3) for q in (50, 99)}


def share(part: float, whole: float) -> float:
    return round(part / whole, 3) if whole else math.nan
