"""Small films of the first, every tenth, the best and the last episode of a run.

Frames come from the replay store; damaged ones are skipped. A film is one JPEG with its frames below each other, which a page
plays without a video decoder. There are at most MOST_EPISODES films of each of MOST_IMAGES images, each of at most MOST_BYTES,
however long the run was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from jsac_ros.config import ConfigError
from jsac_ros.replay.episodes import tiled, to_jpeg, to_rgb
from jsac_ros.replay.records import frame_crc
from jsac_ros.replay.store import FrameStore
from jsac_ros.report.demonstrations import identity
from jsac_ros.report.summary import Totals, is_complete
from jsac_ros.report.tables import Row, number

EVERY = 10  # every EVERY-th episode is shown
MOST_EPISODES, MOST_IMAGES, MOST_FRAMES = 24, 3, 30  # every tenth of two hundred episodes
MOST_PIXELS = 160  # of the longer side of a frame
MOST_BYTES = 41_000  # per film; 4 MB of films per page
_QUALITIES = (80, 50, 25)  # of the JPEG; the first that fits is used


class Held(NamedTuple):
    """A complete episode of which the store still has every transition."""

    place: int  # index among the training episodes of the run
    row: Row  # of episodes.csv
    slots: np.ndarray  # int64 [T], of the store, in the order of the steps


class Film(NamedTuple):
    """The frames of one camera in one episode."""

    image: str  # name of the camera's image
    jpeg: bytes  # frames below each other
    height: int  # pixels of a frame
    width: int
    seconds: np.ndarray  # [N], time of each frame since the first of the episode
    damaged: int  # frames skipped


class Seen(NamedTuple):
    """An episode with its films."""

    why: str  # reason for which it is shown: "first, best"; "" for every tenth
    row: Row  # of episodes.csv
    films: list[Film]


def what_it_saw(totals: Totals, store: Path) -> tuple[list[Seen], str]:
    """The episodes in order, and if there are none, the reason: no store, a damaged store, no images."""
    try:
        opened = FrameStore.read(store)
    except (ConfigError, OSError) as error:
        return [], " ".join(str(error).split())
    images = [image.name for image in opened.spaces.images][:MOST_IMAGES]
    if not images:
        return [], "The observation has no images."
    shown = chosen(held_episodes(totals, opened))
    seen = [Seen(why, held.row, [f for image in images if (f := film(opened, image, held.slots))]) for why, held in shown]
    seen = [episode for episode in seen if episode.films]
    return seen, "" if seen else "The store contains no complete episode (any more)."


def held_episodes(totals: Totals, store: FrameStore) -> list[Held]:
    """The held episodes in the order of the table."""
    slots = store.live_slots()
    keys = np.stack([store.rows["session"][slots].astype(np.uint64), store.rows["episode"][slots].astype(np.uint64)], axis=1)
    names, of_episode = np.unique(keys, axis=0, return_inverse=True)
    order = np.argsort(of_episode.reshape(-1), kind="stable")  # live slots are in the order of the steps
    parts = np.split(slots[order], np.cumsum(np.bincount(of_episode.reshape(-1), minlength=len(names)))[:-1])
    found = {(session, episode): part for (session, episode), part in zip(names.tolist(), parts)}
    held = []
    for place, row in enumerate(totals.episodes):
        part = found.get(identity(row), ()) if is_complete(row) else ()
        if len(part) and len(part) == number(row, "steps") + 1:
            held.append(Held(place, row, part))
    return held


def chosen(held: Sequence[Held], every: int = EVERY, most: int = MOST_EPISODES) -> list[tuple[str, Held]]:
    """(reason, episode) for the first, every `every`-th, the best and the last; at most `most` (>= 3), evenly over the run."""
    if not held:
        return []
    best = max(range(len(held)), key=lambda k: number(held[k].row, "episode_return"))
    reasons: dict[int, list[str]] = {0: ["first"]}
    reasons.setdefault(best, []).append("best")
    reasons.setdefault(len(held) - 1, []).append("last")
    between = [k for k in range(len(held)) if held[k].place % every == every - 1 and k not in reasons]
    for k in evenly(np.array(between, int), most - len(reasons)):
        reasons[int(k)] = []
    return [(", ".join(reasons[k]), held[k]) for k in sorted(reasons)]


def film(store: FrameStore, image: str, slots: np.ndarray) -> Film | None:
    """The film of the episode in these slots; None if all of its frames are damaged."""
    slots = evenly(slots, MOST_FRAMES)
    frames, crcs = store.frames[image][slots], store.rows[f"frame_crc/{image}"][slots]
    whole = np.array([frame_crc(frame) == crc for frame, crc in zip(frames, crcs)])
    if not whole.any():
        return None
    kept, seconds = [_small(to_rgb(frame)) for frame in frames[whole]], seconds_of(store, slots)[whole]
    jpeg = _jpeg(kept)
    while len(jpeg) > MOST_BYTES and len(kept) > 1:
        kept, seconds = kept[::2], seconds[::2]
        jpeg = _jpeg(kept)
    height, width, _ = kept[0].shape
    return Film(image, jpeg, height, width, seconds, int((~whole).sum()))


def _jpeg(frames: list[np.ndarray]) -> bytes:
    sheet, jpeg = tiled(frames, columns=1), b""
    for quality in _QUALITIES:
        jpeg = to_jpeg(sheet, quality)
        if len(jpeg) <= MOST_BYTES:
            break
    return jpeg


def _small(frame: np.ndarray) -> np.ndarray:
    share = MOST_PIXELS / max(frame.shape[:2])
    return frame if share >= 1 else cv2.resize(frame, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)


def evenly(values: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the values [N], evenly spaced, including the first and the last."""
    if len(values) <= most:
        return values
    return values[np.linspace(0, len(values) - 1, most).round().astype(int)]


def seconds_of(store: FrameStore, slots: np.ndarray) -> np.ndarray:
    """float64 [N]: times of these transitions of an episode since the first of them, s."""
    stamps = store.rows["stamp_ns"][slots].astype(np.float64) * 1e-9
    return stamps - stamps[0]
