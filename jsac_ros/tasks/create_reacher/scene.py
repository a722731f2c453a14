"""The mobile reacher's scene: a walled arena with a green sign on one wall."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from jsac_ros.config import source_size
from jsac_ros.tasks.create_reacher.arena import LENGTH, SIGN, WIDTH, BaseCamera
from jsac_ros.tasks.scene import Baseline, Body
from jsac_ros.types import Command

if TYPE_CHECKING:
    from jsac_ros.rig import Rig

_SIGN_MARGIN_M = 0.3
_GAIN = 4.0  # 1/s


class ArenaScene:
    """`tasks.scene.Scene`; every camera looks ahead."""

    floor = (LENGTH, WIDTH)

    def __init__(self, rig: Rig, seed: int):
        self._rig = rig
        self._cameras = {name: BaseCamera(*source_size(camera)) for name, camera in rig.config.cameras.items()}
        self._random = np.random.default_rng(seed)
        self.reset()

    def reset(self) -> str:
        margin = _SIGN_MARGIN_M + SIGN / 2
        self.sign_y = float(self._random.uniform(margin, WIDTH - margin))
        return f"sign at {self.sign_y:.2f} m of {WIDTH} m"

    def snapshot(self, body: Body) -> tuple[float, float, float, float]:
        return (*body.pose, self.sign_y)

    def render(self, camera: str, snapshot: tuple[float, float, float, float]) -> np.ndarray:
        return self._cameras[camera].render(*snapshot)

    def camera_matrix(self, camera: str) -> np.ndarray:
        return self._cameras[camera].matrix

    def sensors(self, body: Body) -> dict[str, np.ndarray]:
        return {}

    def baselines(self) -> dict[str, Baseline]:
        safety = self._rig.config.safety
        fastest = np.array((safety.max_base_speed_m_s, safety.max_base_turn_rad_s))

        def servo(body: Body) -> Command:
            """Turns to the sign and drives towards it, slower the larger the angle is."""
            x, y, heading = body.pose
            bearing = math.remainder(math.atan2(self.sign_y - y, LENGTH - x) - heading, math.tau)
            forward = max(0.0, 1.0 - abs(bearing))
            return Command(fastest * (forward, np.clip(_GAIN * bearing / fastest[1], -1.0, 1.0)), {})

        return {"servo": servo}
