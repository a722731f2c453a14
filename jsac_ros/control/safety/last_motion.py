"""The last motion that was sent, on its own clock: where the robot is now, if it follows."""

from __future__ import annotations

import numpy as np

from jsac_ros.control.motion import Motion
from jsac_ros.control.safety.cycle import ControllerCycle


class LastMotion:
    """Use from one thread at a time. Times `now_s` are seconds on the steady clock; all arrays [N]."""

    def __init__(self, joints: int, cycle: ControllerCycle | None):
        """`cycle` None: the robot gets velocities, which it follows at once."""
        self.motion: Motion | None = None  # None before the first
        self.begins_s: float | None = None  # on the steady clock; see Decision
        self.cycle = cycle
        self.time_s = 0.0  # on the motion's clock, at the last call of `advance`
        self.speed_share = 1.0  # share of the commanded speed at which the robot moves
        self._advanced_s: float | None = None
        self._at_rest = np.zeros(joints)

    def replace(self, motion: Motion, begins_s: float | None = None) -> None:
        self.motion, self.begins_s = motion, begins_s

    def advance(self, now_s: float) -> None:
        self.time_s, self._advanced_s = self.time(now_s), now_s

    def time(self, now_s: float) -> float:
        """The time on the motion's clock. The trajectory controller slows it with the robot's speed scaling; a
        velocity is not scaled, and a clock that stood still would repeat it indefinitely."""
        passed = 0.0 if self._advanced_s is None else max(now_s - self._advanced_s, 0.0)
        return self.time_s + passed * (self.speed_share if self.cycle else 1.0)

    def next_begin(self, now_s: float) -> float:
        """The time on the motion's clock when the robot begins a motion that is sent now."""
        return self.time(self.cycle.next_s(now_s) if self.cycle else now_s)

    def position(self, now_s: float) -> np.ndarray | None:
        """The commanded position; None before the first motion."""
        return None if self.motion is None else self.motion.at(self.time(now_s))[0]

    def velocity(self, now_s: float) -> np.ndarray:
        return self._at_rest if self.motion is None else self.motion.at(self.time(now_s))[1]

    def moving(self, now_s: float) -> bool:
        return self.motion is not None and self.time(now_s) < self.motion.start_s + self.motion.duration_s

    @property
    def braking(self) -> bool:
        """Whether only its last segment, the braking, is left."""
        return self.time_s - self.motion.start_s >= sum(segment.duration_s for segment in self.motion.segments[:-1])

    @property
    def slowed(self) -> bool:
        """Whether speed scaling makes the robot slower than its velocity commands (trajectories are slowed down with it)."""
        return self.cycle is None and self.speed_share < 0.99
