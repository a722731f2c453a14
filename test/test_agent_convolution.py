"""The input gradient by residues against a scatter loop in NumPy, for sizes that leave rows and columns over."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from jsac_ros.agent.convolution import convolve


@pytest.mark.parametrize(
    ("height", "width", "kernel", "stride"),
    [
        (17, 19, 3, 2),
        (16, 18, 3, 2),
        (9, 8, 3, 1),
        (20, 23, 5, 3),
        (12, 13, 2, 2),
        (13, 11, 4, 2),
        (9, 10, 1, 3),
        (21, 22, 5, 2),
    ],
)
def test_gradients_equal_a_scatter_loop(height, width, kernel, stride):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, height, width, 3)).astype(np.float32)
    weights = rng.normal(size=(kernel, kernel, 3, 4)).astype(np.float32)
    y, backward = jax.vjp(lambda x, w: convolve(x, w, stride), x, weights)
    grad = rng.normal(size=y.shape).astype(np.float32)
    expected, x_grad, w_grad = np.zeros(y.shape), np.zeros(x.shape), np.zeros(weights.shape)
    for i in range(y.shape[1]):
        for j in range(y.shape[2]):
            rows, columns = (slice(n * stride, n * stride + kernel) for n in (i, j))
            expected[:, i, j] = np.einsum("bhwi,hwio->bo", x[:, rows, columns], weights)
            x_grad[:, rows, columns] += np.einsum("bo,hwio->bhwi", grad[:, i, j], weights)
            w_grad += np.einsum("bhwi,bo->hwio", x[:, rows, columns], grad[:, i, j])
    for ours, reference in zip((y, *backward(grad)), (expected, x_grad, w_grad), strict=True):
        np.testing.assert_allclose(ours, reference, rtol=1e-5, atol=1e-5)
