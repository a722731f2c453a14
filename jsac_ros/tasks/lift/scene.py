"""A cube anywhere in a region of the table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jsac_ros.tasks.mujoco_scene import MujocoScene, place, touches, yaw_of, yaw_quaternion
from jsac_ros.types import Arrays

if TYPE_CHECKING:
    from jsac_ros.tasks.lift.task import Lift

EDGE_M = 0.04


class LiftScene(MujocoScene):
    xml = Path(__file__).with_name("scene.xml").read_text()
    loose = "cube"

    def __init__(self, parameters: Lift.Parameters):
        self._p = parameters

    def reset(self, model: Any, data: Any, random: np.random.Generator) -> str:
        p = self._p
        x, y = np.array(p.centre_m) + random.uniform(-0.5, 0.5, 2) * p.area_m
        yaw = random.uniform(-p.yaw_rad, p.yaw_rad)
        place(model, data, "cube", np.array((x, y, EDGE_M / 2)), yaw_quaternion(yaw))
        return f"cube at {x:.3f}, {y:.3f} m, turned by {np.degrees(yaw):.0f} degrees"

    def truth(self, model: Any, data: Any) -> Arrays:
        cube = data.body("cube")
        held = touches(model, data, "cube", "right_pad") and touches(model, data, "cube", "left_pad")
        tip = data.site("tip")
        return {
            "cube": cube.xpos.copy(),
            "cube_from_tip": cube.xpos - tip.xpos,
            "cube_yaw": np.array([yaw_of(cube.xmat)]),
            "held": np.array([float(held)]),
        }

    def succeeded(self, truth: Arrays) -> bool:
        return bool(truth["held"][0]) and truth["cube"][2] - EDGE_M / 2 >= self._p.height_m
