"""The log of a training: the tables, events, summary and report of a live run, written by the same code."""

from __future__ import annotations

import csv
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jsac_ros.config import SystemConfig
from jsac_ros.files import replaced, write_text
from jsac_ros.report.events import Events
from jsac_ros.report.processes import FILE as PROCESSES
from jsac_ros.report.processes import Processes
from jsac_ros.report.summary import WINDOW, read_totals, write_summary
from jsac_ros.report.tables import MOST_EPISODES, ROW_PERIOD_S, Row, Table, number, read_rows, row_period_s
from jsac_ros.report.write import write as write_report
from jsac_ros.training.disk import Disk
from jsac_ros.training.evaluation import Episode

SUMMARY_PERIOD_S = 10.0
EPISODES, METRICS = "episodes.csv", "metrics.csv"


class Clock:
    """Seconds of training, in this process and in those before it."""

    def __init__(self, begin_s: float = 0.0):
        self._began_s = time.monotonic() - begin_s

    def __call__(self) -> float:
        return round(time.monotonic() - self._began_s, 2)  # as in the tables


class TrainingLog:
    """The log of one training process; it continues the tables of earlier ones."""

    def __init__(
        self, folder: Path, config: SystemConfig, robot: str, session: int, begin_steps: int = 0, begin_s: float = 0.0,
        clock: Callable[[], float] | None = None, say: Callable[[str], None] = print,
        disk: Disk | None = None,
    ):  # fmt: skip
        """begin_steps, begin_s: of the checkpoint from which this process continues; later rows of the tables are dropped,
        because they will be written again. clock: replaces the process's own. say: reports the error of a logger.

        Raises ConfigError if a logger of the configuration is not installed.
        """
        self._folder, self._source = folder, {"robot": robot, "session": session}
        _cut(folder / EPISODES, "env_steps", begin_steps)
        _cut(folder / METRICS, "time_s", begin_s)
        self._episodes, self._metrics = Table(folder / EPISODES), Table(folder / METRICS)
        self.totals = read_totals(folder, MOST_EPISODES)
        self._events, self._say, self._disk = Events.of(config, folder), say, disk or Disk(say)
        write_text(folder / PROCESSES, json.dumps({"train": os.getpid()}))
        self._processes = Processes(folder)
        self.time_s = clock or Clock(begin_s)
        self._row_due_s, self._summary_due_s = time.monotonic() + ROW_PERIOD_S, time.monotonic() + SUMMARY_PERIOD_S
        self._before: tuple[float, int, int] = (begin_s, 0, -1)  # of the last row: seconds, steps, updates

    @property
    def last_ten(self) -> float:
        """Mean return of the last ten training episodes; NaN before the end of the first."""
        rows = self.totals.episodes[-WINDOW:]
        return float(np.mean([number(row, "episode_return") for row in rows])) if rows else math.nan

    def episode(self, episode: Episode, number: int, updates: int, stopped: bool = False) -> None:
        """number: of the episode in its session; updates: of the policy at its end; stopped: the training ended first."""
        row = self._times() | {"env_steps": episode.env_steps} | self._source | {
            "episode": number, "steps": episode.steps, "episode_return": episode.episode_return, "success": episode.success,
            "terminated": episode.terminated, "truncated": not episode.terminated,
            "reason": "stopped" if stopped else episode.reason, "duration": math.nan,
            "policy_version": updates, "evaluation": episode.evaluation, "sampled": episode.sampled,
            "interventions": episode.interventions, "intervened_steps": episode.intervened_steps,
        }  # fmt: skip
        self.totals.add_episode(self._episodes.append(row))
        self._events.episode(episode.env_steps, row)

    def due(self) -> bool:
        """Whether the next `row` is due: after a second, ten after the first hour."""
        return time.monotonic() >= self._row_due_s

    def row(self, steps: int, updates: int, columns: Mapping[str, Any]) -> None:
        """Writes a row of metrics.csv. steps: of this process; columns: additional `control.*`, `learner.*` and `replay.*`."""
        self._row_due_s = time.monotonic() + row_period_s(self.time_s())
        (then_s, steps_then, updates_then), now_s = self._before, self.time_s()
        self._before, seconds = (now_s, steps, updates), max(now_s - then_s, 1e-2)
        values = {f"control.{name}": value for name, value in self._source.items()} | {
            "control.state": "acting", "control.ticks": steps, "control.missed": 0, "control.sent": steps,
            "control.rate_hz": (steps - steps_then) / seconds, "control.policy_version": updates, "control.policy_age_s": 0.0,
            "learner.state": "learning" if updates else "waiting", "learner.updates": updates,
            "learner.updates_per_s": (updates - updates_then) / seconds if updates_then >= 0 else math.nan,
        } | dict(columns) | self._processes.sample()  # fmt: skip
        row: Row = self._metrics.append(self._times() | values)
        self.totals.add_metrics(row)
        self._events.metrics(self.totals, row)
        for problem in self._events.new_problems():
            self._say(f"{problem}; the training continues without it")
        if time.monotonic() >= self._summary_due_s:  # so that a killed training has one
            self._summary_due_s = time.monotonic() + SUMMARY_PERIOD_S
            self._disk.tries("summary.json", lambda: write_summary(self._folder, self.totals))

    def _times(self) -> dict[str, str]:
        return {"time_s": f"{self.time_s():.2f}", "unix_s": f"{time.time():.3f}"}

    def close(self) -> None:
        """Writes summary, curve and report."""
        for part in (self._episodes, self._metrics, self._events):
            part.close()
        write_report(self._folder)


def _cut(path: Path, column: str, last: float) -> None:
    """Drops the rows of a table after `last`. The file is replaced atomically."""
    rows = read_rows(path)
    kept = [row for row in rows if number(row, column, 0.0) <= last]
    if len(kept) < len(rows):
        with replaced(path) as beside, beside.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(kept)
