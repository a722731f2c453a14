"""The scene of a task in the kinematic simulator: a world that its cameras see and that limits the robot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from jsac_ros.types import Command

Baseline = Callable[["Body"], Command]  # a policy that sees the whole simulation


class Body(Protocol):
    """The simulated robot, as used by a scene and a baseline."""

    q: np.ndarray  # [N] joints, rad (m if prismatic)
    qd: np.ndarray  # [N] per second

    @property
    def pose(self) -> tuple[float, float, float]:
        """x, y in m and heading in rad of a base in the scene's frame."""


class Scene(Protocol):
    """Not thread-safe, except `render`, which one other thread may call."""

    floor: tuple[float, float] | None  # m along x and y between the walls that stop a base

    def reset(self) -> str:
        """Makes a new world for the next episode; returns a description."""

    def snapshot(self, body: Body) -> Any:
        """The state on which the next images depend, immutable."""

    def render(self, camera: str, snapshot: Any) -> np.ndarray:
        """RGB uint8 [H, W, 3] of the source's size."""

    def camera_matrix(self, camera: str) -> np.ndarray | None:
        """K [3, 3] as in `Sim.camera_matrix`; None if there is none."""

    def sensors(self, body: Body) -> dict[str, np.ndarray]:
        """{sensor: float64 [n]} that the scene can measure, before its configured scale is applied."""

    def baselines(self) -> dict[str, Baseline]:
        """Name -> policy, in addition to random actions and standing still."""
