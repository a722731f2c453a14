"""The latency strip: the delay of each command after the start of its control period, from the stamps of messages.

No message contains the time when a tick was due. The actor reports the median delay of its commands once a second; with the
stamps of the same commands this gives the start of the periods.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

Column = list[float] | None  # ms after the start of the period: published, sent to the robot (if it was); None: no command

_EARLY = 0.125  # share of a period by which a command may precede its period, as the median jitters
_KNOWN_S = 2.0  # duration of the stamps that the median is compared with
_LEAST = 5  # minimum number of these stamps
_LONGEST_S = 2.0  # longest time without commands that is shown as missed ticks


class Strip:
    """One column per control period; if a camera triggers the ticks, one per command."""

    def __init__(self, period_s: float, by_camera: bool = False):
        self._period_s, self._by_camera = period_s, by_camera
        self._recent: deque[float] = deque(maxlen=max(_LEAST, round(_KNOWN_S / period_s)))  # stamps, s; by_camera: delays
        self._begin_s = math.nan  # start of one period; by_camera: subtracted from a delay
        self._place: int | None = None  # number of the last period with a command
        self._applied = (-1, 0.0)  # newest tick that safety answered, and when, s
        self._pending: tuple[int, float, float] | None = None  # tick, start of its period, time of publication, s
        self._columns: list[Column] = []

    def align(self, done_p50_ms: float) -> None:
        """Computes the start of the periods. done_p50_ms: from `control_status`, which covers the last second."""
        if len(self._recent) < _LEAST or not math.isfinite(done_p50_ms):
            return
        recent = np.array(self._recent)
        if self._by_camera:
            self._begin_s = float(np.median(recent)) - done_p50_ms * 1e-3
            return
        since = np.remainder(recent - recent[-1] + self._period_s / 2, self._period_s) - self._period_s / 2
        begin_s = recent[-1] + float(np.median(since)) - done_p50_ms * 1e-3
        if math.isfinite(self._begin_s):  # keeps the numbering of the periods
            begin_s -= round((begin_s - self._begin_s) / self._period_s) * self._period_s
        self._begin_s = begin_s

    def commanded(self, tick: int, stamp_s: float, observed_s: float) -> None:
        """Call when a command was published. observed_s: stamp of its observation."""
        self._recent.append(stamp_s - observed_s if self._by_camera else stamp_s)
        self._flush()
        if math.isnan(self._begin_s):
            return
        begin_s = observed_s + self._begin_s if self._by_camera else self._period_of(stamp_s)
        self._pending = tick, begin_s, stamp_s
        self.applied(*self._applied)

    def applied(self, tick: int, stamp_s: float) -> None:
        """Call when safety sent a command to the robot; this may be received before the command itself."""
        self._applied = tick, stamp_s
        if self._pending and self._pending[0] == tick:
            self._flush(stamp_s)

    def take(self) -> list[Column]:
        """The columns completed since the last call, oldest first."""
        done, self._columns = self._columns, []
        return done

    def _period_of(self, stamp_s: float) -> float:
        """Start of a command's period; skipped periods become columns without a command."""
        place = math.floor((stamp_s - self._begin_s) / self._period_s + _EARLY)
        skipped = 0 if self._place is None else place - self._place - 1
        if 0 < skipped <= _LONGEST_S / self._period_s:
            self._columns += [None] * skipped
        self._place = place
        return self._begin_s + place * self._period_s

    def _flush(self, sent_s: float | None = None) -> None:
        if self._pending:
            _, begin_s, published_s = self._pending
            stamps = (published_s,) if sent_s is None else (published_s, sent_s)
            self._columns.append([round(max(stamp_s - begin_s, 0.0) * 1e3, 2) for stamp_s in stamps])
            self._pending = None
