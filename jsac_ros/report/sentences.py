"""The results of a comparison of runs as sentences with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from jsac_ros.report.comparison import Group, Interval, Run, difference, reached
from jsac_ros.report.summary import WINDOW

SUCCESSES = (0.5, 0.9)  # levels
_OF_THE_WAY = 0.9  # level between the first and the best return, if no run has a success


def by_steps(groups: Sequence[Group]) -> bool:
    """Whether all runs are trainings without a robot."""
    return all(run.is_training for group in groups for run in group.runs)


def sentences(groups: Sequence[Group]) -> list[str]:
    """Compares every group with the first."""
    steps = by_steps(groups)
    said = []
    for group in groups[1:]:
        for name, level, of_success in levels(groups):
            said.append(_sooner(groups[0], group, name, level, of_success, steps))
        said.append(_more(groups[0], group))
    if any(len(group.runs) == 1 for group in groups):
        said.append(
            "An interval needs at least two runs of each configuration; without one, another seed may give another result."
        )
    return said


def levels(groups: Sequence[Group]) -> list[tuple[str, float, bool]]:
    """(name, level, whether it is a success rate): of the success rate, or of the return if there are no successes."""
    runs = [run for group in groups for run in group.runs if len(run.returns) >= WINDOW]
    if any(run.successes.any() for run in runs):
        return [(f"{level:.0%} success", level, True) for level in SUCCESSES]
    if not runs:
        return []
    low, high = (choose(ends) for choose, ends in ((min, _means(runs, True)), (max, _means(runs, False))))
    level = low + _OF_THE_WAY * (high - low)
    return [(f"a return of {level:,.1f}", level, False)]


def _means(runs: Sequence[Run], first: bool) -> list[float]:
    """Mean return of the first or the last WINDOW episodes of each run."""
    return [float((run.returns[:WINDOW] if first else run.returns[-WINDOW:]).mean()) for run in runs]


def _sooner(a: Group, b: Group, name: str, level: float, of_success: bool, steps: bool) -> str:
    first, second = (_times(group, level, of_success, steps) for group in (a, b))
    if np.isnan([*first, *second]).any():  # no mean if some runs never reach it
        return f"{_told(b, second, name, steps)}; {_told(a, first, name, steps)}."
    value, interval = difference(first, second)
    said = f"{b.letter} reaches {name} {_amount(abs(value), steps)} {'sooner' if value < 0 else 'later'} than {a.letter}"
    return f"{said}{_sure(value, interval, ('later', 'sooner'), steps)}, after {_amount(float(second.mean()), steps)}."


def _times(group: Group, level: float, of_success: bool, steps: bool) -> np.ndarray:
    """[R]: when each run reaches the level; NaN for a run that never does."""
    return np.array([
        reached(run.steps if steps else run.minutes, run.successes if of_success else run.returns, level) for run in group.runs
    ])  # fmt: skip


def _told(group: Group, times: np.ndarray, name: str, steps: bool) -> str:
    """A clause about when a group reaches a level."""
    found, count = times[np.isfinite(times)], len(times)
    longest = max(run.end_steps if steps else run.end_minutes for run in group.runs)
    if not len(found):
        return f"{group.letter} never reaches {name} in {_amount(longest, steps)}"
    if len(found) < count:
        return f"{len(found)} of {count} runs of {group.letter} reach {name}, the others never"
    return f"{group.letter} reaches {name} after {_amount(float(found.mean()), steps)}"


def _more(a: Group, b: Group) -> str:
    if not all(len(run.returns) for group in (a, b) for run in group.runs):
        return f"The returns of {a.letter} and {b.letter} cannot be compared: a run has no complete episode."
    value, interval = difference(np.array(_means(a.runs, False)), np.array(_means(b.runs, False)))
    said = (
        f"The last {WINDOW} episodes of {b.letter} return {abs(value):,.1f} {'more' if value >= 0 else 'less'} than those of "
    )
    return f"{said}{a.letter}{_sure(value, interval, ('more', 'less'), None)}."


def _sure(value: float, interval: Interval | None, sides: tuple[str, str], steps: bool | None) -> str:
    """sides: words for a positive and a negative difference; steps: None for a return."""
    if interval is None:
        return " (no interval)"
    low, high = interval
    shown = lambda bound: f"{abs(bound):,.0f}" if steps else f"{abs(bound):,.1f}"
    if low <= 0 <= high and not math.isclose(low, high):
        side = lambda bound: sides[0] if bound >= 0 else sides[1]
        return f" (95 %: {shown(low)} {side(low)} to {shown(high)} {side(high)}: not significant with these runs)"
    near, far = sorted((low, high), key=abs)
    return f" (95 %: {shown(near)} to {shown(far)})"


def _amount(value: float, steps: bool) -> str:
    return f"{value:,.0f} steps" if steps else f"{value:,.1f} minutes"
