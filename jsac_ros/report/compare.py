"""The page that compares several runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jsac_ros.config import ConfigError
from jsac_ros.files import replaced
from jsac_ros.report.comparison import MOST_RUNS, Group, at_times, band, differing, groups_of, read_run
from jsac_ros.report.markup import document, drawn, section, table, words
from jsac_ros.report.sentences import by_steps, sentences
from jsac_ros.report.style import CYCLE, plt
from jsac_ros.report.summary import WINDOW

COMPARISON = "comparison.html"
POINTS = 300  # per curve
MOST_SETTINGS, MOST_CHARACTERS = 60, 80


def write_comparison(folders: Sequence[Path], out: Path | None = None) -> Path:
    """out: default COMPARISON beside the first run. Raises ConfigError if a folder is not of a run, or is given twice."""
    if len(folders) > MOST_RUNS:
        raise ConfigError(f"{len(folders)} run folders; expected at most {MOST_RUNS}")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError(f"run folders {', '.join(map(str, folders))}: expected each only once")
    out = out or folders[0].resolve().parent / COMPARISON
    text = comparison_page(groups_of([read_run(folder) for folder in folders]))
    try:
        with replaced(out) as beside:
            beside.write_text(text)
    except OSError as error:
        raise ConfigError(f"--out {out}: {error.strerror}; expected a file that can be written") from None
    return out


def comparison_page(groups: Sequence[Group]) -> str:
    said = sentences(groups)
    if len(groups) == 1:
        said = ["All runs have the same configuration: the curve shows the spread over its seeds."]
    settings = differing(groups)
    left_out = len(settings) - MOST_SETTINGS
    more = f"<p>and {left_out} more.</p>" if left_out > 0 else ""
    shown = [tuple(cell[:MOST_CHARACTERS] for cell in row) for row in settings[:MOST_SETTINGS]]
    sections = [
        section(
            "Differences",
            f"A level is reached when the mean of {WINDOW} episodes first reaches it. The 95 % intervals are those of the "
            "difference between means over seeds: a bootstrap over the runs, widened for their small number.",
            f"<ul>{''.join(f'<li>{words(sentence)}</li>' for sentence in said)}</ul>",
        ),
        section(
            "Curves",
            f"Means of {WINDOW} episodes: above the return, below the success rate. For a configuration with several runs the "
            "line is their mean and the band its 95 % interval (Student's t over the runs), up to the end of the shortest. "
            "Overlapping bands do not show which configuration is better.",
            drawn(_curves(groups), "return and success of each configuration"),
        ),
        section(
            "Runs",
            "Runs that differ only in their seed share a letter.",
            table(("", "run", "task", "seed", "episodes", "minutes", "steps", *_LAST), _rows(groups)),
        ),
        section(
            "Differences between the configurations",
            "Without the settings that are equal in all runs, or that define where a run is stored and how long it lasts.",
            table(("setting", *(group.letter for group in groups)), shown, "text") + more
            if shown
            else "<p>There are none, or the configurations cannot be read.</p>",
        ),
    ]
    names = [run.name for group in groups for run in group.runs]
    return document("Comparison of runs", ", ".join(names), "".join(sections))


_LAST = (f"return, last {WINDOW}", f"success, last {WINDOW}")


def _rows(groups: Sequence[Group]) -> list[tuple[str, ...]]:
    return [
        (
            group.letter, run.name, run.title, run.seed, f"{len(run.returns):,}", f"{run.end_minutes:,.1f}",
            f"{run.end_steps:,.0f}",
            *(format(values[-WINDOW:].mean(), form) if len(values) else "–"
              for values, form in ((run.returns, ",.1f"), (run.successes, ".0%"))),
        )
        for group in groups for run in group.runs
    ]  # fmt: skip


def _curves(groups: Sequence[Group]) -> Figure:
    steps = by_steps(groups)
    figure, (above, below) = plt.subplots(2, 1, figsize=(11.1, 6.4), sharex=True, height_ratios=(2, 1), layout="constrained")
    for group, colour in zip(groups, CYCLE * 4):
        ends = [run.end_steps if steps else run.end_minutes for run in group.runs]
        times = np.linspace(0, min(ends), POINTS)
        for axes, what, scale in ((above, "returns", 1.0), (below, "successes", 100.0)):
            each = [at_times(run.steps if steps else run.minutes, getattr(run, what), times) for run in group.runs]
            _draw(axes, times, scale * np.stack(each), colour, group)
    above.set_ylabel("return of an episode")
    above.set_xlim(left=0)
    below.set(ylabel="success, %", ylim=(0, 104))
    below.set_xlabel("steps of the environment" if steps else "minutes since the first step, resets included")
    above.legend(loc="upper left", ncols=min(len(groups), 6))
    return figure


def _draw(axes: Axes, times: np.ndarray, curves: np.ndarray, colour: str, group: Group) -> None:
    """curves: [R, T]."""
    mean, half = band(curves)
    count = len(group.runs)
    label = f"{group.letter}, {count} runs" if count > 1 else group.letter
    axes.plot(times, mean, color=colour, lw=2.2, label=label)
    if count > 1:
        axes.fill_between(times, mean - half, mean + half, color=colour, alpha=0.16, lw=0)
