"""First parameters (eq. 1): every kernel orthogonal with scale sqrt(2), biases zero, LayerNorm scales one.

Drawn in NumPy, on the host and once: nothing to compile, the same numbers on every device, and no QR decomposition
inside XLA. That one blocks a worker of XLA's thread pool until others have done its parts (jaxlib 0.10.2,
ParallelBatchMap): with the two workers of a two-core machine, two decompositions at a time wait for each other for ever.
"""

from __future__ import annotations

import math
from typing import Any

import flax.linen as nn
import jax
import numpy as np

ORTHOGONAL_SCALE = math.sqrt(2.0)  # s_l of the write-up


def initialise(module: nn.Module, rng: np.random.Generator, *inputs: Any) -> Any:
    """The parameters of `module` for inputs of these shapes: a tree of float32 NumPy arrays, empty where it has none.

    Kernels are [in, out], [h, w, in, out] of a convolution, or [N, in, out] of an ensemble.
    """
    shapes = jax.eval_shape(module.init, jax.random.PRNGKey(0), *inputs).get("params", {})

    def draw(path, leaf):
        match path[-1].key:
            case "kernel" if leaf.ndim == 3:
                return np.stack([orthogonal(rng, leaf.shape[1:]) for _ in range(leaf.shape[0])])
            case "kernel":
                return orthogonal(rng, leaf.shape)
            case "scale":
                return np.ones(leaf.shape, np.float32)
            case "bias":
                return np.zeros(leaf.shape, np.float32)
        raise ValueError(f"parameter {jax.tree_util.keystr(path)}: expected a kernel, a bias or a scale")

    return jax.tree_util.tree_map_with_path(draw, shapes)


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform over the matrices [prod(shape[:-1]), shape[-1]] whose shorter side is orthogonal with norm sqrt(2)."""
    rows, columns = math.prod(shape[:-1]), shape[-1]
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))).astype(np.float32))
    q *= np.sign(np.diag(r))  # QR alone is not uniform (Mezzadri, 2007)
    return np.ascontiguousarray(ORTHOGONAL_SCALE * (q if rows >= columns else q.T)).reshape(shape)
