"""Commands to grippers: inside their stroke, within their speed limit, held or opened while a rule demands rest. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jsac_ros.robots.gripper import Gripper

LEAD_S = 0.2  # the set point leads the measured fingers by at most this, at their speed: how far they jump when they come free
STANDS_M = 5e-4  # fingers that have moved less are at rest


class Opening(NamedTuple):
    """State of a gripper's fingers, m."""

    now: float  # where they may be now, at their speed; the set point for a driver without a speed
    target: float  # their target
    measured: float


class GripperGates:
    """Use from one thread at a time; times are seconds on one steady clock."""

    def __init__(self, grippers: Mapping[str, Gripper]):
        self._gates = {name: _GripperGate(gripper) for name, gripper in grippers.items()}

    def heard(self, names: Sequence[str], positions: Sequence[float]) -> None:
        """A joint state."""
        for gate in self._gates.values():
            if (joint := gate.gripper.config.joint) in names:
                gate.measured(positions[list(names).index(joint)])

    @property
    def missing(self) -> str:
        """The gripper without a joint state so far; "" if there is none."""
        lacking = (f"{name}: no joint state of {gate.gripper.config.joint} yet" for name, gate in self._gates.items())
        return next((line for line, gate in zip(lacking, self._gates.values()) if gate.opening is None), "")

    def command(self, now_s: float, wanted: Mapping[str, Sequence[float] | np.ndarray], resting: bool) -> str:
        """Takes openings in m; NaN keeps the state. Returns why one is refused, "" if none is."""
        refusals = [f"there is no gripper {name!r}" for name in wanted if name not in self._gates]
        for name, gate in self._gates.items():
            values = np.asarray(wanted.get(name, (math.nan,)), np.float64)
            if len(values) != 1 or math.isinf(values[0]):
                refusals.append(f"{name} is {values.tolist()}; expected one opening in m")
            elif not resting and not math.isnan(values[0]):
                gate.command(now_s, float(values[0]))
        return "; ".join(refusals)

    def step(self, now_s: float, resting: bool) -> dict[str, Opening]:
        """{gripper: its command now}, for those that have been commanded; until then a gripper keeps what it holds."""
        for gate in self._gates.values():
            gate.step(now_s, resting)
        return {name: gate.opening for name, gate in self._gates.items() if gate.opening and gate.commanded}

    def applied(self) -> dict[str, np.ndarray]:
        """{gripper: float64 [1]}: target openings in m, NaN if unknown."""
        return {name: np.array([gate.opening.target if gate.opening else math.nan]) for name, gate in self._gates.items()}


class _GripperGate:
    def __init__(self, gripper: Gripper):
        self.gripper = gripper
        self.opening: Opening | None = None
        self.commanded = False
        self._at_s = -math.inf
        self._stand_m, self._stand_s = math.inf, -math.inf  # where the fingers are at rest, and since when
        self._blocked = False  # the set point moves on and they do not follow
        self._resting = True

    def measured(self, joint: float) -> None:
        if math.isfinite(joint):
            opening = min(max(self.gripper.opening(joint), 0.0), self.gripper.stroke_m)
            self.opening = self.opening._replace(measured=opening) if self.commanded else Opening(opening, opening, opening)

    def command(self, now_s: float, opening: float) -> None:
        if self.opening is not None:
            self._advance(now_s)
            self._go(min(max(opening, 0.0), self.gripper.stroke_m))

    def step(self, now_s: float, resting: bool) -> None:
        self._advance(now_s)
        if resting and not self._resting and self.opening is not None:
            if self.gripper.config.on_stop == "open":
                self._go(self.gripper.stroke_m)
            elif not self._blocked:  # else they hold an object: a closer target would loosen the grip
                self.opening = self.opening._replace(target=self.opening.now)
        self._resting = resting

    def _go(self, target: float) -> None:
        self.opening, self.commanded = self.opening._replace(target=target), True

    def _advance(self, now_s: float) -> None:
        if self.opening is None:
            return
        now, target, measured = self.opening
        speed = self.gripper.config.max_speed_m_s
        most = speed * max(now_s - self._at_s, 0.0) if math.isfinite(self._at_s) else 0.0
        self._at_s = now_s
        due = now + min(max(target - now, -most), most)
        led = min(max(due, measured - speed * LEAD_S), measured + speed * LEAD_S)
        if abs(measured - self._stand_m) > STANDS_M:
            self._stand_m, self._stand_s = measured, now_s
        self._blocked = led != due and now_s - self._stand_s > LEAD_S
        self.opening = Opening(led, target, measured)
