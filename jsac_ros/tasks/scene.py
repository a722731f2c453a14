"""What a task brings into the kinematic simulator: a world that its cameras see and that the robot may meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from jsac_ros.types import Command

Baseline = Callable[["Body"], Command]  # what a perfect policy does, seeing all of the simulation


class Body(Protocol):
    """The simulated robot, as a scene and a baseline see it."""

    q: np.ndarray  # [N] joints, rad (m where prismatic)
    qd: np.ndarray  # [N] per second

    @property
    def pose(self) -> tuple[float, float, float]:
        """x, y in m and heading in rad of a base in the scene's frame."""


class Scene(Protocol):
    """Not thread-safe, but for `render`, which one other thread may call."""

    floor: tuple[float, float] | None  # m along x and y between the walls that a base meets

    def reset(self) -> str:
        """A new world for the next episode; -> what it is now, in words."""

    def snapshot(self, body: Body) -> Any:
        """What the next images depend on, immutable."""

    def render(self, camera: str, snapshot: Any) -> np.ndarray:
        """RGB uint8 [H, W, 3] of the source's size."""

    def sensors(self, body: Body) -> dict[str, np.ndarray]:
        """{sensor: float64 [n]} that the scene can measure, before the scale of its configuration."""

    def baselines(self) -> dict[str, Baseline]:
        """Name -> policy, beside random actions and standing still."""
