"""Statistics for the comparison of runs: groups, when each reaches a level, and the confidence of differences.

Runs whose configurations differ only in the seed form a group. The 95 % interval states what can be expected of other seeds. It
comes from a bootstrap over the runs, widened for their small number, so that its coverage holds for three seeds as for thirty.
A single run has no interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtrit

from jsac_ros.config import ConfigError
from jsac_ros.report.curve import running_mean
from jsac_ros.report.folder import title_of, tree_of
from jsac_ros.report.summary import WINDOW, is_complete, read_totals
from jsac_ros.report.tables import number

OF_A_RUN = ("run", "dashboard", "bag")  # sections that do not affect learning: where and how long to run
MOST_RUNS = len(ascii_uppercase)
DRAWS = 10_000
SURE = 0.975
_NORMAL = 1.959964

Interval = tuple[float, float]


class Run(NamedTuple):
    """One run. Arrays have one value per complete training episode, [N], in order."""

    name: str
    title: str  # task or environment
    settings: dict[str, str]  # "agent.discount" -> "0.97", without the sections OF_A_RUN
    seed: str
    minutes: np.ndarray  # at the end of each episode, since the first step, resets included
    steps: np.ndarray  # of the environment, likewise
    returns: np.ndarray
    successes: np.ndarray  # 0 or 1
    end_minutes: float
    end_steps: float

    @property
    def is_training(self) -> bool:
        """Whether it was a training without a robot, whose cost is steps instead of minutes."""
        return bool(self.settings.get("train.environment"))


class Group(NamedTuple):
    """The runs of one configuration."""

    letter: str
    runs: list[Run]


def read_run(folder: Path) -> Run:
    """Raises ConfigError if `folder` is not a run folder."""
    if not (folder / "episodes.csv").is_file():
        raise ConfigError(f"run folder {folder}: has no episodes.csv; expected the folder of a run")
    totals, tree = read_totals(folder), tree_of(folder)
    rows = [row for row in totals.episodes if is_complete(row)]
    column = lambda name: np.array([number(row, name, 0.0) for row in rows], np.float64)
    minutes, run = (column("time_s") - (totals.started_s or 0.0)) / 60, tree.get("run")
    return Run(
        name=folder.resolve().name,
        title=title_of(folder),
        settings=_flat({name: section for name, section in tree.items() if name not in OF_A_RUN}),
        seed=str(run.get("seed", "–")) if isinstance(run, dict) else "–",
        minutes=minutes,
        steps=column("env_steps"),
        returns=column("episode_return"),
        successes=column("success"),
        end_minutes=max(totals.duration_s / 60, minutes[-1] if len(minutes) else 0.0),
        end_steps=float(totals.env_steps),
    )


def _flat(tree: dict[str, Any], before: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": str(value)}
    return flat


def groups_of(runs: Sequence[Run]) -> list[Group]:
    """Groups in the order of their first runs. A run whose configuration cannot be read is a group by itself."""
    found: dict[Any, list[Run]] = {}
    for place, run in enumerate(runs):
        found.setdefault(tuple(sorted(run.settings.items())) or place, []).append(run)
    return [Group(letter, members) for letter, members in zip(ascii_uppercase, found.values())]


def differing(groups: Sequence[Group]) -> list[tuple[str, ...]]:
    """(setting, its value in each group) for the settings that differ; "–" if a group lacks one."""
    settings = [group.runs[0].settings for group in groups]
    names = sorted({name for one in settings for name in one})
    rows = [(name, *(one.get(name, "–") for one in settings)) for name in names]
    return [row for row in rows if len(set(row[1:])) > 1]


def reached(at: np.ndarray, values: np.ndarray, level: float) -> float:
    """When the mean of WINDOW episodes first reaches `level`; NaN: never. at, values: [N]."""
    above = np.flatnonzero(running_mean(values)[WINDOW - 1 :] >= level)
    return float(at[WINDOW - 1 + above[0]]) if len(above) else math.nan


def difference(first: np.ndarray, second: np.ndarray) -> tuple[float, Interval | None]:
    """Mean of `second` [M] minus mean of `first` [N], and its 95 % interval, which is None if one of them is a single run.

    A bootstrap over N runs underestimates their spread by sqrt((N - 1)/N) and treats it as known. Its deviations are therefore
    divided by that factor, and multiplied by the quantile of Student's t (Welch's degrees of freedom) over the normal one.
    """
    value = float(second.mean() - first.mean())
    if min(len(first), len(second)) < 2:
        return value, None
    random = np.random.default_rng(0)
    deviations = _deviations(second, random) - _deviations(first, random)
    parts = np.array([values.var(ddof=1) / len(values) for values in (first, second)])
    freedoms = np.array([len(first) - 1, len(second) - 1])
    if not parts.any():
        return value, (value, value)
    freedom = parts.sum() ** 2 / (parts**2 / freedoms).sum()
    low, high = np.quantile(deviations, (1 - SURE, SURE)) * stdtrit(freedom, SURE) / _NORMAL
    return value, (value + float(low), value + float(high))


def _deviations(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Deviations of the means of bootstrap samples of `values` [N] from their mean, [DRAWS]."""
    count = len(values)
    drawn = values[random.integers(0, count, (DRAWS, count))].mean(axis=1)
    return (drawn - values.mean()) * math.sqrt(count / (count - 1))


def band(curves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [T] of runs [R, T], and half the width of its 95 % interval [T], NaN for a single run."""
    count = len(curves)
    if count < 2:
        return curves.mean(axis=0), np.full(curves.shape[1], np.nan)
    return curves.mean(axis=0), stdtrit(count - 1, SURE) * curves.std(axis=0, ddof=1) / math.sqrt(count)


def at_times(at: np.ndarray, values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The mean of the last WINDOW episodes at `times` [T]; NaN before the first episode has ended. at, values: [N]."""
    place = np.searchsorted(at, times, side="right") - 1
    means = running_mean(values) if len(values) else np.full(1, np.nan)
    return np.where(place >= 0, means[np.maximum(place, 0)], np.nan)
