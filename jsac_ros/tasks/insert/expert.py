"""Inserts a peg: above the hole, down once it is at rest there, and up a little to try again if it stands on the rim."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from jsac_ros.tasks.expert import Expert, Hand, Intervener, towards
from jsac_ros.types import Arrays

if TYPE_CHECKING:
    from jsac_ros.rig import Rig

_ABOVE_M = 0.008  # over the rim, until the peg is over the hole
_OVER_M, _RESTS_M_S = 0.003, 0.01  # within this distance and sideways speed the peg goes down
_FITS = 0.65  # share of the clearance: if further off at the rim's height, the peg stands on the rim
_SPEED, _TURN = 0.1, 0.5  # m/s, rad/s
_GAIN, _AHEAD_S = 2.5, 0.25  # 1/s, s: a compliant arm follows with a longer delay than a stiff one


class InsertExpert(Expert):
    def __init__(self, rig: Rig, seed: int, clearance_m: float):
        super().__init__(rig, seed)
        self._clearance_m = clearance_m

    def aim(self, truth: Arrays) -> Hand:
        off, aside = truth["hole_from_tip"], float(np.linalg.norm(truth["tip_velocity"][:2]))
        far, turn = float(np.linalg.norm(off[:2])), turn_to(truth)
        if truth["depth"][0] > 0.003:  # inside
            up = -0.05
        elif abs(off[2]) < 0.003 and far > _FITS * self._clearance_m:  # on the rim
            up = 0.006
        elif far < _OVER_M and aside < _RESTS_M_S:
            up = -0.03
        else:
            up = off[2] + _ABOVE_M
        velocity = towards(truth["tip"] + (*off[:2], up), truth, _SPEED, _GAIN, _AHEAD_S)
        return Hand(np.array((*velocity, 0.0, 0.0, float(np.clip(4.0 * turn, -_TURN, _TURN)))))

    def unsteadiness(self, truth: Arrays) -> float:
        return min(1.0, 0.1 + float(np.linalg.norm(truth["hole_from_tip"])) / 0.05)


def turn_to(truth: Arrays) -> float:
    """rad about the vertical from the peg's sides to the hole's, within an eighth of a turn."""
    side = truth["tip_rotation"].reshape(3, 3)[:, 0]
    return math.remainder(float(truth["hole_yaw"][0]) - math.atan2(side[1], side[0]), math.pi / 2)


def progress(truth: Arrays) -> float:
    """m: closer to the bottom of the hole is better."""
    off = truth["hole_from_tip"] - (0.0, 0.0, 0.03)
    return -float(np.linalg.norm(off))


def make_intervener(rig: Rig, seed: int, clearance_m: float) -> Intervener:
    return Intervener(InsertExpert(rig, seed, clearance_m), progress, seed + 1)
