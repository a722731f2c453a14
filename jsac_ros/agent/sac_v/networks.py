"""The value function."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax

from jsac_ros.agent.networks import Latent, Value


class StateValue(nn.Module):
    """(z, vectors) -> V."""

    latent: dict[str, Any]
    mlp: dict[str, Any]

    @nn.compact
    def __call__(self, z: jax.Array | None, vector: jax.Array) -> jax.Array:
        """z: float32 [B, z]; vector: float32 [B, V]; returns float32 [B]."""
        return Value(self.mlp, name="value")(Latent(**self.latent, name="latent")(z, vector))
