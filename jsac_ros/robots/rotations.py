"""Rotations [3, 3] and rotation vectors [3]: the axis times the angle in rad. Plain floats inside, as in `chain`."""

from __future__ import annotations

import math

import numpy as np


def turn(vector: np.ndarray) -> np.ndarray:
    """The rotation about the vector's direction by its length (Rodrigues)."""
    x, y, z = vector.tolist()
    angle = math.sqrt(x * x + y * y + z * z)
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = x / angle, y / angle, z / angle
    c, s = math.cos(angle), math.sin(angle)
    d = 1.0 - c
    return np.array((
        (c + d * x * x, d * x * y - s * z, d * x * z + s * y),
        (d * x * y + s * z, c + d * y * y, d * y * z - s * x),
        (d * x * z - s * y, d * y * z + s * x, c + d * z * z),
    ))  # fmt: skip


def rotation_vector(rotation: np.ndarray) -> np.ndarray:
    """The inverse of `turn`, for angles below pi."""
    (a, b, c), (d, e, f), (g, h, i) = rotation.tolist()
    x, y, z = h - f, c - g, d - b
    sine, cosine = math.sqrt(x * x + y * y + z * z) / 2, (a + e + i - 1) / 2
    share = 0.5 if sine < 1e-9 else math.atan2(sine, cosine) / (2 * sine)
    return np.array((x * share, y * share, z * share))


def six_values(rotation: np.ndarray) -> np.ndarray:
    """[6]: the first two columns; unlike any three numbers they are continuous in the rotation (Zhou et al., 2019)."""
    return rotation[:, :2].T.ravel()
