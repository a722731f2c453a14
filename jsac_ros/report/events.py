"""TensorBoard events of a run, from the same rows as the tables."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from jsac_ros.report.summary import Totals
from jsac_ros.report.tables import Row, number

_EPISODE = ("episode_return", "success", "steps", "duration", "interventions", "intervened_steps")


PERIOD_S = 10.0  # between two points of a value over time


class Events:
    """Episodes and the learner's losses over environment steps and updates, everything else over seconds.

    A file that could not be written to is left, since what follows a cut record in it is lost; the next one is new.
    """

    def __init__(self, folder: Path):
        self._folder, self._file, self._files = folder, None, 0
        self._due_s = -math.inf
        self.problem = ""  # why the newest events are not in a file

    def episode(self, env_steps: int, values: Mapping[str, object]) -> None:
        kind = "evaluation" if values["evaluation"] else "episode"
        self._write(env_steps, {f"{kind}/{name.removeprefix('episode_')}": float(values[name]) for name in _EPISODE})

    def metrics(self, totals: Totals, row: Row) -> None:
        """Every number of a row of metrics.csv, if the last was PERIOD_S ago; text and what was not heard is left out."""
        if time.monotonic() < self._due_s:
            return
        self._due_s, over_time, over_updates = time.monotonic() + PERIOD_S, {}, {}
        for column, cell in row.items():
            part, _, name = column.partition(".")
            value = number(row, column) if cell and name and not name.endswith("session") else math.nan
            if math.isfinite(value):
                values = over_updates if column.startswith("learner.metric.") else over_time
                values[f"{part}/{name.replace('.', '/')}"] = value
        self._write(round(number(row, "time_s", 0.0)), over_time)
        self._write(totals.updates, over_updates)

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        tensorboard = _tensorboard()
        scalars = [tensorboard.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        event = tensorboard.Event(wall_time=time.time(), step=step, summary=tensorboard.Summary(value=scalars))
        try:
            if self._file is None:
                self._files += 1
                self._folder.mkdir(exist_ok=True)
                self._file = tensorboard.EventsWriter(str(self._folder / "events"), f".{os.getpid()}.{self._files}")
            self._file.write_event(event)
            self._file.flush()
            self.problem = ""
        except OSError as error:
            self.problem = f"{self._folder}: {error.strerror}"
            self.close()

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None


class _Tensorboard(NamedTuple):
    EventsWriter: type
    Event: type
    Summary: type


@cache
def _tensorboard() -> _Tensorboard:
    """tensorboardX, which imports torch where there is one: three seconds and 190 MB for nothing that is used here."""
    hidden = "torch" not in sys.modules
    if hidden:
        sys.modules["torch"] = None
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

    if hidden:
        del sys.modules["torch"]
    return _Tensorboard(EventsWriter, Event, Summary)
