"""When the robot's controller takes a command: at its next cycle, whose times are the stamps of its joint states."""

from __future__ import annotations

import math

_TRANSPORT_S = 0.0005  # from the gate to the controller, by DDS on one host
# A command sent this shortly before a cycle may miss it; sent this shortly after it may still catch it.
_EARLY_S, _LATE_S = 0.0015, 0.0005
_SMOOTHING = 0.1  # of period and phase: single cycles are late, but their clock is not
_LONGEST_S = 0.02  # slower joint states than this carry no information about a controller


class ControllerCycle:
    """Follows the controller's clock by the stamps of its joint states, which joint_state_broadcaster publishes every cycle.

    A motion that begins when the controller begins it continues the previous one without a jump. With an error of 8 ms, at
    0.3 rad/s, the controller has to make up for 2.4 mrad, which costs 3 rad/s^2 on the way to the next point.
    """

    def __init__(self):
        self._stamp_s: float | None = None
        self._cycle_s = 0.0  # begin of the last cycle, smoothed
        self._period_s = 0.0  # 0: unknown

    def heard(self, stamp_s: float) -> None:
        """Takes a joint state's stamp on the steady clock, in order."""
        passed_s = _LONGEST_S if self._stamp_s is None else stamp_s - self._stamp_s
        self._stamp_s = stamp_s
        if passed_s <= 0 or passed_s >= _LONGEST_S:
            self._cycle_s, self._period_s = stamp_s, 0.0
            return
        if self._period_s == 0 or passed_s < 0.6 * self._period_s:
            self._cycle_s, self._period_s = stamp_s, passed_s
            return
        cycles = round(passed_s / self._period_s)
        self._period_s += _SMOOTHING * (passed_s / cycles - self._period_s)
        expected_s = self._cycle_s + cycles * self._period_s
        self._cycle_s = expected_s + _SMOOTHING * (stamp_s - expected_s)

    @property
    def known(self) -> bool:
        return self._period_s > 0

    def next_s(self, now_s: float) -> float:
        """When a command sent now will begin; `now_s` while the controller's clock is unknown."""
        return self._cycle_after(now_s + _TRANSPORT_S) if self._period_s else now_s

    def wait_s(self, now_s: float) -> float:
        """How long to wait before sending, so that it is certain which cycle will take it: 0, or up to 2 ms."""
        if self._period_s < 2 * (_EARLY_S + _LATE_S):  # too short to be worth it
            return 0.0
        before_s = self._cycle_after(now_s - _LATE_S) - now_s
        return before_s + _LATE_S if before_s < _EARLY_S else 0.0

    def _cycle_after(self, time_s: float) -> float:
        return self._cycle_s + self._period_s * math.ceil((time_s - self._cycle_s) / self._period_s)
