"""Whether a robot that is commanded to move does so."""

from __future__ import annotations

import math

import numpy as np


class Travel:
    """How far each joint was commanded to move recently and how far it travelled; older motion fades.

    The commanded position drifts to the measured one, so an arm at rest that is commanded to move slowly, or back and
    forth, is never far from its commanded position. This detects it.
    """

    _FADES_S = 2.0
    _STANDS = 0.1  # travelled less than this share of the way

    def __init__(self, joints: int):
        self.commanded, self.travelled = np.zeros(joints), np.zeros(joints)  # rad, m

    def passed(self, commanded: np.ndarray, travelled: np.ndarray, seconds: float) -> None:
        """In `seconds`; rad or m [N], not negative."""
        kept = math.exp(-seconds / self._FADES_S)
        self.commanded, self.travelled = kept * self.commanded + commanded, kept * self.travelled + travelled

    def stands(self, far: np.ndarray | float) -> bool:
        """Whether a joint that was commanded to go further than `far`, rad or m [N], hardly did."""
        return bool(np.any((self.commanded > far) & (self.travelled < self._STANDS * self.commanded)))
