"""Initial parameters (eq. 1): every kernel orthogonal with scale sqrt(2), biases zero, LayerNorm scales one.

Drawn once, in NumPy on the host: nothing to compile, the same numbers on every device, and no QR decomposition
inside XLA. XLA's QR blocks a worker of its thread pool until other workers have done its parts (jaxlib 0.10.2,
ParallelBatchMap): with the two workers of a two-core machine, two concurrent decompositions deadlock.
"""

from __future__ import annotations

import math
from typing import Any

import flax.linen as nn
import jax
import numpy as np

ORTHOGONAL_SCALE = math.sqrt(2.0)  # s_l of the write-up
HEADS = frozenset({"mean", "log_std", "value", "values"})  # last layers


def shapes_of(module: nn.Module, *inputs: Any) -> Any:
    """The shapes of the parameters of `module` for inputs of these shapes (jax.ShapeDtypeStruct); {} if it has none."""
    return jax.eval_shape(module.init, jax.random.PRNGKey(0), *inputs).get("params", {})


def initialise(shapes: Any, rng: np.random.Generator, head_scale: float = ORTHOGONAL_SCALE) -> Any:
    """Initial parameters of these shapes: a tree of float32 NumPy arrays.

    Kernels are [in, out], [h, w, in, out] of a convolution, or [N, in, out] of an ensemble.
    head_scale: scale of the kernels of the last layers.
    """

    def draw(path, leaf):
        layer, name = (part.key for part in path[-2:])
        scale = head_scale if layer in HEADS else ORTHOGONAL_SCALE
        match name:
            case "kernel" if leaf.ndim == 3:
                return np.stack([orthogonal(rng, leaf.shape[1:], scale) for _ in range(leaf.shape[0])])
            case "kernel":
                return orthogonal(rng, leaf.shape, scale)
            case "scale":
                return np.ones(leaf.shape, np.float32)
            case "bias":
                return np.zeros(leaf.shape, np.float32)
        raise ValueError(f"parameter {jax.tree_util.keystr(path)}: expected a kernel, a bias or a scale")

    return jax.tree_util.tree_map_with_path(draw, shapes)


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Uniform over the matrices [prod(shape[:-1]), shape[-1]] whose shorter side is orthogonal with norm `scale`."""
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))).astype(np.float32))
    q *= np.sign(np.diag(r))  # QR alone is not uniform (Mezzadri, 2007)
    return np.ascontiguousarray(np.float32(scale) * (q if rows >= columns else q.T)).reshape(shape)
