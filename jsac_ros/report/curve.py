"""The learning curve: return and success of every episode over robot time, with the baselines."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jsac_ros import documents
from jsac_ros.config import ConfigError
from jsac_ros.report.style import BLUE, GREEN, INK, MUTED, ORANGE, PALE_BLUE, plt
from jsac_ros.report.summary import WINDOW, Totals, is_complete, truly_succeeded
from jsac_ros.report.tables import Row, number

LABELS = {"random": "random", "still": "standing still", "servo": "visual servo"}


class Curve(NamedTuple):
    """Complete episodes in order: [N] training episodes, [M] evaluations."""

    minutes: np.ndarray  # at their end, since the first control tick, resets included
    returns: np.ndarray
    successes: np.ndarray  # 0 or 1
    true_successes: np.ndarray  # likewise; differ where the task contradicts a classifier
    steps: np.ndarray
    intervened_steps: np.ndarray  # that a person chose
    evaluation_minutes: np.ndarray
    evaluation_returns: np.ndarray


def curve_of(totals: Totals) -> Curve:
    def columns(episodes: list[Row], *names: str) -> list[np.ndarray]:
        rows = [row for row in episodes if is_complete(row)]
        return [np.array([number(row, name) for row in rows], np.float64) for name in names]

    names = ("time_s", "episode_return", "success", "steps", "intervened_steps")
    time_s, returns, successes, steps, intervened = columns(totals.episodes, *names)
    true = np.array([truly_succeeded(row) for row in totals.episodes if is_complete(row)], np.float64)
    evaluation_s, evaluation_returns = columns(totals.evaluations, "time_s", "episode_return")
    start_s = totals.started_s or 0.0
    return Curve(
        (time_s - start_s) / 60, returns, successes, true, steps, np.nan_to_num(intervened),
        (evaluation_s - start_s) / 60, evaluation_returns,
    )  # fmt: skip


def running_mean(values: np.ndarray, window: int = WINDOW) -> np.ndarray:
    """[N] -> [N]: mean of the last `window` values up to each; at the start of fewer values."""
    sums = np.concatenate(([0.0], np.cumsum(values)))
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(ends - window, 0)
    return (sums[ends] - sums[begins]) / (ends - begins)


def read_baselines(path: Path) -> dict[str, float]:
    """Mean return by name; empty if there is no file. Raises ConfigError if the file is malformed."""
    try:
        document = documents.json_of(documents.read(path, documents.JSON_BYTES)) if path.exists() else {}
        return {name: float(entry["return_mean"]) for name, entry in document.items() if name in LABELS}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f'{path}: expected {{"random": {{"return_mean": 40.0}}, ...}}') from None


def draw_returns(axes: Axes, curve: Curve, baselines: dict[str, float]) -> None:
    axes.set_ylabel("return of an episode")
    axes.plot(curve.minutes, curve.returns, "o", color=PALE_BLUE, ms=4, mec="white", mew=0.4, label="episode")
    axes.plot(
        curve.minutes, running_mean(curve.returns), color=BLUE, lw=2.6, solid_capstyle="round",
        label=f"mean of {WINDOW}",
    )  # fmt: skip
    if len(curve.evaluation_minutes):
        axes.plot(curve.evaluation_minutes, curve.evaluation_returns, "D", color=ORANGE, ms=4, label="evaluation")
    drawn = [*curve.returns, *curve.evaluation_returns]
    top, bottom = max([*baselines.values(), *drawn], default=1.0), min([0.0, *drawn])
    span = (top - bottom) or 1.0
    axes.set_ylim(bottom, bottom + 1.2 * span)  # room for the legend
    for name, value in baselines.items():
        crowded = any(0 < other - value < 0.1 * span for other in baselines.values())
        axes.axhline(value, color=MUTED, lw=1.1, ls=(0, (5, 3)), zorder=1)
        axes.annotate(
            f"{LABELS[name]}  {value:.0f}", (1, value), (-4, -3 if crowded else 3), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="right", va="top" if crowded else "bottom", color=MUTED, fontsize=9,
            bbox={"fc": "white", "ec": "none", "alpha": 0.8, "pad": 1.0},
        )  # fmt: skip
    if len(curve.minutes):
        axes.legend(loc="upper left", ncols=3, handlelength=1.4, columnspacing=1.4)


def draw_success(axes: Axes, curve: Curve) -> None:
    """With the true success where a classifier was contradicted, and a person's share of the steps where one helped."""
    share = 100 * running_mean(curve.successes)
    axes.fill_between(curve.minutes, share, color=GREEN, alpha=0.16, lw=0)
    axes.plot(curve.minutes, share, color=GREEN, lw=2.2, solid_capstyle="round", label="success")
    others = []
    if not np.array_equal(curve.true_successes, curve.successes):
        true = 100 * running_mean(curve.true_successes)
        others += axes.plot(curve.minutes, true, color=INK, lw=1.2, ls=(0, (4, 2)), label="true success")
    if curve.intervened_steps.any():
        helped = 100 * running_mean(curve.intervened_steps) / running_mean(curve.steps)
        others += axes.plot(curve.minutes, helped, color=ORANGE, lw=1.4, label="steps of a person")
    if others:
        axes.legend(loc="center left", fontsize=8, handlelength=1.4)
    axes.set_ylim(0, 104)
    axes.set_yticks([0, 50, 100], ["0 %", "50 %", "100 %"])
    axes.set_ylabel("success")


def learning_curve(totals: Totals, baselines: dict[str, float], title: str) -> Figure:
    """The figure of `learning_curve.png`."""
    curve = curve_of(totals)
    figure, (above, below) = plt.subplots(2, 1, figsize=(9, 5.6), sharex=True, height_ratios=(3, 1), layout="constrained")
    draw_returns(above, curve, baselines)
    draw_success(below, curve)
    below.set_xlabel("minutes since the first step, resets included")
    end = max(totals.duration_s / 60, curve.minutes[-1] if len(curve.minutes) else 0.0)
    below.set_xlim(0, end or 1.0)
    above.set_title(title)
    if not len(curve.minutes):
        above.text(0.5, 0.5, "no episode has ended yet", transform=above.transAxes, ha="center", color=INK)
    return figure
