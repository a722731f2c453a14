"""One line per episode: its return, why it ended, and the actions of safety and the holds during it.

Rules and holds come from the rows of metrics.csv that overlap the episode, so those within a second of its ends (ten seconds
after the first hour) may belong to a neighbour. The change of its commands comes from the replay store and is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jsac_ros.config import ConfigError
from jsac_ros.replay.episodes import Episodes
from jsac_ros.report.run_events import HELD
from jsac_ros.report.summary import Totals
from jsac_ros.report.tables import Row, number

HEAD = ("episode", "minute", "steps", "return", "ended by", "safety and holds")
MOST = 2000  # newest episodes in the table
_NEWEST = 200_000  # newest transitions of the store that are read, in a fifth of a second
_MOST_RULES, _MOST_HOLDS = 4, 2  # shown per episode
_RULE = "safety.rule."


class During:
    """What metrics.csv contains about an interval of the run."""

    def __init__(self, rows: Sequence[Row]):
        self._rows = rows
        self._times_s = np.array([number(row, "time_s", 0.0) for row in rows])
        names = sorted({column for row in rows for column in row if column.startswith(_RULE)})
        self._grown = {name.removeprefix(_RULE).replace("_", " "): _grown(rows, name) for name in names}

    def said(self, begin_s: float, end_s: float) -> list[str]:
        """Rules with their counts, the most frequent first, then stops and holds with their reasons."""
        if not len(self._rows):
            return []
        # A row counts events since the previous row.
        first, last = np.searchsorted(self._times_s, (begin_s, end_s))
        last = min(int(last), len(self._rows) - 1)
        counts = {rule: int(grown[last] - grown[first - 1 if first else 0]) for rule, grown in self._grown.items()}
        acted = sorted((rule for rule in counts if counts[rule] > 0), key=lambda rule: -counts[rule])
        said = [f"{rule} {counts[rule]:,}" for rule in acted[:_MOST_RULES]]
        said += [f"{len(acted) - _MOST_RULES} more rules"] if len(acted) > _MOST_RULES else []
        return said + _reasons(self._rows[first : last + 1])


def _grown(rows: Sequence[Row], column: str) -> np.ndarray:
    """[N]: how often a rule had acted up to each row, continued over restarts of the safety process."""
    total, before, totals = 0.0, 0.0, np.zeros(len(rows))
    for k, row in enumerate(rows):
        value = number(row, column)
        if value >= 0:
            total, before = total + (value - before if value >= before else value), value
        totals[k] = total
    return totals


def _reasons(rows: Sequence[Row]) -> list[str]:
    """Each kind of reason once, with the numbers of its first occurrence."""
    found: dict[str, str] = {}
    for row in rows:
        if number(row, "safety.emergency_stop", 0):
            found.setdefault("stop", f"emergency stop: {row.get('safety.reason', '') or 'latched'}")
        for part, states in (("safety", ("holding",)), ("control", HELD)):
            reason = row.get(f"{part}.reason", "")
            if row.get(f"{part}.state", "") in states and reason:
                kind = "".join(letter for letter in reason if letter.isalpha())
                found.setdefault(kind, f"{'safety' if part == 'safety' else 'actor'} {row[f'{part}.state']}: {reason}")
    return list(found.values())[:_MOST_HOLDS]


def lines_of(totals: Totals, rows: Sequence[Row], store: Path) -> tuple[list[tuple[str, ...]], int]:
    """One line per episode, evaluations included, in order; and the number of older episodes that are not shown."""
    every = sorted([*totals.episodes, *totals.evaluations], key=lambda row: number(row, "time_s", 0.0))
    during, changed, started_s = During(rows), Changed(store), totals.started_s or 0.0
    starts = list(dict.fromkeys(row.get("session", "") for row in every))
    lines = []
    for row in every[-MOST:]:
        end_s = number(row, "time_s", 0.0)
        what = f"episode {row.get('episode', '')}"
        what += f" of start {starts.index(row.get('session', '')) + 1}" if len(starts) > 1 else ""
        what += ", evaluation" if number(row, "evaluation", 0) else ""
        ended = ", ".join(filter(None, ("success" if number(row, "success", 0) else "", row.get("reason", ""))))
        said = [*changed.said(row), *during.said(end_s - number(row, "duration", 0.0), end_s)]
        said += _help(row)
        lines.append(
            (what, f"{max(end_s - started_s, 0.0) / 60:.1f}", f"{number(row, 'steps', 0):.0f}",
             f"{number(row, 'episode_return', 0.0):.1f}", ended, "; ".join(said) or "nothing")
        )  # fmt: skip
    return lines, max(len(every) - MOST, 0)


def _help(row: Row) -> list[str]:
    steps = int(number(row, "intervened_steps", 0))
    return [f"a person chose {steps} steps"] if steps else []


class Changed:
    """How much safety changed the commands of an episode, from the replay store; nothing for episodes not in it."""

    def __init__(self, store: Path):
        self._of: dict[tuple[int, int], float] = {}  # session, episode -> mean |executed - action| over mean |action|
        try:
            episodes = Episodes(store)
            records = episodes.records(episodes.newest(_NEWEST))
        except (ConfigError, OSError):
            return
        apart, asked = np.zeros(len(records)), np.zeros(len(records))
        for part in episodes.spaces.actions:
            if not part.choices:
                action, executed = records[f"action/{part.name}"], records[f"executed/{part.name}"]
                known = np.isfinite(executed).all(axis=1) & ~records["is_last"]
                apart[known] += np.abs(executed[known] - action[known]).sum(axis=1)
                asked[known] += np.abs(action[known]).sum(axis=1)
        keys = np.stack([records["session"].astype(np.uint64), records["episode"].astype(np.uint64)], axis=1)
        names, place = np.unique(keys, axis=0, return_inverse=True)
        sums = [np.bincount(place.reshape(-1), values, len(names)) for values in (apart, asked)]
        self._of = {(int(s), int(e)): a / b for (s, e), a, b in zip(names, *sums) if b > 0}

    def said(self, row: Row) -> list[str]:
        try:
            share = self._of[int(row["session"]), int(row["episode"])]
        except (KeyError, ValueError):
            return []
        return [f"commands changed by {share:.0%}"] if share >= 0.005 else []
