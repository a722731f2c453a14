"""A film of the whole training in one minute, for a talk: episodes as the policy saw them, and the growing learning curve.

It shows the first, the best and the last episode and others evenly between them, each at its original speed or, if a minute
is too short, faster. Frames come from the replay store; damaged ones are skipped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from jsac_ros.config import ConfigError
from jsac_ros.replay.episodes import to_rgb
from jsac_ros.replay.records import frame_crc
from jsac_ros.replay.store import FrameStore
from jsac_ros.report import film
from jsac_ros.report.curve import learning_curve, read_baselines
from jsac_ros.report.folder import config_of, store_of, title_of
from jsac_ros.report.seen import MOST_IMAGES, Held, chosen, held_episodes, seconds_of
from jsac_ros.report.style import BLUE, GREEN, INK, MUTED, plt
from jsac_ros.report.summary import Totals, read_totals
from jsac_ros.report.tables import BASELINE, number

FILE = "learning.webm"
SECONDS, RATE_HZ = 60.0, 25.0
HEIGHT, WIDTH = 720, 1280  # pixels
_CAPTION, _CURVE, _MARGIN, _DPI = 104, 592, 24, 100  # pixels: height of the caption, width of the curve, margin of the images
_HELD_S = 0.6  # for which the last frame of an episode stays
_FEWEST, _MOST = 8, 40  # episodes


class Shot(NamedTuple):
    """An episode of the film."""

    why: str  # "first", "best", "last", several of them, or ""
    held: Held
    speed: float  # 2: twice the original speed
    frames: int  # of the film, including the repeated last frame


class Drawn(NamedTuple):
    """The learning curve as pixels, uint8 [H, W, 3], with and without its data."""

    whole: np.ndarray
    empty: np.ndarray
    at_zero: float  # column of minute 0
    per_minute: float  # columns

    def until(self, minute: float) -> np.ndarray:
        column = int(np.clip(round(self.at_zero + minute * self.per_minute), 0, self.whole.shape[1]))
        return np.hstack([self.whole[:, :column], self.empty[:, column:]])


def write_film(folder: Path, baseline: Path | None = None) -> Path:
    """Writes `learning.webm` into the run folder. Raises ConfigError if there is nothing to show."""
    totals, path = read_totals(folder), folder / FILE
    try:
        store = FrameStore.read(store_of(folder, config_of(folder)))
        images = [image.name for image in store.spaces.images][:MOST_IMAGES]
        held = held_episodes(totals, store) if images else []
        shots = shots_of(held, [float(seconds_of(store, episode.slots)[-1]) for episode in held])
        if not shots:
            what = "the store contains no complete episode" if images else "the observation has no images"
            raise ConfigError(f"run folder {folder}: no film: {what}; expected the replay store of a run with cameras")
        curve = _drawn(learning_curve(totals, read_baselines(baseline or folder / BASELINE), title_of(folder)))
        film.write(path, _frames(store, images, shots, curve, totals), RATE_HZ)
    except OSError as error:
        raise ConfigError(f"run folder {folder}: no film: {' '.join(str(error).split())}") from None
    return path


def shots_of(held: Sequence[Held], lasted_s: Sequence[float]) -> list[Shot]:
    """The episodes to show and their speeds, at most SECONDS together. lasted_s: duration of each episode."""
    if not held:
        return []
    most = int(np.clip(SECONDS / (np.median(lasted_s) + _HELD_S), _FEWEST, _MOST))
    picked, lasted = chosen(held, every=1, most=most), {episode.place: seconds for episode, seconds in zip(held, lasted_s)}
    room_s = SECONDS / len(picked) - _HELD_S
    shots = []
    for why, episode in picked:
        seconds = max(lasted[episode.place], 1 / RATE_HZ)
        speed = max(1.0, seconds / room_s)
        shots.append(Shot(why, episode, speed, int((seconds / speed + _HELD_S) * RATE_HZ)))
    return shots


def _frames(
    store: FrameStore, images: Sequence[str], shots: Sequence[Shot], curve: Drawn, totals: Totals
) -> Iterator[np.ndarray]:
    """Yields the frames of the film, uint8 [HEIGHT, WIDTH, 3]."""
    room = HEIGHT - _CAPTION - 2 * _MARGIN, WIDTH - _CURVE - 2 * _MARGIN
    minute = 0.0  # end of the curve drawn so far
    for shot in shots:
        ends = max(number(shot.held.row, "time_s", 0.0) - (totals.started_s or 0.0), 0.0) / 60
        caption = _caption(shot, ends)
        for k, pictures in enumerate(_pictures(store, images, shot)):
            frame = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
            frame[HEIGHT - _CAPTION :] = caption
            share = min((k + 1) / max(shot.frames - round(_HELD_S * RATE_HZ), 1), 1.0)
            frame[: HEIGHT - _CAPTION, WIDTH - _CURVE :] = curve.until(minute + share * (ends - minute))
            frame[_MARGIN : _MARGIN + room[0], _MARGIN : _MARGIN + room[1]] = _side_by_side(pictures, *room)
            yield frame
        minute = ends


def _pictures(store: FrameStore, images: Sequence[str], shot: Shot) -> Iterator[list[np.ndarray]]:
    """For every frame of the film, one frame per camera; cameras with only damaged frames are skipped."""
    slots, seen = shot.held.slots, []
    seconds = seconds_of(store, slots)
    for image in images:
        frames, crcs = store.frames[image][slots], store.rows[f"frame_crc/{image}"][slots]
        whole = np.array([frame_crc(frame) == crc for frame, crc in zip(frames, crcs)])
        if whole.any():
            seen.append((frames[whole], seconds[whole]))
    for k in range(shot.frames):
        now_s = k / RATE_HZ * shot.speed
        yield [to_rgb(frames[max(int(np.searchsorted(when, now_s, "right")) - 1, 0)]) for frames, when in seen]


def _side_by_side(pictures: Sequence[np.ndarray], height: int, width: int) -> np.ndarray:
    """Arranges pictures in the grid in which they are largest: uint8 [height, width, 3] on white."""
    sheet = np.full((height, width, 3), 255, np.uint8)
    columns = max(
        range(1, len(pictures) + 1), key=lambda n: _area(pictures, *_cell(len(pictures), n, height, width)), default=1
    )
    cell = _cell(len(pictures), columns, height, width)
    for place, picture in enumerate(pictures):
        scale = _scale(picture, *cell)
        rows, wide = (max(1, int(scale * size)) for size in picture.shape[:2])
        top = place // columns * cell[0] + (cell[0] - rows) // 2
        left = place % columns * cell[1] + (cell[1] - wide) // 2
        sheet[top : top + rows, left : left + wide] = cv2.resize(picture, (wide, rows), interpolation=cv2.INTER_CUBIC)
    return sheet


def _cell(count: int, columns: int, height: int, width: int) -> tuple[int, int]:
    return height // math.ceil(count / columns), width // columns


def _scale(picture: np.ndarray, height: int, width: int) -> float:
    return min(height / picture.shape[0], width / picture.shape[1])


def _area(pictures: Sequence[np.ndarray], height: int, width: int) -> float:
    """Total pixels of the pictures, each scaled to fit a cell of this size."""
    return sum(_scale(picture, height, width) ** 2 * picture.shape[0] * picture.shape[1] for picture in pictures)


def _drawn(figure: Figure) -> Drawn:
    """Renders the figure of the learning curve twice and closes it."""
    figure.set_size_inches(_CURVE / _DPI, (HEIGHT - _CAPTION) / _DPI)
    whole = _rendered(figure)
    axes = figure.axes[-1]
    (at_zero, _), (at_one, _) = axes.transData.transform([(0.0, 0.0), (1.0, 0.0)])
    for axes in figure.axes:  # the baselines are not in data coordinates, so that they stay visible
        for artist in (*(line for line in axes.lines if line.get_transform() == axes.transData), *axes.collections):
            artist.set_visible(False)
    figure.set_layout_engine("none")
    return Drawn(whole, _rendered(figure), at_zero, at_one - at_zero)


def _caption(shot: Shot, minute: float) -> np.ndarray:
    """The caption of an episode, uint8 [_CAPTION, WIDTH, 3]."""
    row = shot.held.row
    success = bool(number(row, "success", 0))
    end = "success" if success else row["reason"]
    figure = Figure(figsize=(WIDTH / _DPI, _CAPTION / _DPI))
    said = f"minute {minute:.1f}      episode {row['episode']}      return {number(row, 'episode_return'):.1f}"
    figure.text(_MARGIN / WIDTH, 0.55, said, color=INK, fontsize=22, va="center")
    figure.text(1 - _MARGIN / WIDTH, 0.55, end, color=GREEN if success else MUTED, fontsize=22, va="center", ha="right")
    speed = f"{shot.speed:.1f} times as fast" if shot.speed > 1.05 else "at its original speed"
    figure.text(_MARGIN / WIDTH, 0.14, ", ".join(filter(None, (shot.why, speed))), color=BLUE, fontsize=13, va="center")
    return _rendered(figure)


def _rendered(figure: Figure) -> np.ndarray:
    """Renders a figure to uint8 [H, W, 3] and closes it."""
    figure.set_dpi(_DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    plt.close(figure)
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
