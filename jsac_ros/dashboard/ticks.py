"""The latency strip: how long after its control period began each command was published, from the stamps of messages alone.

No message says when a tick was due. The actor says once a second how long its commands took (median); with the stamps of
the same commands this gives the begin of the periods.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

Column = list[float] | None  # ms after the period began: published, and sent to the robot where it was; None: no command

_EARLY = 0.125  # of a period: a command may come so much before its period begins, by the jitter of the median
_KNOWN_S = 2.0  # whose stamps the median is compared with
_LEAST = 5  # of them
_LONGEST_S = 2.0  # without a command that is shown; longer is not a late tick


class Strip:
    """One column a control period; with ticks that follow a camera, one a command."""

    def __init__(self, period_s: float, by_camera: bool = False):
        self._period_s, self._by_camera = period_s, by_camera
        self._recent: deque[float] = deque(maxlen=max(_LEAST, round(_KNOWN_S / period_s)))  # stamps, s; of a camera: delays
        self._begin_s = math.nan  # of any period; of a camera: what is taken off a delay
        self._place: int | None = None  # of the last period that had a command
        self._applied = (-1, 0.0)  # the newest tick that safety answered, when, s
        self._pending: tuple[int, float, float] | None = None  # tick, begin of its period, published, s
        self._columns: list[Column] = []

    def align(self, done_p50_ms: float) -> None:
        """done_p50_ms: of `control_status`, which covers the last second."""
        if len(self._recent) < _LEAST or not math.isfinite(done_p50_ms):
            return
        recent = np.array(self._recent)
        if self._by_camera:
            self._begin_s = float(np.median(recent)) - done_p50_ms * 1e-3
            return
        since = np.remainder(recent - recent[-1] + self._period_s / 2, self._period_s) - self._period_s / 2
        begin_s = recent[-1] + float(np.median(since)) - done_p50_ms * 1e-3
        if math.isfinite(self._begin_s):  # the same periods are counted on
            begin_s -= round((begin_s - self._begin_s) / self._period_s) * self._period_s
        self._begin_s = begin_s

    def commanded(self, tick: int, stamp_s: float, observed_s: float) -> None:
        """A command was published. observed_s: stamp of the observation behind it."""
        self._recent.append(stamp_s - observed_s if self._by_camera else stamp_s)
        self._flush()
        if math.isnan(self._begin_s):
            return
        begin_s = observed_s + self._begin_s if self._by_camera else self._period_of(stamp_s)
        self._pending = tick, begin_s, stamp_s
        self.applied(*self._applied)

    def applied(self, tick: int, stamp_s: float) -> None:
        """Safety sent this command to the robot; it may be heard before the command."""
        self._applied = tick, stamp_s
        if self._pending and self._pending[0] == tick:
            self._flush(stamp_s)

    def take(self) -> list[Column]:
        """What has been completed since the last call, oldest first."""
        done, self._columns = self._columns, []
        return done

    def _period_of(self, stamp_s: float) -> float:
        """Begin of the period of a command; periods without one become columns."""
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
