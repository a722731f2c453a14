"""Strided VALID convolution whose input gradient is fast on CPUs.

The input gradient of a stride-s convolution is a convolution over a gradient with s - 1 zeros between its entries, and XLA
multiplies with all of them. For one residue of the input's index (mod s), only some taps of the kernel meet
an entry: s^2 small dense convolutions with stride 1, interleaved, give the same sums without the zeros.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def _convolve(x, kernel, stride: int, padding="VALID") -> jax.Array:
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=_LAYOUT)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """x: [B, H, W, I]; kernel: [k, k, I, O]; returns [B, (H - k) // stride + 1, (W - k) // stride + 1, O]."""
    return _convolve(x, kernel, stride)


def _forward(x, kernel, stride):
    return _convolve(x, kernel, stride), (x, kernel)


def _backward(stride, saved, grad):
    x, kernel = saved
    (kernel_grad,) = jax.vjp(lambda k: _convolve(x, k, stride), kernel)[1](grad)

    def dilated(grad, kernel):
        return jax.vjp(lambda x: _convolve(x, kernel, stride), x)[1](grad)[0]

    by_residue = partial(_input_grad_by_residue, stride=stride, height=x.shape[1], width=x.shape[2])
    if stride == 1 or stride > kernel.shape[0]:  # nothing is dilated, or some residue has no taps
        return dilated(grad, kernel), kernel_grad
    return jax.lax.platform_dependent(grad, kernel, cpu=by_residue, default=dilated), kernel_grad


convolve.defvjp(_forward, _backward)


def _input_grad_by_residue(grad, kernel, *, stride: int, height: int, width: int) -> jax.Array:
    """dx[s p + r] = sum_t dy[p - t] w[r + s t], for every residue r of rows and columns."""
    kernel = kernel.transpose(0, 1, 3, 2)
    rows, columns = -(-height // stride), -(-width // stride)

    def residue(r: int, c: int) -> jax.Array:
        taps = kernel[r::stride, c::stride][::-1, ::-1]
        padding = [(taps.shape[0] - 1, rows - grad.shape[1]), (taps.shape[1] - 1, columns - grad.shape[2])]
        return _convolve(grad, taps, 1, padding)

    parts = [jnp.stack([residue(r, c) for c in range(stride)], axis=3) for r in range(stride)]
    whole = jnp.stack(parts, axis=2)  # [B, rows, s, columns, s, I]
    return whole.reshape(grad.shape[0], rows * stride, columns * stride, -1)[:, :height, :width]
