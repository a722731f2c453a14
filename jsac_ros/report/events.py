"""TensorBoard events of a run, from the same rows as the tables."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jsac_ros.report.summary import Totals
from jsac_ros.report.tables import Row, number

_EPISODE = ("episode_return", "success", "steps", "duration")


def summary_writer(folder: Path):
    """A tensorboardX SummaryWriter.

    tensorboardX imports torch where there is one: three seconds and 190 MB for nothing that is used here.
    """
    hidden = "torch" not in sys.modules
    if hidden:
        sys.modules["torch"] = None
    from tensorboardX import SummaryWriter

    if hidden:
        del sys.modules["torch"]
    return SummaryWriter(str(folder), flush_secs=30)


class Events:
    """Episodes and the learner's losses over environment steps and updates, everything else over seconds."""

    def __init__(self, folder: Path):
        self._writer = summary_writer(folder)

    def episode(self, env_steps: int, values: Mapping[str, object]) -> None:
        kind = "evaluation" if values["evaluation"] else "episode"
        for name in _EPISODE:
            self._writer.add_scalar(f"{kind}/{name.removeprefix('episode_')}", float(values[name]), env_steps)

    def metrics(self, totals: Totals, row: Row) -> None:
        """Every number of a row of metrics.csv; text and what was not heard is left out."""
        second = round(number(row, "time_s", 0.0))
        for column, cell in row.items():
            part, _, name = column.partition(".")
            value = number(row, column) if cell and name and not name.endswith("session") else np.nan
            if np.isfinite(value):
                step = totals.updates if column.startswith("learner.metric.") else second
                self._writer.add_scalar(f"{part}/{name.replace('.', '/')}", value, step)

    def close(self) -> None:
        self._writer.close()
