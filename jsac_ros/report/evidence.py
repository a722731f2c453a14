"""The measurements in a run folder, read once for the rules of `advice.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.replay.episodes import Episodes
from jsac_ros.report.curve import read_baselines
from jsac_ros.report.folder import config_of, store_of
from jsac_ros.report.summary import Totals, is_complete, read_totals, summary_of
from jsac_ros.report.tables import BASELINE, Row, number, read_rows

NEWEST = 2000  # newest transitions of the store, whose actions are evaluated
FRAMES = 64  # of these, whose frames are evaluated


class Evidence(NamedTuple):
    """The measurements of one run; empty or NaN for anything not measured."""

    config: SystemConfig  # with the sections of plug-ins as in the file, unchecked
    summary: Mapping[str, Any]
    episodes: list[Row]  # complete training episodes
    rows: list[Row]  # of metrics.csv
    baselines: dict[str, float]
    actions: dict[str, np.ndarray]  # continuous part -> float32 [N, size], -1..1: newest actions of the policy
    changed: float  # mean |executed - action| of these over mean |action|; NaN: unknown
    brightness: dict[str, np.ndarray]  # image -> float64 [M, 2]: mean and standard deviation of a frame, 0..255

    def series(self, column: str) -> np.ndarray:
        """float64 [N]: a column of metrics.csv, without empty cells."""
        values = np.array([number(row, column) for row in self.rows], np.float64)
        return values[np.isfinite(values)]

    def late(self, column: str) -> float:
        """Median of the last third of a column; NaN if it is empty."""
        values = self.series(column)
        return float(np.median(values[-max(len(values) // 3, 1) :])) if len(values) else np.nan

    def grown(self, column: str) -> float:
        """Growth of a counter over the run, summed over restarts of its process."""
        values = self.series(column)
        return float(np.maximum(np.diff(values), 0.0).sum() + (values[0] if len(values) else 0.0))

    def share(self, column: str, begins: str) -> float:
        """Share of the non-empty cells of `column` that start with `begins`; 0 if all are empty."""
        words = [row[column] for row in self.rows if row.get(column)]
        return sum(word.startswith(begins) for word in words) / len(words) if words else 0.0

    def agent(self, name: str) -> Any:
        """A parameter of the algorithm; None if it has none of this name."""
        return getattr(self.config.agent, name, None)

    @property
    def action_size(self) -> int:
        return sum(values.shape[1] for values in self.actions.values())


def read_evidence(folder: Path) -> Evidence:
    """The evidence in a run folder, during or after the run. Raises ConfigError if it is not a run folder."""
    if not (folder / "episodes.csv").is_file():
        raise ConfigError(f"run folder {folder}: has no episodes.csv; expected the folder of a run")
    totals = read_totals(folder)
    return evidence_of(folder, totals, summary_of(folder, totals), read_baselines(folder / BASELINE))


def evidence_of(folder: Path, totals: Totals, summary: Mapping[str, Any], baselines: dict[str, float]) -> Evidence:
    """The evidence in a run folder whose tables have been read already."""
    config = config_of(folder)
    actions, changed, brightness = _newest(store_of(folder, config))
    return Evidence(
        config=config,
        summary=summary,
        episodes=[row for row in totals.episodes if is_complete(row)],
        rows=read_rows(folder / "metrics.csv"),
        baselines=baselines,
        actions=actions,
        changed=changed,
        brightness=brightness,
    )


def _newest(store: Path) -> tuple[dict[str, np.ndarray], float, dict[str, np.ndarray]]:
    """Actions, their change by safety, and brightness of the newest transitions; empty if there is no store."""
    try:
        episodes = Episodes(store)
        slots = episodes.newest(NEWEST)
    except (ConfigError, OSError):
        return {}, np.nan, {}
    records = episodes.records(slots)
    chosen = records[(records["policy_version"] >= 0) & ~records["intervened"] & ~records["is_last"]]
    actions = {part.name: chosen[f"action/{part.name}"] for part in episodes.spaces.actions if not part.choices}
    changed = _changed(actions, {name: chosen[f"executed/{name}"] for name in actions})
    some = slots[np.linspace(0, len(slots) - 1, min(FRAMES, len(slots))).round().astype(int)]
    frames = {image.name: episodes.frames(image.name, some) for image in episodes.spaces.images}
    brightness = {
        name: np.stack([values.mean((1, 2, 3)), values.std((1, 2, 3))], axis=1)
        for name, values in frames.items()
        if len(values)
    }
    return actions, changed, brightness


def _changed(actions: dict[str, np.ndarray], executed: dict[str, np.ndarray]) -> float:
    """actions, executed: {part: [N, size]}; `executed` is NaN where safety did not report it."""
    pairs = [
        (action[known], executed[name][known]) for name, action in actions.items() for known in [np.isfinite(executed[name])]
    ]
    size = sum(np.abs(action).sum() for action, _ in pairs)
    return float(sum(np.abs(action - done).sum() for action, done in pairs) / size) if size else np.nan
