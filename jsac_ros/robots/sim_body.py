"""What `nodes/sim_robot.py` moves and films: a simulated robot with its camera."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from jsac_ros.config import SystemConfig
from jsac_ros.robots.models import arm_of
from jsac_ros.robots.sim_base import SimBase
from jsac_ros.robots.sim_reacher import SimReacher


class SimBody(Protocol):
    """Not thread-safe, but for `render`, which one other thread may call."""

    names: tuple[str, ...]  # of its joints
    q: np.ndarray  # rad [N]
    qd: np.ndarray  # rad/s [N]
    effort: np.ndarray  # [N]
    protective_stop: bool

    @property
    def program_running(self) -> bool: ...

    def reset(self) -> None:
        """At once, at rest where episodes begin, with a new target; only where there is no clock."""

    def step(self, dt: float) -> None:
        """Moves on by dt seconds."""

    def restart(self) -> None:
        """The driver starts again and remembers no command."""

    def new_target(self) -> str:
        """Says where it is now."""

    def snapshot(self) -> Any:
        """What the next picture depends on, immutable."""

    def render(self, snapshot: Any) -> np.ndarray:
        """RGB uint8 [H, W, 3]."""


def make_body(config: SystemConfig) -> SimBody:
    """The simulated robot of a configuration. Raises ConfigError where there is none."""
    if config.robot.model == "diff_drive":
        return SimBase(config)
    return SimReacher(config, arm_of(config.robot))
