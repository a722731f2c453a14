"""Rotations [3, 3] and rotation vectors [3]: the axis times the angle in rad. Plain floats inside, as in `chain`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

HALF_TURN = np.diag((-1.0, -1.0, 1.0))  # about z: between `base` and `base_link` of a UR


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


def quaternion(rotation: np.ndarray) -> tuple[float, float, float, float]:
    """x, y, z, w with w of 0 or more (Shepperd, 1978: divides by the largest of the four)."""
    (a, b, c), (d, e, f), (g, h, i) = rotation.tolist()
    squares = (1 + a - e - i, 1 - a + e - i, 1 - a - e + i, 1 + a + e + i)  # of x, y, z, w, times 4
    products = (
        (squares[0], b + d, c + g, h - f),
        (b + d, squares[1], f + h, c - g),
        (c + g, f + h, squares[2], d - b),
        (h - f, c - g, d - b, squares[3]),
    )
    largest = max(range(4), key=squares.__getitem__)
    x, y, z, w = (value / (2 * math.copysign(math.sqrt(squares[largest]), products[largest][3])) for value in products[largest])
    return x, y, z, w


def rotation_of(quaternion: Sequence[float]) -> np.ndarray:
    """[3, 3] of x, y, z, w of any length above 0."""
    x, y, z, w = np.array(quaternion, np.float64) / np.linalg.norm(quaternion)
    return np.array((
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    ))  # fmt: skip


def tilt_and_turn(rotation: np.ndarray) -> np.ndarray:
    """[..., 3, 3] -> rad [..., 2]: tilt, the angle between z and the rotated z, 0 to pi; and turn, the rotation about z before
    that tilt (swing-twist decomposition), -pi to pi."""
    r = rotation
    tilt = np.arctan2(np.hypot(r[..., 0, 2], r[..., 1, 2]), r[..., 2, 2])
    return np.stack((tilt, np.arctan2(r[..., 1, 0] - r[..., 0, 1], r[..., 0, 0] + r[..., 1, 1])), axis=-1)


def within(rotation: np.ndarray, most: np.ndarray) -> np.ndarray:
    """The rotation [3, 3] with its tilt and turn reduced to `most`, rad [2]."""
    tilt, about = tilt_and_turn(rotation).tolist()
    if tilt <= most[0] and abs(about) <= most[1]:
        return rotation
    x, y = rotation[0, 2].item(), rotation[1, 2].item()  # z leans this way
    share = min(tilt, most[0]) / max(math.hypot(x, y), 1e-12)
    spin = min(max(about, -most[1]), most[1])
    return turn(np.array((-y * share, x * share, 0.0))) @ turn(np.array((0.0, 0.0, spin)))


def six_values(rotation: np.ndarray) -> np.ndarray:
    """[6]: the first two columns; unlike any three numbers they are continuous in the rotation (Zhou et al., 2019)."""
    return rotation[:, :2].T.ravel()
