"""The events on the timeline of a running system, the same as in its report, from the run folder and from status messages.

Repeated observations with the same kind and text are one event with a start and an end. It is reported when it starts, with
`end_s` null, and again with the same kind, text and start when it has ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsac_ros.report.run_events import HELD, LEAST_S, Event, events_of
from jsac_ros.report.summary import is_complete, read_totals
from jsac_ros.report.tables import number, read_rows, without_figures

_LASTING = ("hold", "emergency stop", "rule")  # kinds with a duration; the others are instants


class Events:
    """The events of one run. `tell` takes an event as JSON values: begin_s and end_s (s since 1970), kind, text, count."""

    def __init__(self, tell: Callable[[dict[str, Any]], None], now_s: Callable[[], float] = time.time):
        self._tell, self._now_s = tell, now_s
        self._open: dict[tuple[str, str], Event] = {}
        self._counts: dict[str, int] | None = None  # how often each rule has acted
        self._checkpoint: int | None = None
        self._alive: set[str] = set()

    # -- from status messages --------------------------------------------------------------------------------------

    def control(self, state: str, reason: str) -> None:
        if state in HELD:
            reason = without_figures(reason)
            self._seen("hold", f"{state}: {reason}" if reason else state)

    def safety(self, emergency_stop: bool, reason: str, counts: dict[str, int]) -> list[str]:
        """counts: how often each rule has acted since the process started. Returns the rules that acted since the last call."""
        if emergency_stop:
            self._seen("emergency stop", without_figures(reason) or "latched")
        before, self._counts = self._counts, counts
        before = counts if before is None else before
        acted = {name: count - before.get(name, 0) for name, count in counts.items() if count > before.get(name, 0)}
        for name, times in acted.items():
            self._seen("rule", name.replace("_", " "), times)
        return sorted(acted)

    def checkpoint(self, updates: int) -> None:
        """updates: after which the newest checkpoint was written."""
        before, self._checkpoint = self._checkpoint, updates
        if before is not None and updates > before:
            self._seen("checkpoint", f"after update {updates}")

    def episode(self, values: dict[str, Any]) -> None:
        """Call when an episode has ended. values: the fields of an `Episode`."""
        row = {name: str(int(value) if isinstance(value, bool) else value) for name, value in values.items()}
        if not is_complete(row):
            self._seen("episode cut", f"episode {row['episode']}: {without_figures(row['reason'])}")
        if times := int(number(row, "interventions", 0)):
            end_s = self._now_s()
            self._told(Event(end_s - number(row, "duration", 0.0), end_s, "person", "a person took over", times))

    def processes(self, alive: set[str]) -> None:
        for name in sorted(self._alive - alive):
            self._seen("restart", f"{name} ended")
        self._alive = alive

    # -- from observations to events -------------------------------------------------------------------------------

    def _seen(self, kind: str, text: str, count: int = 1) -> None:
        now_s = self._now_s()
        if (event := self._open.get((kind, text))) is not None:
            self._open[kind, text] = event._replace(end_s=now_s, count=event.count + count)
            return
        event = Event(now_s, now_s, kind, text, count)
        if kind in _LASTING:
            self._open[kind, text] = event
        self._told(event, lasts=kind in _LASTING)

    def close_what_ended(self) -> None:
        """Call about once a second: ends the events that have not been observed for LEAST_S."""
        now_s = self._now_s()
        for name, event in list(self._open.items()):
            if now_s - event.end_s >= LEAST_S:
                del self._open[name]
                self._told(event)

    def _told(self, event: Event, lasts: bool = False) -> None:
        self._tell(event._asdict() | ({"end_s": None} if lasts else {}))


def events_before(folder: Path) -> list[dict[str, Any]]:
    """The past events in the tables of a run folder, in the order of their start."""
    rows = read_rows(folder / "metrics.csv")
    if not rows:
        return []
    zero_s = number(rows[0], "unix_s", 0.0) - number(rows[0], "time_s", 0.0)
    found = events_of(folder, rows, read_totals(folder))
    return [event._asdict() | {"begin_s": zero_s + event.begin_s, "end_s": zero_s + event.end_s} for event in found]
