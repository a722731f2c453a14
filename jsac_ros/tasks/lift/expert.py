"""Lifts a cube: above it, aligned with it, down, close, up."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from jsac_ros.tasks.expert import Expert, Hand, Intervener, towards
from jsac_ros.tasks.lift.scene import EDGE_M
from jsac_ros.types import Arrays

if TYPE_CHECKING:
    from jsac_ros.rig import Rig

_ABOVE_M = 0.05  # above the cube's centre until the tool is aligned
_OVER_M, _OVER_RAD = 0.015, 0.2  # within this distance and angle the tool goes down
_LOW_M = 0.012  # above the cube's centre: low enough to close
_CLOSING_M = 0.075  # of the opening: a grasp or release that has begun is completed
_SPEED, _TURN = 0.2, 1.5  # m/s, rad/s; the actions' own scales limit them too


class LiftExpert(Expert):
    def aim(self, truth: Arrays) -> Hand:
        tip, cube = truth["tip"], truth["cube"]
        if truth["held"][0]:
            return Hand(np.array((0.0, 0.0, _SPEED, 0.0, 0.0, 0.0)), is_open=False)
        turn, far, high = turn_to(truth), float(np.linalg.norm(tip[:2] - cube[:2])), tip[2] - cube[2]
        around = high < _LOW_M and far < EDGE_M / 2 and abs(turn) < _OVER_RAD
        if around and truth["opening"][0] < _CLOSING_M:
            return Hand(np.zeros(6), is_open=False)
        over = around or (far < _OVER_M and abs(turn) < _OVER_RAD)
        velocity = towards(cube if over else cube + (0.0, 0.0, _ABOVE_M), truth, _SPEED)
        yaw_rate = float(np.clip(5.0 * turn, -_TURN, _TURN))
        return Hand(np.array((*velocity, 0.0, 0.0, yaw_rate)), is_open=not around)


def turn_to(truth: Arrays) -> float:
    """rad about the vertical from the fingers to the cube's nearest side, within an eighth of a turn."""
    across = truth["tip_rotation"].reshape(3, 3)[:, 1]  # the fingers open along the tool's y
    off = float(truth["cube_yaw"][0]) - math.atan2(across[1], across[0])
    return math.remainder(off, math.pi / 2)


def progress(truth: Arrays) -> float:
    """m: closer, held and higher is better."""
    distance = float(np.linalg.norm(truth["tip"] - truth["cube"]))
    return -distance + 0.1 * float(truth["held"][0]) + float(truth["cube"][2])


def make_intervener(rig: Rig, seed: int) -> Intervener:
    return Intervener(LiftExpert(rig, seed), progress, seed + 1)
