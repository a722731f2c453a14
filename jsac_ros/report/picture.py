"""One wide picture of a run: what the robot saw early and late, beside the learning curve.

`python -m jsac_ros.report.picture RUN_FOLDER OUT.png`
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from jsac_ros.config import ConfigError
from jsac_ros.replay.store import FrameStore
from jsac_ros.report.curve import curve_of, draw_returns, draw_success, read_baselines
from jsac_ros.report.style import GRID, INK, MUTED, plt
from jsac_ros.report.summary import WINDOW, Totals, is_complete, read_totals
from jsac_ros.report.tables import Row, number
from jsac_ros.report.tables import BASELINE

FRAMES = 5  # of an episode


class Strip(NamedTuple):
    """Frames of one episode, evenly spaced from its first to its last."""

    row: Row  # of episodes.csv
    frames: np.ndarray  # uint8 [FRAMES, H, W, C]
    seconds: np.ndarray  # [FRAMES], since its first


def strips_of(totals: Totals, store: FrameStore) -> list[Strip]:
    """A typical one of the first episodes and one of the last that the store still holds whole."""
    slots = store.live_slots()
    sessions, numbers = store.rows["session"][slots], store.rows["episode"][slots]
    held = []
    for row in filter(is_complete, totals.episodes):
        of_episode = slots[(sessions == int(row["session"])) & (numbers == int(row["episode"]))]
        if len(of_episode) == int(row["steps"]) + 1:
            held.append((row, of_episode))
    groups = [held] if len(held) < 2 else [held[:WINDOW], held[-WINDOW:]]
    return [_strip(store, *_typical(group)) for group in groups if group]


def _typical(group: list[tuple[Row, np.ndarray]]) -> tuple[Row, np.ndarray]:
    """The episode whose return is nearest to the group's mean."""
    returns = np.array([number(row, "episode_return") for row, _ in group])
    return group[int(np.abs(returns - returns.mean()).argmin())]


def _strip(store: FrameStore, row: Row, slots: np.ndarray) -> Strip:
    chosen = slots[np.linspace(0, len(slots) - 1, FRAMES).round().astype(int)]
    stamps = store.rows["stamp_ns"][chosen].astype(np.float64) * 1e-9
    return Strip(row, store.frames[chosen], stamps - stamps[0])


def picture(totals: Totals, strips: list[Strip], baselines: dict[str, float]) -> Figure:
    """Film strips left, curve right."""
    figure = plt.figure(figsize=(15, 3.7), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.3, 1), wspace=0.02)
    _draw_strips(left, totals, strips)
    curve = curve_of(totals)
    above, below = right.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    draw_returns(above, curve, baselines)
    draw_success(below, curve)
    below.set_xlim(0, max(totals.duration_s / 60, *curve.minutes, 1e-3))
    below.set_xlabel("robot time in minutes, resets included")
    return figure


def _draw_strips(figure, totals: Totals, strips: list[Strip]) -> None:
    for part, strip in zip(figure.subfigures(len(strips), 1, squeeze=False).flat, strips):
        minute = (number(strip.row, "time_s") - (totals.started_s or 0.0)) / 60
        success = ", success" if number(strip.row, "success") else ""
        part.suptitle(
            f"minute {max(minute, 0):.0f}   return {number(strip.row, 'episode_return'):.0f}{success}",
            x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK,
        )  # fmt: skip
        for axes, frame, seconds in zip(part.subplots(1, FRAMES), strip.frames, strip.seconds):
            axes.imshow(frame.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.set_xlabel(f"{seconds:.1f} s", color=MUTED, fontsize=9)
            for spine in axes.spines.values():
                spine.set(visible=True, color=GRID)


def draw(folder: Path, out: Path, baseline: Path | None = None) -> None:
    """Raises ConfigError where the run folder holds no store, or no whole episode with frames."""
    totals = read_totals(folder)
    strips = strips_of(totals, FrameStore.read(folder / "replay"))
    if not strips or not strips[0].frames[0].size:
        raise ConfigError(f"run folder {folder}: the store holds no whole episode with frames; expected one at least")
    figure = picture(totals, strips, read_baselines(baseline or folder / BASELINE))
    figure.savefig(out, dpi=120)
    plt.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--baseline", type=Path, metavar="FILE", help="baseline.json; default: the run folder's own")
    arguments = parser.parse_args()
    try:
        draw(arguments.run_folder, arguments.out, arguments.baseline)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
