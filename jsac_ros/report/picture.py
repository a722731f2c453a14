"""One wide picture of a run: frames of an early and a late episode, and the learning curve."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from jsac_ros.config import ConfigError
from jsac_ros.files import replaced
from jsac_ros.replay.store import FrameStore
from jsac_ros.report.curve import curve_of, draw_returns, draw_success, read_baselines
from jsac_ros.report.folder import config_of, store_of
from jsac_ros.report.seen import Held, evenly, held_episodes, seconds_of
from jsac_ros.report.style import GRID, INK, MUTED, plt
from jsac_ros.report.summary import WINDOW, Totals, read_totals
from jsac_ros.report.tables import BASELINE, Row, number

FRAMES = 5  # per episode


class Strip(NamedTuple):
    """Frames of one episode, evenly spaced from its first to its last."""

    row: Row  # of episodes.csv
    frames: np.ndarray  # uint8 [FRAMES, H, W, C]
    seconds: np.ndarray  # [FRAMES], since the first frame


def strips_of(totals: Totals, store: FrameStore, image: str) -> list[Strip]:
    """Frames of a typical early episode and a typical late one, among those that are still complete in the store."""
    held = held_episodes(totals, store)
    groups = [held] if len(held) < 2 else [held[:WINDOW], held[-WINDOW:]]
    return [_strip(store, image, _typical(group)) for group in groups if group]


def _typical(group: list[Held]) -> Held:
    """The episode whose return is nearest to the group's mean."""
    returns = np.array([number(held.row, "episode_return") for held in group])
    return group[int(np.abs(returns - returns.mean()).argmin())]


def _strip(store: FrameStore, image: str, held: Held) -> Strip:
    slots = evenly(held.slots, FRAMES)
    return Strip(held.row, store.frames[image][slots], seconds_of(store, slots))


def picture(totals: Totals, strips: list[Strip], baselines: dict[str, float]) -> Figure:
    """Filmstrips on the left, the curve on the right."""
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


def draw(folder: Path, out: Path, baseline: Path | None = None, image: str = "") -> None:
    """image: name of the camera's image; "": the first.

    Raises ConfigError if the run folder has no store, or the store lacks the image or a complete episode.
    """
    totals, store = read_totals(folder), FrameStore.read(store_of(folder, config_of(folder)))
    images = list(store.frames)
    if not images or (image and image not in images):
        raise ConfigError(f"image is {image!r}; expected one of the store's: {', '.join(images) or 'it has none'}")
    strips = strips_of(totals, store, image or images[0])
    if not strips:
        raise ConfigError(f"run folder {folder}: the store contains no complete episode; expected at least one")
    figure = picture(totals, strips, read_baselines(baseline or folder / BASELINE))
    with replaced(out) as beside:
        figure.savefig(beside, dpi=120, format=out.suffix[1:] or "png")
    plt.close(figure)
