"""Pushes a puck from its far side along the line to the mark, and goes around it after leaving that line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jsac_ros.tasks.expert import Expert, Hand, Intervener, towards
from jsac_ros.tasks.push.scene import RADIUS_M
from jsac_ros.types import Arrays

if TYPE_CHECKING:
    from jsac_ros.rig import Rig

_BEHIND_M = RADIUS_M + 0.035  # from the puck's centre: where a push begins, including the fingers' size
_ROUND_M = RADIUS_M + 0.05  # clearance beside it on the way there
_ALIGNED_M = 0.012  # from the line to the mark: a push may continue within this
_STEERING = 1.5  # m sideways per m off the line: a round puck slips away to the other side
_SPEED = 0.12  # m/s; the scale of the actions limits it too


class PushExpert(Expert):
    def aim(self, truth: Arrays) -> Hand:
        puck, line = truth["puck"][:2], truth["mark_from_puck"][:2]
        forward = line / max(float(np.linalg.norm(line)), 1e-6)
        away, left = truth["tip"][:2] - puck, np.array((-forward[1], forward[0]))
        along, aside = float(away @ forward), float(away @ left)
        if along < 0 and abs(aside) < _ALIGNED_M:  # behind: push, and back onto the line
            target = puck + (along + min(0.06, float(np.linalg.norm(line)))) * forward - _STEERING * aside * left
        elif along < 0.01 - _BEHIND_M:  # far enough behind to go straight to where a push begins
            target = puck - _BEHIND_M * forward
        else:
            target = puck - (_BEHIND_M + 0.02) * forward + np.copysign(_ROUND_M, aside) * left
        velocity = towards(np.array((*target, truth["tip"][2])), truth, _SPEED)
        return Hand(np.array((*velocity, 0.0, 0.0, 0.0)), is_open=False)


def progress(truth: Arrays) -> float:
    """m: the puck closer to the mark and the fingers closer to the puck is better."""
    near = float(np.linalg.norm(truth["puck"][:2] - truth["tip"][:2]))
    return -2.0 * float(np.linalg.norm(truth["mark_from_puck"][:2])) - near


def make_intervener(rig: Rig, seed: int) -> Intervener:
    return Intervener(PushExpert(rig, seed), progress, seed + 1)
