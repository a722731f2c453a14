"""The folder of a store: locked by its one writer, created with all of its space, checked against the expected layout."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from jsac_ros.files import is_full
from jsac_ros.replay import counters
from jsac_ros.replay import format as files
from jsac_ros.replay.format import StoreError, StoreFull
from jsac_ros.spaces import Spaces


@contextmanager
def errors_in_one_line(folder: Path) -> Iterator[None]:
    """Turns an error of the file system into a StoreError."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise StoreFull(f"replay store {folder}: {error.strerror}; expected room on its disk") from None
        raise StoreError(f"replay store {folder}: {error.strerror}; expected a writable folder") from None
    except MemoryError:
        raise StoreError(f"replay store {folder}: does not fit into memory") from None


def lock(folder: Path) -> int:
    """Creates the folder and locks it until the descriptor is closed or its process dies.

    Raises StoreError if another process has locked it, OSError if it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder / files.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise StoreError(f"replay store {folder}: another process has it open; expected one writer") from None
    return held


def lock_out_writers(folder: Path) -> int | None:
    """Locks a finished store, shared with other readers, until the descriptor is closed or its process dies.

    None if it has no lock file, as in a partial copy. Raises StoreError if a process is writing to it.
    """
    try:
        held = os.open(folder / files.LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise StoreError(f"replay store {folder}: a process is writing to it; expected a snapshot of it") from None
    return held


def prepare(folder: Path, spaces: Spaces, capacity: int) -> None:
    """Creates the files of a new store, for which there must be room, or checks those that exist. A damaged header that
    the other files do not contradict is written again. Raises StoreError.

    An existing store opens on a full disk, too: it can be sampled, and grows again when there is room."""
    if not (folder / files.HEADER).exists():
        _create(folder, spaces, capacity)
        _check_room(folder, spaces)
    elif not _is_damaged(folder, spaces, capacity):
        return
    files.write_header(folder, spaces, capacity)


def _is_damaged(folder: Path, spaces: Spaces, capacity: int) -> bool:
    """Whether the header has to be written again. Raises StoreError if the store does not match."""
    try:
        found, found_capacity = files.read_header(folder)
    except files.HeaderDamaged:
        for name, dtype, shape in _arrays(spaces, capacity):
            files.open_array(folder / name, dtype, shape, "r")
            with open(folder / name, "rb") as file:
                if not file.read(files.HEADER_BYTES).startswith(files.array_header(dtype, shape)):
                    raise
        return True
    compare(folder, found, spaces)
    if found_capacity != capacity:
        raise StoreError(f"replay store {folder}: capacity is {found_capacity}; expected {capacity}")
    return False


def compare(folder: Path, found: Spaces, expected: Spaces) -> None:
    """Raises StoreError naming every part that differs in the store. Stacks may differ: they are built at sampling time."""
    differs = _as_stored(found).difference(_as_stored(expected))
    if differs:
        raise StoreError(f"replay store {folder}: {differs}")


def _as_stored(spaces: Spaces) -> Spaces:
    return replace(spaces, images=tuple(replace(image, stack=1) for image in spaces.images))


def _arrays(spaces: Spaces, capacity: int) -> list[tuple[str, np.dtype, tuple[int, ...]]]:
    """Name, type and shape of every array of a store."""
    frames = [(files.frames_file(i.name), np.dtype("u1"), (capacity, *i.frame_shape)) for i in spaces.images]
    return [(files.ROWS, files.row_type(spaces), (capacity,)), (files.COUNTERS, counters.RECORD, (2,)), *frames]


def _create(folder: Path, spaces: Spaces, capacity: int) -> None:
    """Rows are fully allocated, so that writing them through the mapping cannot fail; frames are sparse."""
    try:
        for name, dtype, shape in _arrays(spaces, capacity):
            (folder / name).unlink(missing_ok=True)  # of a store whose creator died before it was complete
            np.lib.format.open_memmap(folder / name, "w+", dtype, shape)
        for name in (files.ROWS, files.COUNTERS):
            with open(folder / name, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
    except OSError as error:
        frames = ", ".join(f"{image.name} {list(image.frame_shape)}" for image in spaces.images) or "none"
        raise (StoreFull if is_full(error) else StoreError)(
            f"replay store {folder}: no room for {capacity} transitions with frames {frames} ({error.strerror})"
        ) from None


def _check_room(folder: Path, spaces: Spaces) -> None:
    """Raises StoreFull if the frames cannot grow to their full size on the file system."""
    paths = [folder / files.frames_file(image.name) for image in spaces.images]
    at = [os.stat(path) for path in paths if path.is_file()]
    disk = os.statvfs(folder)
    needed, free = sum(file.st_size - 512 * file.st_blocks for file in at), disk.f_bavail * disk.f_frsize
    if needed > free:
        raise StoreFull(
            f"replay store {folder}: {needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free; "
            "expected room for replay.capacity frames"
        )
