"""The events of a run as a timeline and as a list, for its page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from matplotlib.figure import Figure

from jsac_ros.report.progress import clock
from jsac_ros.report.run_events import Event
from jsac_ros.report.style import BLUE, GREEN, MUTED, ORANGE, PURPLE, RED, TEAL, plt

LANES = {  # kind of event -> colour, most important first
    "emergency stop": RED,
    "restart": PURPLE,
    "hold": ORANGE,
    "episode cut": TEAL,
    "person": GREEN,
    "rule": MUTED,
    "checkpoint": BLUE,
}
MOST_RULES = 12  # rules with a line, those that acted most often
MOST_LISTED = 150


def lines_of(events: Sequence[Event], started_s: float) -> tuple[list[tuple[str, str, str, str]], int]:
    """(time, duration, kind, text) of the most important events, in order; and the number of events not listed."""
    rank = list(LANES)
    kept = sorted(events, key=lambda event: (rank.index(event.kind), event.begin_s))[:MOST_LISTED]
    lines = []
    for event in sorted(kept):
        times = f", {event.count:,} times" if event.count > 1 and event.kind != "hold" else ""
        length = clock(event.end_s - event.begin_s) if event.end_s > event.begin_s else ""
        lines.append((clock(event.begin_s - started_s), length, event.kind, event.text + times))
    return lines, len(events) - len(kept)


def drawn_timeline(events: Sequence[Event], started_s: float, end_s: float) -> Figure | None:
    """One line per kind and per rule that acted most often, over the same minutes as the learning curve."""
    lanes = _lanes(events)
    if not lanes:
        return None
    figure, axes = plt.subplots(figsize=(11.1, 0.8 + 0.3 * len(lanes)), layout="constrained")
    span_s = max(end_s - started_s, 1.0)
    for place, (kind, name) in enumerate(lanes):
        here = [event for event in events if event.kind == kind and (kind != "rule" or event.text == name)]
        bars = [((e.begin_s - started_s) / 60, max(e.end_s - e.begin_s, span_s / 400) / 60) for e in here]
        axes.broken_barh(bars, (place - 0.32, 0.64), color=LANES[kind], lw=0)
    axes.set_yticks(range(len(lanes)), [name for _, name in lanes])
    axes.set(
        ylim=(len(lanes) - 0.4, -0.6), xlim=(0, span_s / 60 * 1.01), xlabel="minutes since the first step, resets included"
    )
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    return figure


def _lanes(events: Sequence[Event]) -> list[tuple[str, str]]:
    """(kind, name) of each line: the kinds and rules that occurred."""
    counts: dict[str, int] = defaultdict(int)
    for event in events:
        if event.kind == "rule":
            counts[event.text] += event.count
    rules = sorted(counts, key=lambda name: counts[name], reverse=True)[:MOST_RULES]
    kinds = {event.kind for event in events}
    lanes: list[tuple[str, str]] = []
    for kind in LANES:
        lanes += [("rule", name) for name in rules] if kind == "rule" else [(kind, kind)] if kind in kinds else []
    return lanes
