"""The worst errors of a classifier, in one PNG file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jsac_ros.classifier.assess import Worst
from jsac_ros.files import replaced
from jsac_ros.replay.episodes import to_rgb
from jsac_ros.report.style import GRID, INK, MUTED, plt


def draw(path: Path, rows: Sequence[tuple[str, Sequence[Worst]]], threshold: float) -> None:
    """rows: a title, and the images, worst first. Raises OSError if it cannot be written."""
    columns = max((len(images) for _, images in rows), default=1) or 1
    figure = plt.figure(figsize=(1.9 * columns + 0.4, 3.0 * len(rows)), layout="constrained")
    for part, (title, images) in zip(figure.subfigures(len(rows), 1, squeeze=False).flat, rows, strict=True):
        part.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
        for axes, image in zip(part.subplots(1, columns, squeeze=False).flat, [*images, *[None] * (columns - len(images))]):
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
            for spine in axes.spines.values():
                spine.set(visible=image is not None, color=GRID)
            if image is not None:
                episode, step = image.one.episode, image.one.episode.steps[image.at]
                axes.imshow(_beside(episode.frames, image.at), interpolation="nearest")
                words = f"{image.score - threshold:+.1f}\n{Path(episode.store).name} {episode.number}, step {step}"
                axes.set_xlabel(words, color=MUTED, fontsize=8)
    with replaced(path) as beside:
        figure.savefig(beside, dpi=110)
    plt.close(figure)


def _beside(frames: dict[str, np.ndarray], at: int) -> np.ndarray:
    """The images of one observation, stacked vertically, RGB uint8 [H, W, 3]."""
    images = [to_rgb(frames[name][at]) for name in sorted(frames)]
    width = max(image.shape[1] for image in images)
    return np.concatenate([np.pad(image, ((0, 0), (0, width - image.shape[1]), (0, 0))) for image in images])
