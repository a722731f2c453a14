"""Polyak averaging of the target."""

from __future__ import annotations

import jax


def update_target(params, target, tau: float):
    """phi' <- tau phi + (1 - tau) phi', encoder included."""
    return jax.tree.map(lambda p, t: tau * p + (1.0 - tau) * t, params, target)
