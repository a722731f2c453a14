"""An arm as the rest of the package sees it: joint names, limits and forward kinematics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

Frame = Literal["base", "base_link"]


@dataclass(frozen=True)
class Arm:
    """N revolute joints in a row. All arrays are float64 and in the order of `names`.

    `links` holds the fixed parts between the joints: T = L0 Rz(q0) L1 Rz(q1) ... L(N-1) Rz(q(N-1)) LN. It is None
    where only the joints are known (a recorded robot, a mobile base); `forward` then raises.
    """

    model: str
    names: tuple[str, ...]
    lower: np.ndarray  # [N] rad
    upper: np.ndarray  # [N] rad
    max_velocity: np.ndarray  # [N] rad/s
    links: np.ndarray | None = None  # [N + 1, 4, 4], in frame `base`
    base_turned: bool = False  # `base` is `base_link` turned by pi about z, as the UR drivers have it; else the same

    def __len__(self) -> int:
        return len(self.names)

    @property
    def has_kinematics(self) -> bool:
        return self.links is not None

    def forward(self, q: np.ndarray, frame: Frame = "base") -> tuple[np.ndarray, np.ndarray]:
        """Pose of the tool at joint angles q: rad [N] -> position [3] in m and rotation [3, 3], in `frame`.

        Raises ValueError where the arm has no kinematics or q is not [N].
        """
        if self.links is None:
            raise ValueError(f"robot model {self.model!r} has no kinematics")
        if len(q) != len(self.names):
            raise ValueError(f"q has {len(q)} joints; {self.model} has {len(self.names)}")
        pose = self.links[0]
        for angle, link in zip(q, self.links[1:]):
            pose = pose @ _turn(float(angle)) @ link
        if frame == "base_link" and self.base_turned:
            pose = _HALF_TURN @ pose
        return pose[:3, 3], pose[:3, :3]

    def tool_positions(self, q: np.ndarray, frame: Frame = "base") -> np.ndarray:
        """Positions alone, of many poses at once: rad [M, N] -> m [M, 3]. Raises as `forward` does."""
        if self.links is None:
            raise ValueError(f"robot model {self.model!r} has no kinematics")
        # From the tool back to the base: a point is all that has to be carried.
        c, s = np.cos(q.T), np.sin(q.T)
        point = np.broadcast_to(self.links[-1][:3, 3:], (3, len(q)))
        for j in range(len(self.names) - 1, -1, -1):
            x, y, z = point
            turned = np.array((c[j] * x - s[j] * y, s[j] * x + c[j] * y, z))
            point = self.links[j][:3, :3] @ turned + self.links[j][:3, 3:]
        return point.T * ((-1.0, -1.0, 1.0) if frame == "base_link" and self.base_turned else 1.0)


def _turn(angle: float) -> np.ndarray:
    """Homogeneous rotation about z."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array(((c, -s, 0.0, 0.0), (s, c, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0)))


_HALF_TURN = np.diag((-1.0, -1.0, 1.0, 1.0))


def links_from_dh(a: tuple[float, ...], d: tuple[float, ...], alpha: tuple[float, ...]) -> np.ndarray:
    """Denavit-Hartenberg (classic: Rz(q) Tz(d) Tx(a) Rx(alpha)), [N] each in m, m, rad -> links [N + 1, 4, 4]."""
    links = [np.eye(4)]
    for a_i, d_i, alpha_i in zip(a, d, alpha, strict=True):
        c, s = math.cos(alpha_i), math.sin(alpha_i)
        links.append(np.array(((1.0, 0.0, 0.0, a_i), (0.0, c, -s, 0.0), (0.0, s, c, d_i), (0.0, 0.0, 0.0, 1.0))))
    return np.array(links)
