"""Faults that the simulators inject on request, to test how the rest of the system reacts."""

from __future__ import annotations

import math
from collections.abc import Collection

FAULTS = {
    "camera_freeze": "the camera repeats one image, with new stamps",
    "camera_late": "images arrive 0.4 s after their stamp",
    "camera_missing": "no images",
    "joints_late": "joint states arrive 0.2 s after their stamp",
    "joints_missing": "no joint states",
    "joint_lost": "every joint state lacks the last joint",
    "joint_jump": "the first joint reads 0.5 rad too much",
    "nan_joints": "the first joint reads NaN",
    "contact": "the wrench that safety checks reads 100 N more along z",
    "wrench_missing": "no wrench for safety to check",
    "slider": "the speed slider is at 50 %",
    "protective_stop": "the robot brakes and ignores commands; afterwards the previous command continues",
    "restart": "the driver is away for a second and comes back with another joint order",
}
_DEFAULT_S = {"restart": 1.0}


def parse_fault(text: str, known: Collection[str] = FAULTS) -> tuple[str, float]:
    """'camera_freeze 2.5' -> ("camera_freeze", 2.5 s); without a number the fault lasts until 'none'. Raises ValueError."""
    name, *rest = text.split() or ("none",)
    if name != "none" and name not in known:
        raise ValueError(f"fault {name!r}; expected none, {', '.join(known)}")
    try:
        duration_s = float(rest[0]) if rest else _DEFAULT_S.get(name, math.inf)
    except ValueError:
        duration_s = math.nan
    if len(rest) > 1 or not duration_s > 0:
        raise ValueError(f"fault {text!r}; expected NAME [SECONDS > 0]")
    return name, duration_s


class Faults:
    """The active faults. Times are in seconds on the steady clock."""

    def __init__(self, more: Collection[str] = ()):
        """more: names of the faults of one simulator (`Sim.faults`)."""
        self._known = (*FAULTS, *more)
        self._until_s: dict[str, float] = {}

    def request(self, text: str, now_s: float) -> None:
        """Starts a fault; 'none' ends all faults. Raises ValueError with one line."""
        name, duration_s = parse_fault(text, self._known)
        if name == "none":
            self._until_s.clear()
        else:
            self._until_s[name] = now_s + duration_s

    def active(self, name: str, now_s: float) -> bool:
        return now_s < self._until_s.get(name, -math.inf)
