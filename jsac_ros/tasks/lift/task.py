"""Lift: grasp a cube that lies anywhere in a region of the table, and raise it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsac_ros.config import NonNegative, Positive
from jsac_ros.tasks.reset import ResetKind
from jsac_ros.tasks.skill import Skill

if TYPE_CHECKING:
    from jsac_ros.tasks.lift.expert import LiftExpert
    from jsac_ros.tasks.lift.scene import LiftScene


class Lift(Skill):
    class Parameters(Skill.Parameters):
        reset: tuple[ResetKind, ...] = ("release", "home", "service")
        # centre of the region for the cube, x, y in base_link; in a lab it documents where a person puts it
        centre_m: tuple[float, float] = (0.5, 0.1333)
        area_m: tuple[NonNegative, NonNegative] = (0.2, 0.2)  # size of the region along x and y
        yaw_rad: NonNegative = 0.785  # largest random rotation of the cube in each direction
        height_m: Positive = 0.06  # height by which the cube has to be raised

    def mujoco_scene(self) -> LiftScene:
        from jsac_ros.tasks.lift.scene import LiftScene

        return LiftScene(self.parameters)

    def expert(self, seed: int) -> LiftExpert:
        from jsac_ros.tasks.lift.expert import LiftExpert

        return LiftExpert(self.rig, seed)

    def intervener(self, seed: int):
        from jsac_ros.tasks.lift.expert import make_intervener

        return make_intervener(self.rig, seed)
