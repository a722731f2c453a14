"""A square peg in the gripper, and a box with a square hole anywhere in a region of the table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jsac_ros.tasks.mujoco_scene import MujocoScene, place, yaw_of, yaw_quaternion
from jsac_ros.types import Arrays

if TYPE_CHECKING:
    from jsac_ros.tasks.insert.task import Insert

PEG_M = 0.02  # edge of the square
PEG_END_M = 0.215  # from the flange
_PEG_LENGTH_M = 0.08
_OUTER_M, TOP_M = 0.08, 0.045  # of the box
_CAMERA_M = np.array((0.085, 0.0, 0.05))  # of the wrist, in the gripper's frame


class InsertScene(MujocoScene):
    xml = Path(__file__).with_name("scene.xml").read_text()
    opening_m = PEG_M

    def __init__(self, parameters: Insert.Parameters):
        self._p = parameters

    def edit(self, spec: Any) -> None:
        hole = PEG_M + self._p.clearance_m
        half, wall = _OUTER_M / 2, (_OUTER_M - hole) / 4
        off = half - wall
        for name, across, along, place_m in (
            ("left", half, wall, (0, off)), ("right", half, wall, (0, -off)),
            ("far", wall, hole / 2, (off, 0)), ("near", wall, hole / 2, (-off, 0)),
        ):  # fmt: skip
            for kind in ("wall", "rim"):
                geom = spec.geom(f"{kind}_{name}")
                geom.size, geom.pos = (across, along, geom.size[2]), (*place_m, geom.pos[2])
        gripper = spec.body("gripper")
        gripper.add_geom(
            name="peg", type=6, size=(PEG_M / 2, PEG_M / 2, _PEG_LENGTH_M / 2), pos=(0, 0, PEG_END_M - _PEG_LENGTH_M / 2),
            contype=2, conaffinity=1, mass=0.05, friction=(0.3, 0.005, 0.0001), rgba=(0.9, 0.55, 0.1, 1), group=2,
        )  # fmt: skip
        spec.site("tip").pos = (0, 0, PEG_END_M)
        camera = spec.camera("wrist")
        camera.fovy, camera.pos = 30.0, _CAMERA_M
        camera.alt.xyaxes = _looking(_CAMERA_M, np.array((0.0, 0.0, PEG_END_M)))

    def reset(self, model: Any, data: Any, random: np.random.Generator) -> str:
        p = self._p
        x, y = np.array(p.centre_m) + random.uniform(-0.5, 0.5, 2) * p.area_m
        yaw = random.uniform(-p.yaw_rad, p.yaw_rad)
        place(model, data, "box", np.array((x, y, 0.0)), yaw_quaternion(yaw))
        return f"hole at {x:.3f}, {y:.3f} m, turned by {np.degrees(yaw):.0f} degrees"

    def truth(self, model: Any, data: Any) -> Arrays:
        box, tip = data.body("box"), data.site("tip")
        hole = box.xpos + (0.0, 0.0, TOP_M)
        return {
            "hole": hole,
            "hole_yaw": np.array([yaw_of(box.xmat)]),
            "hole_from_tip": hole - tip.xpos,
            "depth": np.array([max(hole[2] - tip.xpos[2], 0.0)]),
        }

    def succeeded(self, truth: Arrays) -> bool:
        inside = np.linalg.norm(truth["hole_from_tip"][:2]) < PEG_M / 2
        return bool(inside and truth["depth"][0] >= self._p.depth_m)


def _looking(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """x and y axes [6] of a camera in the plane y = 0, upright along x."""
    back = (here - there) / np.linalg.norm(here - there)
    across = np.array((0.0, 1.0, 0.0))
    return np.concatenate((across, np.cross(back, across)))
