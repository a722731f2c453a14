"""Push: bring a puck to a mark on the table with the closed fingers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsac_ros.config import NonNegative, Positive
from jsac_ros.tasks.skill import Skill

if TYPE_CHECKING:
    from jsac_ros.tasks.expert import Intervener
    from jsac_ros.tasks.push.expert import PushExpert
    from jsac_ros.tasks.push.scene import PushScene


class Push(Skill):
    class Parameters(Skill.Parameters):
        # centre of the region for the puck, x, y in base_link; in a lab it documents where a person puts it
        centre_m: tuple[float, float] = (0.48, 0.1333)
        area_m: tuple[NonNegative, NonNegative] = (0.04, 0.12)  # size of the region for the puck along x and y
        mark_m: tuple[float, float] = (0.62, 0.1333)  # centre of the region for the mark, x, y in base_link
        mark_area_m: tuple[NonNegative, NonNegative] = (0.06, 0.12)  # size of the region for the mark along x and y
        tolerance_m: Positive = 0.02  # distance of the puck's centre from the mark's that counts as success

    def mujoco_scene(self) -> PushScene:
        from jsac_ros.tasks.push.scene import PushScene

        return PushScene(self.parameters)

    def expert(self, seed: int) -> PushExpert:
        from jsac_ros.tasks.push.expert import PushExpert

        return PushExpert(self.rig, seed)

    def intervener(self, seed: int) -> Intervener:
        from jsac_ros.tasks.push.expert import make_intervener

        return make_intervener(self.rig, seed)
