"""The frames of a store, one file per image, each frame once.

Frames are written with pwrite, not through the mapping: a full disk is then an error to handle and not a SIGBUS, and a
slow disk delays the writer without blocking the interpreter or the sampler. The written pages are then mapped at once: the
sampler would otherwise take a page fault at the first use of every frame, which doubles the time of a batch.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import numpy as np

from jsac_ros.replay import format as files
from jsac_ros.spaces import Spaces
from jsac_ros.types import Arrays

_POPULATE_READ = 22  # of madvise: MADV_POPULATE_READ, since Linux 5.14; Python's mmap has no name for it


class Frames:
    """`arrays` maps the name of an image to uint8 [N, H, W, C], read-only; `flat` holds the same as [N, H*W*C]."""

    def __init__(self, folder: Path, spaces: Spaces, capacity: int, read_only: bool):
        self.arrays: Arrays = {}
        self._files: dict[str, tuple[int, int]] = {}  # descriptor, where the first frame begins
        self._maps: dict[str, tuple[mmap.mmap, int]] = {}  # mapping, where it begins in the file
        try:
            for image in spaces.images:
                path = folder / files.frames_file(image.name)
                mapped = files.open_array(path, np.dtype("u1"), (capacity, *image.frame_shape), "r")
                self.arrays[image.name] = np.asarray(mapped)
                if not read_only:
                    self._maps[image.name] = mapped.base, mapped.offset - mapped.offset % mmap.PAGESIZE
                    self._files[image.name] = os.open(path, os.O_WRONLY | os.O_CLOEXEC), mapped.offset
        except BaseException:
            self.close()
            raise
        self.flat = {name: array.reshape(capacity, -1) for name, array in self.arrays.items()}

    def write(self, slot: int, frames: Arrays) -> None:
        """Raises OSError if the disk is full or fails; the content of the slot is then undefined."""
        for name, frame in frames.items():
            descriptor, first = self._files[name]
            data, at = memoryview(np.ascontiguousarray(frame).reshape(-1)), first + slot * frame.size
            while len(data):
                written = os.pwrite(descriptor, data, at)
                data, at = data[written:], at + written
            self._populate(name, first + slot * frame.size, at)

    def _populate(self, name: str, begin: int, end: int) -> None:
        """Maps the pages of the file from `begin` to `end`."""
        mapped, offset = self._maps[name]
        start = (begin - offset) // mmap.PAGESIZE * mmap.PAGESIZE
        try:
            mapped.madvise(_POPULATE_READ, start, end - offset - start)
        except OSError:  # an older kernel, or no memory: the sampler maps them
            pass

    def copy(self, slot: int) -> Arrays:
        """The content of one slot."""
        return {name: array[slot].copy() for name, array in self.arrays.items()}

    def close(self) -> None:
        for descriptor, _ in self._files.values():
            os.close(descriptor)
        self._files = {}
