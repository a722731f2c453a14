"""Durations: percentiles of the last second for the status, a histogram of the whole run for its folder."""

from __future__ import annotations

import json
import math
from collections import deque
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jsac_ros.files import write_text

FILE = "control_histograms.json"  # of the actor, in the run folder
SAFETY_FILE = "safety_histograms.json"
_LOWEST_MS = 0.01
_BINS_PER_DECADE = 40  # 6 % wide
_DECADES = 6  # to 10 s
_SCALE = _BINS_PER_DECADE / math.log(10)
# Bin 0 holds durations below 0.01 ms (and negative ones), the last bin those above 10 s.
EDGES_MS = np.concatenate(([0.0], _LOWEST_MS * 10 ** (np.arange(_BINS_PER_DECADE * _DECADES + 1) / _BINS_PER_DECADE)))


class Percentiles(NamedTuple):
    """ms; NaN if nothing was measured."""

    p50: float
    p99: float
    p999: float
    max: float


NOTHING = Percentiles(*(math.nan,) * 4)
_SHARES = (0.5, 0.99, 0.999)


class Timing:
    """Durations of one kind. One thread adds, another reads; neither waits for the other.

    That holds because a deque's append and popleft are atomic and each count has one writer.
    """

    def __init__(self):
        self.counts = [0] * len(EDGES_MS)
        self.max = -math.inf
        self._recent: deque[float] = deque(maxlen=5_000)  # more than a second of the fastest loop

    def add(self, value_ms: float) -> None:
        """A value that is not finite (an age before the first message) is left out."""
        if not math.isfinite(value_ms):
            return
        self.counts[_bin_of(value_ms)] += 1
        if value_ms > self.max:
            self.max = value_ms
        self._recent.append(value_ms)

    def last(self) -> Percentiles:
        """Exact percentiles of the durations since the previous call."""
        values = [self._recent.popleft() for _ in range(len(self._recent))]
        if not values:
            return NOTHING
        return Percentiles._make((*map(float, np.quantile(values, _SHARES)), max(values)))

    def run(self) -> Percentiles:
        """Percentiles of all durations, to the width of a bin; the maximum is exact."""
        counts = np.asarray(self.counts)
        total = counts.sum()
        if total == 0:
            return NOTHING
        cumulative = np.concatenate(([0], np.cumsum(counts)))
        bounds = np.append(EDGES_MS, max(self.max, EDGES_MS[-1]))
        quantiles = np.interp(np.array(_SHARES) * total, cumulative, bounds)
        return Percentiles._make((*map(float, np.minimum(quantiles, self.max)), self.max))

    def histogram(self) -> dict:
        """Bin i holds edges_ms[i] <= value < edges_ms[i + 1], the last bin longer ones. Ready for JSON."""
        return {
            "edges_ms": EDGES_MS.tolist(),
            "counts": list(self.counts),
            "max": self.max if math.isfinite(self.max) else 0.0,
        }


def _bin_of(value_ms: float) -> int:
    if value_ms < _LOWEST_MS:
        return 0
    # The tolerance puts a value that equals an edge, up to rounding, into the bin that begins there.
    return min(1 + int(math.log(value_ms / _LOWEST_MS) * _SCALE + 1e-9), len(EDGES_MS) - 1)


def write_histograms(path: Path, timings: dict[str, Timing]) -> None:
    """Writes `{name: histogram}` as JSON, completely or not at all."""
    write_text(path, json.dumps({name: timing.histogram() for name, timing in timings.items()}))
