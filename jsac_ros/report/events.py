"""A run as scalars and pictures, from the same rows as the tables, over one axis: steps of the environment."""

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


PERIOD_S = 10.0  # between two points of a value over time


class Events:
    """Tells every logger of a run; none of them can stop it, what is wrong with one is in `new_problems`."""

    def __init__(self, loggers: Sequence[Logger], filmstrips: Filmstrips | None = None):
        self._loggers, self._filmstrips = loggers, filmstrips
        self._due_s = -math.inf
        self._film: tuple[int, Key] | None = None  # of the newest stored episode: steps at its end, which it is
        self._said: set[str] = set()

    @classmethod
    def of(cls, config: SystemConfig, folder: Path) -> Events:
        """Of the run in `folder`. Raises ConfigError where a logger is not installed."""
        store = Path(config.replay.folder).expanduser() if config.replay.folder else folder / "replay"
        return cls(loggers_of(config, folder), Filmstrips(store, config.report.image_period_s))

    def episode(self, env_steps: int, values: Mapping[str, object]) -> None:
        """values: a row of episodes.csv; env_steps: at its end."""
        kind = "evaluation" if values["evaluation"] else "episode"
        scalars = {f"{kind}/{name.removeprefix('episode_')}": float(values[name]) for name in _EPISODE}
        self._scalars(env_steps, {name: value for name, value in scalars.items() if math.isfinite(value)})
        if not values["evaluation"]:  # which is not stored
            self._film = env_steps, (str(values["robot"]), int(values["session"]), int(values["episode"]))

    def metrics(self, totals: Totals, row: Row) -> None:
        """Every number of a row of metrics.csv, if the last was PERIOD_S ago; text and what was not heard is left out."""
        if self._film and self._filmstrips and self._filmstrips.due:  # a second after its end it is stored
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
        """What has gone wrong with a logger since it was last asked, a line each; what lasts is said once."""
        problems = {logger.problem for logger in self._loggers} - {""}
        new, self._said = sorted(problems - self._said), problems
        return new

    def close(self) -> None:
        for logger in self._loggers:
            logger.close()
