"""Kinematics of a serial chain in plain floats: for six joints a NumPy call costs more than its arithmetic.

A pose is 12 floats, the rows of [R | p]: r00, r01, r02, x, r10, r11, r12, y, r20, r21, r22, z.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Pose = tuple[float, ...]


def poses_of(matrices: np.ndarray) -> tuple[Pose, ...]:
    """Homogeneous matrices [K, 4, 4] as poses."""
    return tuple(tuple(matrix[:3].ravel().tolist()) for matrix in matrices)


def are_poses(matrices: np.ndarray, count: int) -> bool:
    """Whether these are `count` finite homogeneous matrices [count, 4, 4], each a rotation and a translation."""
    matrices = np.asarray(matrices, np.float64)
    if matrices.shape != (count, 4, 4) or not np.isfinite(matrices).all():
        return False
    rotations, rest = matrices[:, :3, :3], matrices[:, 3]
    turns = np.allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3), atol=1e-6) and (np.linalg.det(rotations) > 0).all()
    return bool(turns and (rest == (0.0, 0.0, 0.0, 1.0)).all())


def joint_frames(links: Sequence[Pose], slides: Sequence[bool], q: Sequence[float]) -> tuple[list[Pose], Pose]:
    """The N poses of the joints before their motion, and the tool's; `links`: as in `Robot.links`, N + 1."""
    frames, pose = [], links[0]
    for value, slide, link in zip(q, slides, links[1:]):
        frames.append(pose)
        pose = times(slid(pose, value) if slide else turned(pose, value), link)
    return frames, pose


def jacobian(frames: Sequence[Pose], slides: Sequence[bool], tool: Pose) -> np.ndarray:
    """[6, N]: m/s and rad/s of the tool at a joint velocity of 1, in the frame of the poses."""
    x, y, z = tool[3], tool[7], tool[11]
    columns = []
    for frame, slide in zip(frames, slides):
        ax, ay, az = frame[2], frame[6], frame[10]
        if slide:
            columns.append((ax, ay, az, 0.0, 0.0, 0.0))
            continue
        rx, ry, rz = x - frame[3], y - frame[7], z - frame[11]
        columns.append((ay * rz - az * ry, az * rx - ax * rz, ax * ry - ay * rx, ax, ay, az))
    return np.array(columns).T


def times(a: Pose, b: Pose) -> Pose:
    """Pose `b`, given in the frame of `a`, expressed in the frame in which `a` is given."""
    b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11 = b
    rows: list[float] = []
    for row in (0, 4, 8):
        x, y, z, along = a[row : row + 4]
        rows += (
            x * b0 + y * b4 + z * b8,
            x * b1 + y * b5 + z * b9,
            x * b2 + y * b6 + z * b10,
            x * b3 + y * b7 + z * b11 + along,
        )
    return tuple(rows)


def turned(pose: Pose, angle: float) -> Pose:
    """About its z by `angle`, rad."""
    c, s = math.cos(angle), math.sin(angle)
    a, b, e, x, f, g, h, y, i, j, k, z = pose
    return (
        a * c + b * s, b * c - a * s, e, x,
        f * c + g * s, g * c - f * s, h, y,
        i * c + j * s, j * c - i * s, k, z,
    )  # fmt: skip


def slid(pose: Pose, distance: float) -> Pose:
    """Along its z by `distance`, m."""
    a, b, e, x, f, g, h, y, i, j, k, z = pose
    return (a, b, e, x + e * distance, f, g, h, y + h * distance, i, j, k, z + k * distance)


def half_turned(pose: Pose) -> Pose:
    """The same pose in a frame that is rotated by pi about z."""
    return (*(-value for value in pose[:8]), *pose[8:])


def position_and_rotation(pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """[3] in m and [3, 3]."""
    matrix = np.array(pose).reshape(3, 4)
    return matrix[:, 3], matrix[:, :3]
