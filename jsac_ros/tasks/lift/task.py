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
        # Of the simulated scene; in a lab they document where a person puts the cube
        centre_m: tuple[float, float] = (0.5, 0.1333)  # base_link
        area_m: tuple[NonNegative, NonNegative] = (0.2, 0.2)  # along x and y
        yaw_rad: NonNegative = 0.785  # rotated by up to this angle in each direction
        height_m: Positive = 0.06  # how far it is raised

    def mujoco_scene(self) -> LiftScene:
        from jsac_ros.tasks.lift.scene import LiftScene

        return LiftScene(self.parameters)

    def expert(self, seed: int) -> LiftExpert:
        from jsac_ros.tasks.lift.expert import LiftExpert

        return LiftExpert(self.rig, seed)

    def intervener(self, seed: int):
        from jsac_ros.tasks.lift.expert import make_intervener

        return make_intervener(self.rig, seed)
