"""Encoder, actor and critic of the write-up (sections 2.1 to 2.3).

Parameters are float32 and start as `initial.py` draws them; with `bfloat16` the products run in it and every output
is float32 again. Axes: B batch, N ensemble, z the encoder's output.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jsac_ros.agent.convolution import convolve
from jsac_ros.config import AgentConfig, smallest_image
from jsac_ros.types import Spec

ACTIVATIONS = {"relu": nn.relu, "leaky_relu": nn.leaky_relu, "elu": nn.elu, "silu": nn.silu, "tanh": nn.tanh}


def normalise(image: jax.Array, dtype: Any = jnp.float32) -> jax.Array:
    """uint8 [0, 255] -> [-1, 1]."""
    return image.astype(dtype) * (2.0 / 255.0) - 1.0


def _convolve(x, kernel, strides, padding, **_):
    """What nn.Conv calls, with our input gradient."""
    return convolve(x, kernel, strides[0])


def _dense(width: int, dtype: Any, name: str) -> nn.Dense:
    return nn.Dense(width, dtype=dtype, name=name)


def _norm(dtype: Any, name: str) -> nn.LayerNorm:
    # Two passes: E[x^2] - E[x]^2 would lose digits where the mean is large.
    return nn.LayerNorm(use_fast_variance=False, dtype=dtype, name=name)


class Encoder(nn.Module):
    """Image -> z (section 2.1): VALID convolutions, all but the last followed by LayerNorm (channels) and LeakyReLU."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    kernel: int
    layer_norm: bool
    activation: str
    dtype: Any

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """image: uint8 [B, H, W, C*S]; returns float32 [B, z]. Without a camera (H = 0) z is empty."""
        if image.size == 0:
            return jnp.zeros((image.shape[0], 0), jnp.float32)
        x = normalise(image, self.dtype)
        for i, (channels, stride) in enumerate(zip(self.channels, self.strides, strict=True)):
            x = nn.Conv(
                channels, (self.kernel, self.kernel), stride, "VALID",
                dtype=self.dtype, conv_general_dilated=_convolve, name=f"conv_{i}",
            )(x)  # fmt: skip
            if i < len(self.channels) - 1:
                x = _norm(self.dtype, f"norm_{i}")(x) if self.layer_norm else x
                x = ACTIVATIONS[self.activation](x)
        return x.reshape(x.shape[0], -1).astype(jnp.float32)


class Latent(nn.Module):
    """Joins z, projected to `width` with LayerNorm and tanh, and the other inputs. Where z is empty: only those."""

    width: int
    layer_norm: bool
    dtype: Any

    @nn.compact
    def __call__(self, z: jax.Array, *others: jax.Array) -> jax.Array:
        if z.shape[-1] == 0:
            return jnp.concatenate(others, axis=-1)
        x = _dense(self.width, self.dtype, "projection")(z)
        x = _norm(self.dtype, "norm")(x) if self.layer_norm else x
        return jnp.concatenate([nn.tanh(x).astype(jnp.float32), *others], axis=-1)


class MLP(nn.Module):
    """Hidden layers, each followed by LayerNorm (optional) and an activation."""

    hidden: tuple[int, ...]
    layer_norm: bool
    activation: str
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for i, width in enumerate(self.hidden):
            x = _dense(width, self.dtype, f"dense_{i}")(x)
            x = _norm(self.dtype, f"norm_{i}")(x) if self.layer_norm else x
            x = ACTIVATIONS[self.activation](x)
        return x


class Actor(nn.Module):
    """(z, p) -> Gaussian before squashing (section 2.2). Its LayerNorm on the latent is unconditional."""

    latent_dim: int
    mlp: dict[str, Any]
    action: int
    log_std_min: float
    log_std_max: float
    dtype: Any

    @nn.compact
    def __call__(self, z: jax.Array, proprioception: jax.Array) -> tuple[jax.Array, jax.Array]:
        """z: float32 [B, z]; proprioception: float32 [B, P]; returns mean and log_std, float32 [B, A]."""
        x = Latent(self.latent_dim, True, self.dtype, name="latent")(z, proprioception)
        x = MLP(**self.mlp, dtype=self.dtype, name="mlp")(x)
        mean = _dense(self.action, self.dtype, "mean")(x).astype(jnp.float32)
        log_std = _dense(self.action, self.dtype, "log_std")(x).astype(jnp.float32)
        return mean, jnp.clip(log_std, self.log_std_min, self.log_std_max)


class QFunction(nn.Module):
    mlp: dict[str, Any]
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = MLP(**self.mlp, dtype=self.dtype, name="mlp")(x)
        return _dense(1, self.dtype, "value")(x)[..., 0].astype(jnp.float32)


class Critic(nn.Module):
    """(z, p, a) -> N values (section 2.3): one latent shared by an ensemble that is one batched computation."""

    latent_dim: int
    mlp: dict[str, Any]
    count: int
    dtype: Any

    @nn.compact
    def __call__(self, z: jax.Array, proprioception: jax.Array, action: jax.Array) -> jax.Array:
        """z: float32 [B, z]; proprioception: float32 [B, P]; action: float32 [B, A]; returns float32 [N, B]."""
        x = Latent(self.latent_dim, self.mlp["layer_norm"], self.dtype, name="latent")(z, proprioception, action)
        ensemble = nn.vmap(
            QFunction,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=None,
            out_axes=0,
            axis_size=self.count,
        )
        return ensemble(self.mlp, self.dtype, name="ensemble")(x)


class Networks(NamedTuple):
    encoder: Encoder
    actor: Actor
    critic: Critic


def make_networks(config: AgentConfig, spec: Spec) -> Networks:
    """Raises ValueError where the convolutions do not fit the image or there is nothing to see."""
    smallest = smallest_image(config)
    if spec.height and min(spec.height, spec.width) < smallest:
        raise ValueError(
            f"image {spec.height}x{spec.width}: expected at least {smallest}x{smallest} for convolutions "
            f"{config.conv_kernel}x{config.conv_kernel} with strides {list(config.conv_strides)}"
        )
    if not spec.height and not spec.proprioception:
        raise ValueError("observation is empty: expected an image, proprioception or both")
    dtype = jnp.bfloat16 if config.bfloat16 else jnp.float32
    mlp = {"hidden": config.hidden, "layer_norm": config.layer_norm, "activation": config.hidden_activation}
    return Networks(
        Encoder(
            config.conv_channels, config.conv_strides, config.conv_kernel,
            config.layer_norm and config.conv_layer_norm, config.conv_activation, dtype,
        ),
        Actor(config.latent_dim, mlp, spec.action, config.log_std_min, config.log_std_max, dtype),
        Critic(config.latent_dim, mlp, config.q_count, dtype),
    )  # fmt: skip
