"""When the robot's controller takes what it is sent: at its next cycle, whose times its joint states carry."""

from __future__ import annotations

import math

_TRANSPORT_S = 0.0005  # from the gate to the controller, by DDS on one host
# What is sent so shortly before a cycle may miss it, so shortly after it may still catch it.
_EARLY_S, _LATE_S = 0.0015, 0.0005
_SMOOTHING = 0.1  # of period and phase: single cycles are late, the clock behind them is not
_LONGEST_S = 0.02  # slower joint states than this say nothing about a controller


class ControllerCycle:
    """Follows the controller's clock by the stamps of its joint states, one a cycle as joint_state_broadcaster says them.

    A motion that begins when the controller begins it continues the one before without a step. Begun 8 ms beside it, at
    0.3 rad/s, it leaves the controller 2.4 mrad to make up for, which costs 3 rad/s^2 on the way to the next point.
    """

    def __init__(self):
        self._stamp_s: float | None = None
        self._cycle_s = 0.0  # begin of the last cycle, smoothed
        self._period_s = 0.0  # 0: not known yet

    def heard(self, stamp_s: float) -> None:
        """A joint state's stamp on the steady clock; they come in order."""
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
        """When what is sent now will begin; `now_s` while the controller's clock is not known."""
        return self._cycle_after(now_s + _TRANSPORT_S) if self._period_s else now_s

    def wait_s(self, now_s: float) -> float:
        """How long to wait before sending, so that it is sure which cycle will take it: 0, or up to 2 ms."""
        if self._period_s < 2 * (_EARLY_S + _LATE_S):  # cycles so short are not worth it
            return 0.0
        before_s = self._cycle_after(now_s - _LATE_S) - now_s
        return before_s + _LATE_S if before_s < _EARLY_S else 0.0

    def _cycle_after(self, time_s: float) -> float:
        return self._cycle_s + self._period_s * math.ceil((time_s - self._cycle_s) / self._period_s)
