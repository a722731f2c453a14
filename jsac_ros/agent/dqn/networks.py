"""The value of every choice."""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jsac_ros.agent.networks import MLP, Encoder, Latent
from jsac_ros.agent.observation import Inputs


class ChoiceValues(nn.Module):
    """(z, vectors) -> the value of every choice."""

    latent: dict[str, Any]
    mlp: dict[str, Any]
    choices: int

    @nn.compact
    def __call__(self, z: jax.Array | None, vector: jax.Array) -> jax.Array:
        """z: float32 [B, z]; vector: float32 [B, V]; returns float32 [B, choices]."""
        x = MLP(**self.mlp, name="mlp")(Latent(**self.latent, name="latent")(z, vector))
        return nn.Dense(self.choices, dtype=self.mlp["dtype"], name="values")(x).astype(jnp.float32)


class ValueNetwork(NamedTuple):
    """Encoder and values of the choices; parameters are {"encoder", "values"}."""

    encoder: Encoder
    values: ChoiceValues

    def __call__(self, params: Any, observation: Inputs) -> jax.Array:
        """float32 [B, choices]."""
        z = self.encoder.apply({"params": params["encoder"]}, observation.images, observation.maps)
        return self.values.apply({"params": params["values"]}, z, observation.vector)
