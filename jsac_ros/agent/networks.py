"""Encoder, actor and critic of the write-up (sections 2.1 to 2.3).

Parameters are float32, drawn by `initial.py`. With `bfloat16` the products are computed in bfloat16 and every output
is float32 again. Axes: B batch, N ensemble, V values of all vectors, A of all parts of an action, z the encoder's output.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jsac_ros.agent.convolution import convolve
from jsac_ros.agent.initial import shapes_of
from jsac_ros.agent.observation import Inputs
from jsac_ros.agent.parameters import NetworkParameters
from jsac_ros.spaces import Spaces

ACTIVATIONS = {"relu": nn.relu, "leaky_relu": nn.leaky_relu, "elu": nn.elu, "silu": nn.silu, "tanh": nn.tanh}


def normalise(image: jax.Array, limit: float = 1.0, dtype: Any = jnp.float32) -> jax.Array:
    """uint8 [0, 255] -> [-limit, limit]."""
    return image.astype(dtype) * (2.0 * limit / 255.0) - limit


def _convolve(x, kernel, strides, padding, **_):
    """The convolution for nn.Conv, with our input gradient."""
    return convolve(x, kernel, strides[0])


def _dense(width: int, dtype: Any, name: str) -> nn.Dense:
    return nn.Dense(width, dtype=dtype, name=name)


def _norm(dtype: Any, name: str) -> nn.LayerNorm:
    # Two passes: E[x^2] - E[x]^2 would lose digits if the mean is large.
    return nn.LayerNorm(use_fast_variance=False, dtype=dtype, name=name)


class ConvNet(nn.Module):
    """Image -> z (section 2.1): VALID convolutions, all but the last followed by LayerNorm (channels) and LeakyReLU."""

    layers: tuple[tuple[int, int, int], ...]  # channels, kernel, stride
    layer_norm: bool
    activation: str
    pixel_limit: float
    dtype: Any

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """image: uint8 [B, H, W, C]; returns float32 [B, z]."""
        x = normalise(image, self.pixel_limit, self.dtype)
        for i, (channels, kernel, stride) in enumerate(self.layers):
            x = nn.Conv(
                channels, (kernel, kernel), stride, "VALID",
                dtype=self.dtype, conv_general_dilated=_convolve, name=f"conv_{i}",
            )(x)  # fmt: skip
            if i < len(self.layers) - 1:
                x = _norm(self.dtype, f"norm_{i}")(x) if self.layer_norm else x
                x = ACTIVATIONS[self.activation](x)
        return x.reshape(x.shape[0], -1).astype(jnp.float32)


class SpatialPool(nn.Module):
    """Features of an image -> z: `count` learned weighted sums over the places of every channel (SERL, 2024)."""

    count: int

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """features: float32 [B, h, w, c]; returns float32 [B, c * count]."""
        batch, height, width, channels = features.shape
        places = features.reshape(batch, height * width, channels)
        kernel = self.param("kernel", nn.initializers.zeros, (channels, height * width, self.count))
        return jnp.einsum("bpc,cpk->bck", places, kernel).reshape(batch, -1)


class Encoder(nn.Module):
    """Images and features -> z: one network for each image, or one for all of them side by side on the channel axis."""

    names: tuple[str, ...]  # of the images
    joined: bool
    conv_net: dict[str, Any]
    maps: tuple[str, ...] = ()  # names of the features
    pooled: int = 1  # sums of each of their channels

    @nn.compact
    def __call__(self, images: dict[str, jax.Array], maps: dict[str, jax.Array] | None = None) -> jax.Array | None:
        """images: {name: uint8 [B, H, W, S*C]}; maps: {name: float32 [B, h, w, c]}.

        Returns float32 [B, z], the images in order, then the features; None if there is neither.
        """
        parts = []
        if self.names and self.joined:
            parts.append(ConvNet(**self.conv_net, name="joined")(jnp.concatenate([images[n] for n in self.names], axis=-1)))
        elif self.names:
            parts += [ConvNet(**self.conv_net, name=n)(images[n]) for n in self.names]
        parts += [SpatialPool(self.pooled, name=n)((maps or {})[n]) for n in self.maps]
        return jnp.concatenate(parts, axis=-1) if parts else None


class Latent(nn.Module):
    """z projected to `width` with LayerNorm and tanh, concatenated with the vectors and other inputs. Without z: only those."""

    width: int
    vector_limit: float  # vectors are clipped to +-limit if there is a z; 0: not clipped
    dtype: Any

    @nn.compact
    def __call__(self, z: jax.Array | None, vector: jax.Array, *others: jax.Array) -> jax.Array:
        """z: float32 [B, z]; vector: float32 [B, V]; others: float32 [B, n]; returns float32 [B, n]."""
        if z is None:
            return jnp.concatenate([vector, *others], axis=-1)
        x = _norm(self.dtype, "norm")(_dense(self.width, self.dtype, "projection")(z))
        if self.vector_limit:
            vector = jnp.clip(vector, -self.vector_limit, self.vector_limit)
        return jnp.concatenate([nn.tanh(x).astype(jnp.float32), vector, *others], axis=-1)


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
    """(z, vectors) -> Gaussian before squashing (section 2.2)."""

    latent: dict[str, Any]
    mlp: dict[str, Any]
    action_size: int
    log_std_min: float
    log_std_max: float

    @nn.compact
    def __call__(self, z: jax.Array | None, vector: jax.Array) -> tuple[jax.Array, jax.Array]:
        """z: float32 [B, z]; vector: float32 [B, V]; returns mean and log_std, float32 [B, A]."""
        x = MLP(**self.mlp, name="mlp")(Latent(**self.latent, name="latent")(z, vector))
        mean = _dense(self.action_size, self.mlp["dtype"], "mean")(x).astype(jnp.float32)
        log_std = _dense(self.action_size, self.mlp["dtype"], "log_std")(x).astype(jnp.float32)
        return mean, jnp.clip(log_std, self.log_std_min, self.log_std_max)


class Value(nn.Module):
    """A network with one scalar output."""

    mlp: dict[str, Any]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x: float32 [B, n]; returns float32 [B]."""
        x = MLP(**self.mlp, name="mlp")(x)
        return _dense(1, self.mlp["dtype"], "value")(x)[..., 0].astype(jnp.float32)


class Critic(nn.Module):
    """(z, vectors, a) -> N values (section 2.3): an ensemble, computed as one batch, on one shared latent."""

    latent: dict[str, Any]
    mlp: dict[str, Any]
    count: int

    @nn.compact
    def __call__(self, z: jax.Array | None, vector: jax.Array, action: jax.Array) -> jax.Array:
        """z: float32 [B, z]; vector: float32 [B, V]; action: float32 [B, A]; returns float32 [N, B]."""
        x = Latent(**self.latent, name="latent")(z, vector, action)
        ensemble = nn.vmap(
            Value,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=None,
            out_axes=0,
            axis_size=self.count,
        )
        return ensemble(self.mlp, name="ensemble")(x)


class Settings(NamedTuple):
    """Settings that the networks of one agent share: arguments of `Encoder`, `Latent` and `MLP`."""

    encoder: Encoder
    latent: dict[str, Any]
    mlp: dict[str, Any]


def settings_of(parameters: NetworkParameters, spaces: Spaces) -> Settings:
    p, dtype = parameters, jnp.bfloat16 if parameters.bfloat16 else jnp.float32
    conv_net = {
        "layers": p.conv_layers, "layer_norm": p.layer_norm and p.conv_layer_norm, "activation": p.conv_activation,
        "pixel_limit": p.pixel_limit, "dtype": dtype,
    }  # fmt: skip
    return Settings(
        Encoder(
            tuple(image.name for image in spaces.images),
            p.encoder == "joined",
            conv_net,
            tuple(part.name for part in spaces.maps),
            p.spatial_features,
        ),
        {"width": p.latent_dim, "vector_limit": p.vector_limit, "dtype": dtype},
        {"hidden": p.hidden, "layer_norm": p.layer_norm, "activation": p.hidden_activation, "dtype": dtype},
    )


class Shapes(NamedTuple):
    """Shapes of the inputs of a batch of one, and of the encoder's parameters."""

    encoder: Any
    z: jax.ShapeDtypeStruct | None
    vector: jax.ShapeDtypeStruct
    action: jax.ShapeDtypeStruct


def shapes_for(encoder: Encoder, spaces: Spaces) -> Shapes:
    """The shapes that `initial.shapes_of` needs for the networks after `encoder`. Allocates nothing."""
    images = {image.name: jax.ShapeDtypeStruct((1, *image.shape), jnp.uint8) for image in spaces.images}
    maps = {part.name: jax.ShapeDtypeStruct((1, *part.map), jnp.float32) for part in spaces.maps}
    params = shapes_of(encoder, images, maps)
    z = jax.eval_shape(encoder.apply, {"params": params}, images, maps)
    vector, action = (jax.ShapeDtypeStruct((1, size), jnp.float32) for size in (spaces.vector_size, spaces.action_size))
    return Shapes(params, z, vector, action)


class Networks(NamedTuple):
    """Networks of an actor-critic. Parameters: {"encoder", "critic"} of the critic, whose loss trains both, and the actor's."""

    encoder: Encoder
    actor: Actor
    critic: Critic

    def encode(self, params: Any, observation: Inputs) -> jax.Array | None:
        """z from the encoder in {"encoder", ...}."""
        return self.encoder.apply({"params": params["encoder"]}, observation.images, observation.maps)

    def q_values(self, params: Any, observation: Inputs, action: jax.Array) -> jax.Array:
        """Q(o, a) from {"encoder", "critic"}, float32 [N, B]."""
        z = self.encode(params, observation)
        return self.critic.apply({"params": params["critic"]}, z, observation.vector, action)
