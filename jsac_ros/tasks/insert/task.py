"""Insert: bring a square peg, held in the gripper, into a square hole anywhere in a region of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsac_ros.config import NonNegative, Positive
from jsac_ros.tasks.skill import Skill

if TYPE_CHECKING:
    from jsac_ros.tasks.expert import Intervener
    from jsac_ros.tasks.insert.expert import InsertExpert
    from jsac_ros.tasks.insert.scene import InsertScene


class Insert(Skill):
    class Parameters(Skill.Parameters):
        # centre of the region for the box, x, y in base_link; in a lab it documents where a person puts it
        centre_m: tuple[float, float] = (0.5, 0.1333)
        area_m: tuple[NonNegative, NonNegative] = (0.06, 0.06)  # size of the region along x and y
        yaw_rad: NonNegative = 0.0  # largest random rotation of the box in each direction
        clearance_m: Positive = 0.002  # width of the hole minus the peg's 20 mm
        depth_m: Positive = 0.025  # depth at which the peg counts as inserted

    def mujoco_scene(self) -> InsertScene:
        from jsac_ros.tasks.insert.scene import InsertScene

        return InsertScene(self.parameters)

    def expert(self, seed: int) -> InsertExpert:
        from jsac_ros.tasks.insert.expert import InsertExpert

        return InsertExpert(self.rig, seed, self.parameters.clearance_m)

    def intervener(self, seed: int) -> Intervener:
        from jsac_ros.tasks.insert.expert import make_intervener

        return make_intervener(self.rig, seed, self.parameters.clearance_m)
