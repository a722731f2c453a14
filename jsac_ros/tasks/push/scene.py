"""A puck and, further from the robot, a mark; each anywhere in a region of the table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jsac_ros.tasks.mujoco_scene import MujocoScene, place
from jsac_ros.types import Arrays

if TYPE_CHECKING:
    from jsac_ros.tasks.push.task import Push

RADIUS_M = 0.03  # of the puck
_HALF_HEIGHT_M = 0.02


class PushScene(MujocoScene):
    xml = Path(__file__).with_name("scene.xml").read_text()
    opening_m = 0.0
    loose = "puck"

    def __init__(self, parameters: Push.Parameters):
        self._p = parameters

    def reset(self, model: Any, data: Any, random: np.random.Generator) -> str:
        p = self._p
        puck = np.array(p.centre_m) + random.uniform(-0.5, 0.5, 2) * p.area_m
        mark = np.array(p.mark_m) + random.uniform(-0.5, 0.5, 2) * p.mark_area_m
        place(model, data, "puck", np.array((*puck, _HALF_HEIGHT_M)))
        place(model, data, "mark", np.array((*mark, 0.0)))
        return f"puck at {puck[0]:.3f}, {puck[1]:.3f} m, mark at {mark[0]:.3f}, {mark[1]:.3f} m"

    def truth(self, model: Any, data: Any) -> Arrays:
        puck, mark = data.body("puck").xpos, data.body("mark").xpos
        return {"puck": puck.copy(), "mark": mark.copy(), "mark_from_puck": mark - puck}

    def succeeded(self, truth: Arrays) -> bool:
        return bool(np.linalg.norm(truth["mark_from_puck"][:2]) <= self._p.tolerance_m)
