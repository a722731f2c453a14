"""The figures of the report except the learning curve. Each function returns None if nothing was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from jsac_ros.report.histograms import Histogram
from jsac_ros.report.style import BLUE, CYCLE, MUTED, ORANGE, RED, plt
from jsac_ros.report.tables import Row, number

HISTOGRAMS = {  # name in the file -> title
    "lateness": "tick due to start of tick",
    "done": "tick due to command",
    "obs_to_command": "camera to command",
    "image_age": "age of the image",
    "joint_age": "age of the joint state",
    "image_joint_skew": "between image and joint state",
    "inference": "inference",
    "policy_age": "age of the policy",
}
_COLUMNS = 3
_SHORTEST_MS = 0.008  # start of the logarithmic axis; smaller values are drawn there


def series(rows: Sequence[Row], column: str) -> np.ndarray:
    """A column as float64 [N]; NaN for empty cells."""
    return np.array([number(row, column) for row in rows], np.float64)


def names_under(rows: Sequence[Row], prefix: str) -> list[str]:
    """Names, without `prefix`, of the columns that start with it and have at least one value."""
    if not rows:
        return []
    return [c.removeprefix(prefix) for c in rows[0] if c.startswith(prefix) and any(row[c] for row in rows)]


def _grid(count: int, height: float = 2.5) -> tuple[Figure, list[Axes]]:
    columns = min(count, _COLUMNS)
    rows = -(-count // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.7 * columns, height * rows), squeeze=False, layout="constrained")
    for spare in axes.flat[count:]:
        spare.set_visible(False)
    return figure, list(axes.flat[:count])


def timing(histograms: Mapping[str, Histogram]) -> Figure | None:
    """Distributions of the control loop's durations; both axes are logarithmic, so that a single late tick is visible."""
    known = {name: histograms[name] for name in HISTOGRAMS if name in histograms and histograms[name].counts.any()}
    if not known:
        return None
    figure, grid = _grid(len(known))
    longest = max(histogram.max for histogram in known.values())
    for axes, (name, histogram) in zip(grid, known.items()):
        bounds = np.maximum(histogram.bounds, _SHORTEST_MS)
        axes.stairs(histogram.counts, bounds, fill=True, color=BLUE, lw=0, baseline=0.5)
        axes.set(xscale="log", yscale="log", xlim=(_SHORTEST_MS, max(longest, 100.0) * 1.3))
        axes.set_ylim(0.5, histogram.counts.max() * 2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_title(HISTOGRAMS[name], pad=18)
        _mark(axes, histogram)
    for axes in grid[-_COLUMNS:]:
        axes.set_xlabel("ms")
    for axes in grid[::_COLUMNS]:
        axes.set_ylabel("ticks")
    return figure


def _mark(axes: Axes, histogram: Histogram) -> None:
    marks = {"p50": histogram.quantile(0.5), "p99": histogram.quantile(0.99), "max": histogram.max}
    for (name, value), color, x in zip(marks.items(), (MUTED, ORANGE, RED), (0.0, 0.3, 0.62)):
        axes.axvline(max(value, _SHORTEST_MS), color=color, lw=1.2)
        shown = f"{value:.3g}" if value < 999.5 else f"{value:.0f}"
        axes.text(x, 1.03, f"{name} {shown}", transform=axes.transAxes, fontsize=8.5, color=color)


def losses(rows: Sequence[Row]) -> Figure | None:
    """Every scalar that the learner reports, over its updates."""
    names = names_under(rows, "learner.metric.")
    if not names:
        return None
    updates = series(rows, "learner.updates")
    figure, grid = _grid(len(names), height=1.9)
    for axes, name in zip(grid, names):
        values = series(rows, f"learner.metric.{name}")
        axes.plot(updates, values, lw=0.7, color=BLUE, alpha=0.35)
        axes.plot(updates, smooth(values), lw=1.6, color=BLUE)
        axes.set_title(name.replace("_", " "))
        axes.title.set_fontsize(9.5)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value else "0")
    for axes in grid[-_COLUMNS:]:
        axes.set_xlabel("updates")
    return figure


def smooth(values: np.ndarray, share: float = 0.03) -> np.ndarray:
    """Centred moving mean over a share of the series, ignoring NaN."""
    half = max(int(len(values) * share / 2), 1)
    known = np.isfinite(values)
    sums = np.concatenate(([0.0], np.cumsum(np.where(known, values, 0.0))))
    counts = np.concatenate(([0], np.cumsum(known)))
    at = np.arange(len(values))
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    inside = counts[high] - counts[low]
    return np.where(inside > 0, (sums[high] - sums[low]) / np.maximum(inside, 1), np.nan)


def health(rows: Sequence[Row]) -> Figure | None:
    """Ticks, missed ticks, updates and age of the policy over time."""
    panels = (
        ("control.lateness_ms.p99", "lateness of the ticks, p99, ms"),
        ("control.rate_hz", "ticks per second"),
        ("control.missed", "ticks missed so far"),
        ("learner.updates_per_s", "updates per second"),
        ("learner.batch_wait_share", "share of time waiting for a batch"),
        ("control.policy_age_s", "age of the policy, s"),
    )
    panels = [(column, title) for column, title in panels if np.isfinite(series(rows, column)).any()]
    if not panels:
        return None
    minutes = series(rows, "time_s") / 60
    figure, grid = _grid(len(panels), height=1.9)
    for axes, (column, title) in zip(grid, panels):
        axes.plot(minutes, series(rows, column), lw=1.2, color=BLUE)
        axes.set_title(title)
        axes.title.set_fontsize(9.5)
        axes.set_ylim(bottom=0)
    for axes in grid[-_COLUMNS:]:
        axes.set_xlabel("minutes")
    return figure


def processes(rows: Sequence[Row]) -> Figure | None:
    """Resident memory and CPU of every process over time."""
    names = [name.removesuffix(".rss_mb") for name in names_under(rows, "process.") if name.endswith(".rss_mb")]
    if not names:
        return None
    minutes = series(rows, "time_s") / 60
    figure, (memory, cpu) = plt.subplots(1, 2, figsize=(11.1, 3.2), layout="constrained")
    for name, color in zip(names, CYCLE * 2):
        memory.plot(minutes, series(rows, f"process.{name}.rss_mb"), color=color, label=name)
        cpu.plot(minutes, 100 * smooth(series(rows, f"process.{name}.cpu")), color=color)
    memory.set(title="resident memory, MB", xlabel="minutes")
    cpu.set(title="CPU, % of one core", xlabel="minutes")
    memory.set_ylim(bottom=0)
    cpu.set_ylim(bottom=0)
    figure.legend(loc="outside right center")
    return figure


def interventions(counts: Mapping[str, int]) -> Figure | None:
    """How often each rule of safety changed a command."""
    if not counts:
        return None
    ordered = sorted(counts.items(), key=lambda item: item[1])
    figure, axes = plt.subplots(figsize=(7.4, 0.6 + 0.34 * len(ordered)), layout="constrained")
    bars = axes.barh([name.replace("_", " ") for name, _ in ordered], [n for _, n in ordered], color=ORANGE, height=0.6)
    axes.bar_label(bars, fmt="{:,.0f}", padding=4, color=MUTED)
    axes.margins(x=0.12)
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    return figure


def help_of_a_person(episodes: Sequence[Row]) -> Figure | None:
    """Share of steps that a person chose, and length of the interventions, over the run; None without interventions."""
    steps, chosen, times = (series(episodes, name) for name in ("steps", "intervened_steps", "interventions"))
    if not np.nansum(chosen):
        return None
    minutes = series(episodes, "time_s") / 60
    with np.errstate(divide="ignore", invalid="ignore"):
        panels = ((100 * chosen / steps, "steps that a person chose, %"), (chosen / times, "steps per intervention"))
    figure, grid = _grid(len(panels), height=1.9)
    for axes, (values, title) in zip(grid, panels):
        axes.plot(minutes, values, ".", ms=4, color=BLUE, alpha=0.35)
        axes.plot(minutes, smooth(values, 0.2), lw=1.6, color=BLUE)
        axes.set_title(title)
        axes.title.set_fontsize(9.5)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("minutes")
    return figure
