"""Events of a run (holds, safety rules, interventions, checkpoints, restarts), from the tables of its folder.

Events of one kind that are close together are merged into one with a count, so that a day has as many as an hour.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jsac_ros.report.summary import Totals, is_complete
from jsac_ros.report.tables import Row, number, without_figures

HELD = ("holding", "paused", "stopped")
_PARTS = {"actor": "control.session", "learner": "learner.session"}  # process -> column with a new value at each start
_COUNTED = {"replay": "replay.batches", "safety": "safety.ticks"}  # process -> column that grows until it exits
_APART = 200  # events of one kind in a run that stay separate, at most
LEAST_S = 3.0  # events of one kind that are closer are merged


class Event(NamedTuple):
    """From `begin_s` to `end_s`, seconds since the run began."""

    begin_s: float
    end_s: float
    kind: str  # a key of timeline.LANES
    text: str
    count: int = 1


def events_of(folder: Path, rows: Sequence[Row], totals: Totals) -> list[Event]:
    """The events in the order of their start. rows: of metrics.csv."""
    found = [*_holds(rows), *_stops(rows), *_rules(rows), *_restarts(rows), *_episodes(totals)]
    found += list(_checkpoints(rows)) or list(_checkpoint_folders(folder, rows))
    return _merged(sorted(found), _span_s(rows) / _APART)


def _span_s(rows: Sequence[Row]) -> float:
    return number(rows[-1], "time_s", 0.0) - number(rows[0], "time_s", 0.0) if rows else 0.0


def _holds(rows: Sequence[Row]) -> Iterator[Event]:
    for row in rows:
        if (state := row.get("control.state", "")) in HELD:
            reason = without_figures(row.get("control.reason", ""))
            yield _at(row, "hold", f"{state}: {reason}" if reason else state)


def _stops(rows: Sequence[Row]) -> Iterator[Event]:
    for row in rows:
        if number(row, "safety.emergency_stop", 0):
            yield _at(row, "emergency stop", without_figures(row.get("safety.reason", "")) or "latched")


def _rules(rows: Sequence[Row]) -> Iterator[Event]:
    """The growth of each rule's counter from row to row; a restarted safety process counts from 0."""
    before: dict[str, float] = {}
    for row in rows:
        for column in row:
            if column.startswith("safety.rule.") and (value := number(row, column)) >= 0:
                grown = value - before.get(column, 0.0) if value >= before.get(column, 0.0) else value
                before[column] = value
                if grown:
                    yield _at(row, "rule", column.removeprefix("safety.rule.").replace("_", " "), int(grown))


def _restarts(rows: Sequence[Row]) -> Iterator[Event]:
    """Restarts: of the learner and each robot's actor by their sessions, of replay and safety by counters that start again."""
    sessions: dict[tuple[str, str], set[str]] = defaultdict(set)
    before: dict[str, float] = {}
    for row in rows:
        for process, column in _PARTS.items():
            seen = sessions[process, row.get("control.robot", "") if process == "actor" else ""]
            if (session := row.get(column, "")) and session not in seen:
                if seen:
                    yield _at(row, "restart", f"{process} restarted")
                seen.add(session)
        for process, column in _COUNTED.items():
            value = number(row, column)
            if value < before.get(column, 0.0):
                yield _at(row, "restart", f"{process} restarted")
            if value >= 0:
                before[column] = value


def _episodes(totals: Totals) -> Iterator[Event]:
    for row in totals.episodes:
        if not is_complete(row):
            yield _at(row, "episode cut", f"episode {row.get('episode', '')}: {without_figures(row.get('reason', ''))}")
        if times := int(number(row, "interventions", 0)):
            end_s = number(row, "time_s", 0.0)
            yield Event(end_s - number(row, "duration", 0.0), end_s, "person", "a person took over", times)


def _checkpoints(rows: Sequence[Row]) -> Iterator[Event]:
    newest = -1.0
    for row in rows:
        if (updates := number(row, "learner.checkpoint", -1.0)) > newest:
            newest = updates
            yield _at(row, "checkpoint", "checkpoint written")


def _checkpoint_folders(folder: Path, rows: Sequence[Row]) -> Iterator[Event]:
    """The remaining checkpoints of a training without a learner process."""
    if rows:
        began_s, last_s = number(rows[0], "unix_s", 0.0) - number(rows[0], "time_s", 0.0), number(rows[-1], "time_s", 0.0)
        for path in (folder / "checkpoints").glob("*"):
            time_s = path.stat().st_mtime - began_s
            if path.name.isdigit() and 0 <= time_s <= last_s + 60:  # otherwise the folder was copied
                yield Event(time_s, time_s, "checkpoint", "checkpoint written")


def _at(row: Row, kind: str, text: str, count: int = 1) -> Event:
    time_s = number(row, "time_s", 0.0)
    return Event(time_s, time_s, kind, text, count)


def _merged(events: Sequence[Event], apart_s: float) -> list[Event]:
    """Merges events of one kind and text that are closer than `apart_s` or LEAST_S."""
    last: dict[tuple[str, str], Event] = {}
    done: list[Event] = []
    for event in events:
        name = event.kind, event.text
        if (before := last.get(name)) and event.begin_s - before.end_s <= max(apart_s, LEAST_S):
            last[name] = before._replace(end_s=max(before.end_s, event.end_s), count=before.count + event.count)
        else:
            done += [before] if before else []
            last[name] = event
    return sorted([*done, *last.values()])
