"""Filmstrips of episodes: a few frames of a camera side by side, from the run's replay store."""

from __future__ import annotations

import math
import time
from pathlib import Path

import cv2
import numpy as np

from jsac_ros.replay.episodes import Episodes, Key, to_rgb
from jsac_ros.replay.format import StoreError

FRAMES = 6  # per episode, evenly spaced from its first to its last
HEIGHT, WIDTH = 96, 160  # largest size of a frame in pixels, for an image of 4 to 70 KB
LATER, FIRST_HOUR_S = 10, 3600.0  # after the first hour the period is LATER times as long


class Filmstrips:
    """Makes a filmstrip of a stored episode from time to time."""

    def __init__(self, store: Path, period_s: float):
        """period_s: minimum time between filmstrips in the first hour; 0: no filmstrips."""
        self._store, self._period_s = store, period_s
        self._began_s, self._due_s = time.monotonic(), 0.0 if period_s else math.inf

    @property
    def due(self) -> bool:
        return time.monotonic() >= self._due_s

    def take(self, key: Key) -> dict[str, np.ndarray]:
        """{image: RGB, uint8 [H, FRAMES*W, 3]}; empty if the episode is not in the store (yet)."""
        try:
            episodes = Episodes(self._store)  # opened anew each time, so that its mapping of the store is released
        except (StoreError, OSError):  # there is no store yet
            return {}
        slots = episodes.slots(key)
        if not len(slots):
            return {}
        now_s = time.monotonic()
        self._due_s = now_s + self._period_s * (LATER if now_s - self._began_s > FIRST_HOUR_S else 1)
        chosen = slots[np.linspace(0, len(slots) - 1, FRAMES).round().astype(int)]
        return {image.name: strip_of(episodes.frames(image.name, chosen)) for image in episodes.spaces.images}


def strip_of(frames: np.ndarray) -> np.ndarray:
    """frames: uint8 [T, H, W, C], colour or grey -> RGB, uint8 [h, T*w, 3]; large frames are scaled down."""
    height, width = frames.shape[1:3]
    scale = min(1.0, HEIGHT / height, WIDTH / width)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    shown = [
        to_rgb(frame) if scale == 1.0 else cv2.resize(to_rgb(frame), size, interpolation=cv2.INTER_AREA) for frame in frames
    ]
    return np.hstack(shown)
