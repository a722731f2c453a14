"""Logs a run as scalars and images over environment steps, from the same rows as the tables."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from jsac_ros.config import SystemConfig
from jsac_ros.replay.episodes import Key
from jsac_ros.report.filmstrip import Filmstrips
from jsac_ros.report.loggers import Logger, loggers_of
from jsac_ros.report.summary import Totals
from jsac_ros.report.tables import Row, number

_EPISODE = ("episode_return", "success", "steps", "duration", "interventions", "intervened_steps")


PERIOD_S = 10.0  # between points of a scalar over time


class Events:
    """Passes values to every logger of a run. No logger can stop the run; their problems are in `new_problems`."""

    def __init__(self, loggers: Sequence[Logger], filmstrips: Filmstrips | None = None):
        self._loggers, self._filmstrips = loggers, filmstrips
        self._due_s = -math.inf
        self._film: tuple[int, Key] | None = None  # newest stored episode: steps at its end, key
        self._said: set[str] = set()

    @classmethod
    def of(cls, config: SystemConfig, folder: Path) -> Events:
        """The loggers of the run in `folder`. Raises ConfigError if a logger is not installed."""
        store = Path(config.replay.folder).expanduser() if config.replay.folder else folder / "replay"
        return cls(loggers_of(config, folder), Filmstrips(store, config.report.image_period_s))

    def episode(self, env_steps: int, values: Mapping[str, object]) -> None:
        """values: a row of episodes.csv; env_steps: at the end of the episode."""
        kind = "evaluation" if values["evaluation"] else "episode"
        scalars = {f"{kind}/{name.removeprefix('episode_')}": float(values[name]) for name in _EPISODE}
        self._scalars(env_steps, {name: value for name, value in scalars.items() if math.isfinite(value)})
        if not values["evaluation"]:  # evaluations are not stored
            self._film = env_steps, (str(values["robot"]), int(values["session"]), int(values["episode"]))

    def metrics(self, totals: Totals, row: Row) -> None:
        """Logs the numbers of a row of metrics.csv, every PERIOD_S; text and empty cells are skipped."""
        if self._film and self._filmstrips and self._filmstrips.due:  # an episode is stored a second after its end
            (env_steps, key), self._film = self._film, None
            for name, image in self._filmstrips.take(key).items():
                for logger in self._loggers:
                    logger.image(env_steps, f"film/{name}", image)
        if time.monotonic() < self._due_s:
            return
        self._due_s, scalars = time.monotonic() + PERIOD_S, {}
        for column, cell in row.items():
            part, _, name = column.partition(".")
            value = number(row, column) if cell and name and not name.endswith("session") else math.nan
            if math.isfinite(value):
                scalars[f"{part}/{name.replace('.', '/')}"] = value
        self._scalars(totals.env_steps, scalars)

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        for logger in self._loggers:
            logger.scalars(step, values)

    def new_problems(self) -> list[str]:
        """New problems of the loggers since the last call, one line each; a persistent problem is reported once."""
        problems = {logger.problem for logger in self._loggers} - {""}
        new, self._said = sorted(problems - self._said), problems
        return new

    def close(self) -> None:
        for logger in self._loggers:
            logger.close()
