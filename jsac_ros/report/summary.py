"""`summary.json`: a whole run in one small document (docs/summary.md lists the keys).

`Totals` takes the rows of `episodes.csv` and `metrics.csv` in order, live or from the files, with the same result. The counters
of a process restart at zero with the process; they are summed over its sessions.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jsac_ros.control.ending import FALSE_GOAL, GOAL, MISSED_GOAL, TIME_LIMIT
from jsac_ros.files import write_text
from jsac_ros.report.histograms import Histogram, read_histograms
from jsac_ros.report.tables import PERCENTILES, Row, number, read_rows

MOST_SESSIONS = 1000  # of actors whose counters are kept apart
WINDOW = 10  # episodes in "first" and "last"
ENDS = (TIME_LIMIT, GOAL, FALSE_GOAL, MISSED_GOAL)  # reasons with which a complete episode ends
_CONTROL = ("lateness_ms", "obs_to_command_ms", "image_age_ms")
_SERIES = (
    "control.rate_hz",
    "control.policy_age_s",
    "learner.updates_per_s",
    "learner.update_ms",
    "learner.batch_wait_share",
    *(f"control.{name}.{p}" for name in _CONTROL for p in PERCENTILES),
)


def is_complete(episode: Row) -> bool:
    """Whether the task ended it, not a fault, an operator or the end of the run; only then is its return comparable."""
    return number(episode, "terminated", 0) == 1 or episode.get("reason") in ENDS


def truly_succeeded(episode: Row) -> bool:
    """By the task's own measure, where it contradicts a classifier."""
    reason = episode.get("reason")
    return reason == MISSED_GOAL or (number(episode, "success", 0) > 0 and reason != FALSE_GOAL)


class Series:
    """A time series of any length in bounded memory: mean and maximum are exact, quantiles use at most `most` values."""

    def __init__(self, most: int = 8192):
        self._most, self._every, self._count, self._sum, self._largest = most, 1, 0, 0.0, -math.inf
        self._kept = array("d")

    def add(self, value: float) -> None:
        if self._count % self._every == 0:
            self._kept.append(value)
            if len(self._kept) == self._most:
                self._kept, self._every = self._kept[::2], 2 * self._every
        self._count += 1
        self._sum += value
        self._largest = max(self._largest, value)

    def __len__(self) -> int:
        return self._count

    def mean(self) -> float:
        return self._sum / self._count

    def quantile(self, q: float) -> float:
        return self._largest if q == 1.0 else float(np.quantile(self._kept, q))


class Totals:
    """Totals of the rows. Add rows in the order in which they were written."""

    def __init__(self, most_episodes: int | None = None):
        """most_episodes: that `episodes` and `evaluations` keep, the first and the last ones; None: all."""
        self.episodes: list[Row] = []  # of training
        self.evaluations: list[Row] = []  # deterministic episodes that are not stored
        self.episode_count = 0  # of training
        self._most_episodes = most_episodes
        self.finished_steps = 0  # in finished training episodes
        self.started_s: float | None = None  # `time_s` of the first control tick
        self.duration_s = 0.0  # from the first control tick to the last one known
        self.updates = 0
        self.peak_rss_mb: dict[str, float] = {}
        self._learned = False  # whether the learner was learning in the previous row
        self._series = {name: Series() for name in _SERIES}
        self._of_session: dict[str, dict[str, float]] = {"ticks": {}, "missed": {}, "sent": {}}
        self._replay: dict[str, float] = {"received": 0.0, "lost": 0.0}
        self._replay_before: dict[str, float] = {}  # counters of a resumed store at the start of the run
        self._open_steps: tuple[str, str, float] = ("", "", 0.0)  # session, episode and steps of the open episode

    def add_episode(self, row: Row) -> None:
        if number(row, "evaluation", 0):
            self._keep(self.evaluations, row)
            return
        self._keep(self.episodes, row)
        self.episode_count += 1
        self.finished_steps += int(number(row, "steps", 0))

    def _keep(self, rows: list[Row], row: Row) -> None:
        rows.append(row)
        if self._most_episodes and len(rows) > self._most_episodes:
            del rows[self._most_episodes // 2]

    def add_metrics(self, row: Row) -> None:
        self._add_control(row)
        self._add_learner(row)
        for name in self._replay:
            value = number(row, f"replay.{name}")
            if value >= 0:
                self._replay[name] = max(value, self._replay[name])
                self._replay_before.setdefault(name, number(row, f"replay.{name}_before", 0.0))
        for column, value in row.items():
            process, _, field = column.removeprefix("process.").rpartition(".")
            if column.startswith("process.") and field == "peak_rss_mb" and value:
                self.peak_rss_mb[process] = max(self.peak_rss_mb.get(process, 0.0), float(value))

    def _add_control(self, row: Row) -> None:
        session = row.get("control.session", "")
        if not session:
            return
        time_s, ticks = number(row, "time_s", 0.0), number(row, "control.ticks", 0.0)
        if self.started_s is None and ticks > 0:
            self.started_s = time_s - ticks / max(number(row, "control.rate_hz", 1.0), 1.0)
        if self.started_s is not None and ticks > self._of_session["ticks"].get(session, 0.0):
            self.duration_s = time_s - self.started_s
        for name, sessions in self._of_session.items():
            sessions[session] = number(row, f"control.{name}", 0.0)
            if len(sessions) > MOST_SESSIONS:
                sessions[""] = sessions.get("", 0.0) + sessions.pop(next(filter(None, sessions)))
        self._open_steps = (session, row.get("control.episode", ""), number(row, "control.step", 0.0))
        if ticks > 0:
            self._extend(row, "control.rate_hz", *(f"control.{name}.{p}" for name in _CONTROL for p in PERCENTILES))
        if number(row, "control.policy_version") >= 0:
            self._extend(row, "control.policy_age_s")

    def _add_learner(self, row: Row) -> None:
        self.updates = int(number(row, "learner.updates", self.updates))
        learned, self._learned = self._learned, row.get("learner.state") == "learning"
        if learned and self._learned:  # learning for the whole second
            self._extend(row, "learner.updates_per_s", "learner.update_ms", "learner.batch_wait_share")

    def _extend(self, row: Row, *columns: str) -> None:
        for column in columns:
            value = number(row, column)
            if np.isfinite(value):
                self._series[column].add(value)

    # -- results ---------------------------------------------------------------------------------------------------

    @property
    def env_steps(self) -> int:
        """Actions taken in training episodes, including the open episode."""
        session, episode, open_steps = self._open_steps
        last = self.episodes[-1] if self.episodes else {}
        is_open = (last.get("session"), last.get("episode")) != (session, episode)
        return self.finished_steps + (int(open_steps) if is_open else 0)

    def total(self, name: str) -> int:
        """`ticks`, `missed` or `sent`, summed over all sessions of the actors."""
        return int(sum(self._of_session[name].values()))

    def of_replay(self, name: str) -> int:
        """`received` or `lost` in this run."""
        return int(self._replay[name] - self._replay_before.get(name, 0.0))

    def mean(self, column: str) -> float | None:
        values = self._series[column]
        return _rounded(values.mean()) if values else None

    def quantile(self, column: str, q: float) -> float | None:
        values = self._series[column]
        return _rounded(values.quantile(q)) if values else None

    def control_quantile(self, name: str, q: float) -> float | None:
        """Estimates a quantile from the percentiles of every second, for a run without `control_histograms.json`.

        At r ticks per second, r(1 - q) ticks exceed the quantile each second. If that is less than one, the quantile is
        about the 1 - r(1 - q) quantile of the maxima of the seconds; otherwise the percentile of each second is used.
        """
        above = max(self.mean("control.rate_hz") or 0.0, 0.0) * (1 - q)
        if q > 0.5 and above < 1:
            return self.quantile(f"control.{name}.max", 1 - above)
        return self.quantile(f"control.{name}.{'p50' if q <= 0.5 else 'p99'}", 0.5)


def summarise(totals: Totals, histograms: Mapping[str, Histogram]) -> dict[str, Any]:
    """The document; values not measured are null."""
    complete = [row for row in totals.episodes if is_complete(row)]

    def mean(column: str, rows: list[Row]) -> float | None:
        return _rounded(np.mean([number(row, column) for row in rows])) if rows else None

    def control(name: str, **quantiles: float) -> dict[str, float | None]:
        histogram = histograms.get(name.removesuffix("_ms"))
        if histogram is not None and histogram.counts.sum():
            return {key: _rounded(histogram.quantile(q)) for key, q in quantiles.items()}
        return {key: totals.control_quantile(name, q) for key, q in quantiles.items()}

    return {
        "env_steps": totals.env_steps,
        "episodes": totals.episode_count,
        "updates": totals.updates,
        "duration_s": _rounded(totals.duration_s),
        "return_first10_mean": mean("episode_return", complete[:WINDOW]),
        "return_last10_mean": mean("episode_return", complete[-WINDOW:]),
        "success_first10": mean("success", complete[:WINDOW]),
        "success_last10": mean("success", complete[-WINDOW:]),
        "control": {
            "ticks": totals.total("ticks"),
            "missed": totals.total("missed"),
            "jitter_ms": control("lateness_ms", p50=0.5, p99=0.99, p999=0.999, max=1.0),
            "obs_to_command_ms": control("obs_to_command_ms", p50=0.5, p99=0.99),
            "image_age_ms": control("image_age_ms", p50=0.5, p99=0.99),
        },
        "transitions": {
            "sent": totals.total("sent"),
            "received": totals.of_replay("received"),
            "lost": totals.of_replay("lost"),
        },
        "learner": {
            "updates_per_s": totals.mean("learner.updates_per_s"),
            "update_ms_p50": totals.quantile("learner.update_ms", 0.5),
            "batch_wait_share": totals.mean("learner.batch_wait_share"),
        },
        "policy_age_s": {
            "p50": totals.quantile("control.policy_age_s", 0.5),
            "max": totals.quantile("control.policy_age_s", 1.0),
        },
        "peak_rss_mb": {name: _rounded(value) for name, value in totals.peak_rss_mb.items()},
    }


def read_totals(folder: Path, most_episodes: int | None = None) -> Totals:
    """The totals of a run folder, during or after the run."""
    totals = Totals(most_episodes)
    for row in read_rows(folder / "episodes.csv"):
        totals.add_episode(row)
    for row in read_rows(folder / "metrics.csv"):
        totals.add_metrics(row)
    return totals


def summary_of(folder: Path, totals: Totals) -> dict[str, Any]:
    """The contents of `summary.json` for a run folder."""
    return summarise(totals, read_histograms(folder))


def write_summary(folder: Path, totals: Totals) -> dict[str, Any]:
    """Writes `summary.json` atomically and returns its contents."""
    summary = summary_of(folder, totals)
    write_text(folder / "summary.json", as_text(summary))
    return summary


def as_text(summary: Mapping[str, Any]) -> str:
    return json.dumps(summary, indent=2) + "\n"


def _rounded(value: float) -> float:
    """Four significant digits below 1000, one decimal above."""
    value = float(value)
    return float(f"{value:.4g}") if abs(value) < 1000 else round(value, 1)
