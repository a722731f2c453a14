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
        # Of the simulated scene; in a lab they document where a person puts puck and mark; base_link, along x and y
        centre_m: tuple[float, float] = (0.48, 0.1333)  # of the puck
        area_m: tuple[NonNegative, NonNegative] = (0.04, 0.12)
        mark_m: tuple[float, float] = (0.62, 0.1333)
        mark_area_m: tuple[NonNegative, NonNegative] = (0.06, 0.12)
        tolerance_m: Positive = 0.02  # of the puck's centre from the mark's

    def mujoco_scene(self) -> PushScene:
        from jsac_ros.tasks.push.scene import PushScene

        return PushScene(self.parameters)

    def expert(self, seed: int) -> PushExpert:
        from jsac_ros.tasks.push.expert import PushExpert

        return PushExpert(self.rig, seed)

    def intervener(self, seed: int) -> Intervener:
        from jsac_ros.tasks.push.expert import make_intervener

        return make_intervener(self.rig, seed)
