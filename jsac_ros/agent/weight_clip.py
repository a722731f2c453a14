"""Weight clipping (Elsayed et al., 2024), eq. 4 of the write-up."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jsac_ros.agent.initial import ORTHOGONAL_SCALE


def clip_weights(params, kappa: float):
    """W <- clip(W, -kappa s_l, kappa s_l) with s_l = sqrt(2), the scale with which the kernels are drawn.

    Every kernel of `params` is clipped, dense and convolutional; biases and LayerNorm scales, which eq. 1 does not
    draw with that scale, are not clipped.
    """
    bound = kappa * ORTHOGONAL_SCALE

    def clip(path, leaf):
        return jnp.clip(leaf, -bound, bound) if path[-1].key == "kernel" else leaf

    return jax.tree_util.tree_map_with_path(clip, params)
