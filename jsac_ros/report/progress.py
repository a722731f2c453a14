"""The progress display: a panel on a terminal, one plain line every ten seconds in a log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jsac_ros.report.summary import WINDOW, Totals, is_complete
from jsac_ros.report.tables import Row, number


class Progress(NamedTuple):
    """The values to show. `latest` is the newest row of metrics.csv; values not received yet are NaN or ""."""

    elapsed_s: float
    duration_s: float  # 0: until stopped
    episodes: int
    last_return: float
    mean_return: float  # of the last ten
    success: float  # success rate of the last ten
    latest: Row

    @classmethod
    def of(cls, elapsed_s: float, duration_s: float, totals: Totals, latest: Row) -> Progress:
        complete = [row for row in totals.episodes[-5 * WINDOW :] if is_complete(row)][-WINDOW:]
        returns = [number(row, "episode_return") for row in complete]
        successes = [number(row, "success") for row in complete]
        return cls(
            elapsed_s=elapsed_s,
            duration_s=duration_s,
            episodes=totals.episode_count,
            last_return=returns[-1] if returns else float("nan"),
            mean_return=float(np.mean(returns)) if returns else float("nan"),
            success=float(np.mean(successes)) if successes else float("nan"),
            latest=latest,
        )

    def text(self, column: str) -> str:
        return self.latest.get(column, "")

    def value(self, column: str, form: str = ",.0f") -> str:
        value = number(self.latest, column)
        return format(value, form) if np.isfinite(value) else "–"

    @property
    def state(self) -> str:
        return self.text("control.state") or ("no actor" if self.elapsed_s else "starting")

    @property
    def waits(self) -> list[str]:
        """Which process waits or holds, and why: "replay: warm-up 120/500"."""
        waits = [
            ("actor", self.text("control.reason")),
            ("safety", self.text("safety.reason")),
            ("replay", self.text("replay.problem") or self.text("replay.waiting_for")),
            ("learner", self.text("learner.problem")),
            ("learner", self.text("learner.state") if self.text("learner.state") not in ("", "learning") else ""),
        ]
        if self.text("safety.emergency_stop") == "1":
            waits.insert(0, ("EMERGENCY STOP", "latched; release with the service safety/release"))
        return [f"{who}: {what}" for who, what in waits if what]

    @property
    def clock(self) -> str:
        return clock(self.elapsed_s) + (f" / {clock(self.duration_s)}" if self.duration_s else "")


def line(p: Progress) -> str:
    """One line for a log; unknown parts are omitted."""
    parts = [f"{p.clock:>5}  {p.state}"]
    if p.episodes:
        parts.append(f"episode {p.episodes}")
    if np.isfinite(p.last_return):
        parts.append(f"return {p.last_return:.0f} (last 10: {p.mean_return:.0f}, success {p.success:.0%})")
    if p.text("learner.updates"):
        parts.append(f"{p.value('learner.updates')} updates ({p.value('learner.updates_per_s', '.1f')}/s)")
    if number(p.latest, "control.ticks", 0) > 0:
        parts.append(
            f"{p.value('control.rate_hz', '.1f')} Hz, {p.value('control.missed')} missed, "
            f"p99 {p.value('control.lateness_ms.p99', '.1f')} ms"
        )
    if p.text("safety.state"):
        parts.append(f"safety {p.text('safety.state')}")
    if p.text("replay.stored"):
        parts.append(f"{p.value('replay.stored')} stored")
    return " | ".join(parts) + (f"  [{'; '.join(p.waits)}]" if p.waits else "")


def closing(summary: Mapping[str, Any]) -> str:
    """The last line of a run, from its summary."""
    text = f"{clock(summary['duration_s'])} of control: {summary['episodes']} episodes, {summary['env_steps']:,} steps, "
    text += f"{summary['updates']:,} updates"
    if summary["return_last10_mean"] is not None:
        text += (
            f"; return {summary['return_first10_mean']:.0f} (first 10) to {summary['return_last10_mean']:.0f} (last 10), "
            f"success {summary['success_first10']:.0%} to {summary['success_last10']:.0%}"
        )
    return text


def panel(p: Progress):
    """The same as a rich renderable for a terminal."""
    from rich.markup import escape
    from rich.panel import Panel
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    grid = Table.grid(padding=(0, 3))
    for _ in range(2):
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(no_wrap=True, min_width=22)
    stop = p.text("safety.emergency_stop") == "1"
    safety = escape(p.text("safety.state")) or "–"
    safety = f"[bold red]{safety}[/]" if stop else safety
    grid.add_row("state", f"[bold]{escape(p.state)}[/]", "control", f"{p.value('control.rate_hz', '.1f')} Hz")
    grid.add_row("episode", str(p.episodes), "missed ticks", p.value("control.missed"))
    late = p.value("control.lateness_ms.p99", ".1f")
    grid.add_row("return", _shown(p.last_return, ".1f"), "late (p99)", f"{late} ms")
    grid.add_row("mean of 10", f"[bold cyan]{_shown(p.mean_return, '.1f')}[/]", "safety", safety)
    grid.add_row("success of 10", f"[bold green]{_shown(p.success, '.0%')}[/]", "stored", p.value("replay.stored"))
    grid.add_row("updates", p.value("learner.updates"), "updates/s", p.value("learner.updates_per_s", ".1f"))
    outer = Table.grid()
    outer.add_row(grid)
    if p.duration_s:
        outer.add_row(ProgressBar(total=p.duration_s, completed=min(p.elapsed_s, p.duration_s), width=72))
    for wait in p.waits:
        colour = "bold red" if wait.startswith("EMERGENCY") else "yellow"
        outer.add_row(f"[{colour}]{escape(wait)}[/]")
    return Panel(outer, title=f"jsac_ros  {p.clock}", title_align="left", expand=False, border_style="blue")


def _shown(value: float, form: str) -> str:
    return format(value, form) if np.isfinite(value) else "–"


def clock(seconds: float) -> str:
    """75 -> '1:15', 3675 -> '1:01:15'."""
    minutes, seconds = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
