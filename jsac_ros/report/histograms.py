"""Percentiles of a whole run from the control loop's histograms (`control_histograms.json`)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from jsac_ros import documents
from jsac_ros.control.timing import FILE


class Histogram(NamedTuple):
    """Counts of durations: bin i counts edges[i] <= ms < edges[i + 1]; the last bin counts longer ones, up to `max`."""

    edges: np.ndarray  # float64 [n], ms
    counts: np.ndarray  # int64 [n]
    max: float  # ms

    @property
    def bounds(self) -> np.ndarray:
        """float64 [n + 1], ms: the edges and the largest value."""
        return np.append(self.edges, max(self.max, self.edges[-1]))

    def quantile(self, q: float) -> float:
        """The quantile in ms, interpolated linearly within a bin, at most `max`; NaN if all counts are 0."""
        if not self.counts.sum():
            return float("nan")
        cumulative = np.concatenate(([0], np.cumsum(self.counts)))
        return float(min(np.interp(q * cumulative[-1], cumulative, self.bounds), self.max))


def read_histograms(folder: Path, file: str = FILE) -> dict[str, Histogram]:
    """{name: Histogram}; empty if the file is missing or malformed."""
    try:
        document = documents.json_of(documents.read(folder / file, documents.JSON_BYTES))
        return {name: _histogram(entry) for name, entry in document.items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return {}


def _histogram(entry: dict) -> Histogram:
    edges, counts = np.asarray(entry["edges_ms"], np.float64), np.asarray(entry["counts"], np.int64)
    if len(counts) == len(edges) - 1:  # closed bins: nothing above the last edge
        counts = np.append(counts, 0)
    if edges.ndim != 1 or len(counts) != len(edges) or not len(edges):
        raise ValueError(f"{len(counts)} counts for {len(edges)} edges")
    return Histogram(edges, counts, float(entry["max"]))
