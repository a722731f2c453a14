"""The folder of a store: locked by its one writer, made with room for all of it, compared with what is expected."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from jsac_ros.replay import format as files
from jsac_ros.replay.format import StoreError
from jsac_ros.types import Spec


@contextmanager
def errors_in_one_line(folder: Path) -> Iterator[None]:
    """What the file system refuses becomes a StoreError."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"replay store {folder}: {error.strerror}; expected a folder that can be written") from None


def lock(folder: Path) -> int:
    """Makes the folder and holds it until the descriptor is closed or its process dies.

    Raises StoreError when another process holds it, OSError where it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder / files.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise StoreError(f"replay store {folder}: another process has it open; expected one writer") from None
    return held


def prepare(folder: Path, spec: Spec, capacity: int) -> None:
    """Makes the files of a new store, or sees that those that are there fit. Raises StoreError."""
    is_new = not (folder / files.HEADER).exists()
    if is_new:
        _create(folder, spec, capacity)
    else:
        found = files.read_header(folder)
        if found != (spec, capacity):
            raise StoreError(
                f"replay store {folder}: holds {found[0]} with capacity {found[1]}; expected {spec} with {capacity}"
            )
    _check_room(folder)
    if is_new:
        files.write_header(folder, spec, capacity)


def _create(folder: Path, spec: Spec, capacity: int) -> None:
    """Rows are allocated at once, so that writing them through the mapping cannot fail; frames are sparse."""
    arrays = (
        (files.ROWS, files.row_type(spec), (capacity,)),
        (files.COUNTERS, files.COUNTER_TYPE, (1,)),
        (files.FRAMES, np.dtype("u1"), (capacity, *spec.frame_shape)),
    )
    try:
        for name, dtype, shape in arrays:
            (folder / name).unlink(missing_ok=True)  # of a store that was being made when its maker died
            np.lib.format.open_memmap(folder / name, "w+", dtype, shape)
        for name in (files.ROWS, files.COUNTERS):
            with open(folder / name, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise StoreError(
            f"replay store {folder}: no room for {capacity} steps with frames {spec.frame_shape} ({error.strerror})"
        ) from None


def _check_room(folder: Path) -> None:
    """Does what the frames may still grow to fit on the file system? Raises StoreError."""
    at, disk = os.stat(folder / files.FRAMES), os.statvfs(folder)
    needed, free = at.st_size - 512 * at.st_blocks, disk.f_bavail * disk.f_frsize
    if needed > free:
        raise StoreError(
            f"replay store {folder}: {needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free; "
            "expected room for replay.capacity frames"
        )
