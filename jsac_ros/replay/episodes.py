"""The episodes of a store for display: their rows, and their frames as one image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from jsac_ros.replay import format as files
from jsac_ros.replay import records
from jsac_ros.replay.frames import Frames
from jsac_ros.types import Observation

Key = tuple[str, int, int]  # robot, session, episode


class Sheet(NamedTuple):
    """The frames of an episode side by side, row after row."""

    image: np.ndarray  # uint8 [rows*H, columns*W, 3] RGB
    columns: int
    count: int  # frames in it


class Episodes:
    """The episodes of a store while replay writes to it: only what is requested is read."""

    def __init__(self, folder: str | Path):
        """Raises StoreError if there is no store."""
        self.spaces, capacity = files.read_header(Path(folder))
        self._rows = np.asarray(files.open_array(Path(folder) / files.ROWS, files.row_type(self.spaces), (capacity,), "r"))
        self._frames = Frames(Path(folder), self.spaces, capacity, True)

    def rows(self, key: Key) -> np.ndarray:
        """Copies of the undamaged records of an episode, structured [T], ordered by step; empty if there are none."""
        return self._rows[self.slots(key)]

    def slots(self, key: Key) -> np.ndarray:
        """int64 [T], in the order of the steps."""
        robot, session, episode = key
        here = (self._rows["session"] == session) & (self._rows["episode"] == episode) & (self._rows["number"] > 0)
        slots = np.flatnonzero(here)
        whole = records.intact(self._rows[slots])
        slots = slots[[bool(w) and records.robot_of(row) == robot for w, row in zip(whole, self._rows[slots])]]
        return slots[np.argsort(self._rows["step"][slots])]

    def newest(self, most: int) -> np.ndarray:
        """int64 [at most `most`]: slots of the newest intact records, oldest first."""
        numbers = self._rows["number"]
        held = np.flatnonzero(numbers > 0)
        slots = held[np.argsort(numbers[held])][-most:]
        return slots[records.intact(self._rows[slots])]

    def newest_observation(self) -> tuple[int, Observation] | None:
        """The number of the newest intact step, and its observation as input of a policy: {image: uint8 [H, W, S*C], vector:
        float32 [n]}; None in an empty store."""
        slots = self.newest(max([1, *(image.stack for image in self.spaces.images)]))
        if not len(slots):
            return None
        rows = self._rows[slots]
        last, same = rows[-1], np.ones(len(rows), bool)
        for field in ("robot", "session", "episode"):
            same &= rows[field] == last[field]
        seen: Observation = {vector.name: last[f"observation/{vector.name}"].copy() for vector in self.spaces.vectors}
        for image in self.spaces.images:
            frames = self._frames.arrays[image.name][slots[same][-image.stack :]]
            frames = np.concatenate(
                [np.repeat(frames[:1], image.stack - len(frames), axis=0), frames]
            )  # as at the start of an episode
            seen[image.name] = np.moveaxis(frames, 0, 2).reshape(image.shape)
        return int(last["number"]), seen

    def records(self, slots: np.ndarray) -> np.ndarray:
        """A copy of the records in these slots, structured [T]."""
        return self._rows[slots]

    def frames(self, image: str, slots: np.ndarray) -> np.ndarray:
        """A copy of the frames of one image in these slots, uint8 [T, H, W, C]."""
        return self._frames.arrays[image][slots]

    def sheet(self, key: Key, image: str, most: int = 400) -> Sheet | None:
        """The frames of one image of an episode; of more than `most`, evenly spaced ones. None if there are none."""
        slots = self.slots(key)
        if not len(slots) or image not in self._frames.arrays:
            return None
        chosen = slots if len(slots) <= most else slots[np.linspace(0, len(slots) - 1, most).round().astype(int)]
        frames = [to_rgb(self._frames.arrays[image][slot]) for slot in chosen]
        columns = max(1, math.isqrt(len(frames)))
        return Sheet(tiled(frames, columns), columns, len(frames))


def tiled(frames: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """uint8 [rows*H, columns*W, 3] of frames of one size, uint8 [H, W, 3] each: row after row; unused cells are black."""
    height, width, _ = frames[0].shape
    whole = np.zeros((-(-len(frames) // columns) * height, columns * width, 3), np.uint8)
    for place, frame in enumerate(frames):
        top, left = place // columns * height, place % columns * width
        whole[top : top + height, left : left + width] = frame
    return whole


def to_rgb(frame: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] of a colour or a grey frame."""
    return frame if frame.shape[-1] == 3 else np.repeat(frame, 3, axis=-1)


def to_jpeg(image: np.ndarray, quality: int = 85) -> bytes:
    """RGB uint8 [H, W, 3]."""
    coded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return coded.tobytes()
