"""The frame store: a ring of transitions on disk, each frame once, that survives `kill -9` at any instant.

A transition is complete when its row's `number` is written, which happens last; before its slot is changed, the number of
the row that it replaces is set to 0. So a crash leaves complete rows and at most one slot without a number. When a store is
opened, a row is valid only if its checksum matches; it covers the whole record, with the checksum of every frame.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jsac_ros.elapsed import BOOT_ID
from jsac_ros.files import is_full
from jsac_ros.replay import folders, records
from jsac_ros.replay import format as files
from jsac_ros.replay.counters import RECORD, Counters
from jsac_ros.replay.format import StoreError
from jsac_ros.replay.frames import Frames
from jsac_ros.replay.index import NONE, Links
from jsac_ros.replay.sampling import gather
from jsac_ros.spaces import Spaces
from jsac_ros.types import Arrays, Batch, Transition

Draw = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]


def _holds(file: Path, content: bytes) -> bool:
    with open(file, "rb") as opened:
        return opened.read(len(content) + 1) == content


class _Newest(NamedTuple):
    """The newest row of one stream."""

    stream: tuple[str, int]  # robot, session
    slot: int
    number: int
    sequence: int
    episode: int
    step: int
    is_last: bool


class FrameStore:
    """One writer (`append`) and one sampler (`sample_into`) may run in two threads.

    `records` is the structured array [N] of the rows, `rows` maps a column's name ("reward", "observation/wrench") to its
    array [N, ...], `frames` the name of an image to uint8 [N, H, W, C]; all are read-only. If the store was opened
    with `read`, the records are a copy of the rows that were complete then.
    """

    def __init__(self, folder: Path, spaces: Spaces, capacity: int, lock_file: int | None, read_only: bool):
        self.folder, self.spaces, self.capacity = folder, spaces, capacity
        self.read_only = read_only
        self._lock_file = lock_file
        self._lock = threading.Lock()  # links and rows; held for one sample or one row, never for a frame's write
        self._type = files.row_type(spaces)
        mode = "r" if read_only else "r+"
        self._on_disk = np.asarray(files.open_array(folder / files.ROWS, self._type, (capacity,), mode))
        self.records = self._on_disk.copy() if read_only else self._on_disk
        self.rows = {name: self.records[name] for name in self._type.names}
        self.counters = Counters(np.asarray(files.open_array(folder / files.COUNTERS, RECORD, (2,), mode)))
        self._frames = Frames(folder, spaces, capacity, read_only)
        self.frames = self._frames.arrays
        self.left_out = self._drop(self.rows["number"].astype(bool) & ~records.complete(self.records))

    # -- opening -------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, folder: str | Path, spaces: Spaces, capacity: int) -> FrameStore:
        """Creates the store in `folder`, or continues the existing one; `left_out` is the number of damaged rows.

        Raises StoreError if another process has it open, if it has other spaces, capacity or version or is
        damaged, and if the file system is read-only or has no space for it.
        """
        folder = Path(folder)
        least = spaces.stack + 2
        if capacity < least:
            raise StoreError(f"replay.capacity is {capacity}; expected at least {least} for a stack of {spaces.stack}")
        with folders.errors_in_one_line(folder):
            lock = folders.lock(folder)
            try:
                folders.prepare(folder, spaces, capacity)
                store = cls(folder, spaces, capacity, lock, read_only=False)
                store._verify_after_reboot()
            except BaseException:
                os.close(lock)
                raise
        return store

    @classmethod
    def read(cls, folder: str | Path, spaces: Spaces | None = None, exclude_writers: bool = False) -> FrameStore:
        """Opens an existing store read-only, also while a process writes to it. Raises StoreError.

        spaces: those it must have, with the stacks for sampling; None: its own. exclude_writers: no process may
        write to it until it is closed, so that no frame changes while it is sampled.
        """
        folder = Path(folder)
        found, capacity = files.read_header(folder)
        if spaces is not None:
            folders.compare(folder, found, spaces)
        with folders.errors_in_one_line(folder):
            lock = folders.lock_out_writers(folder) if exclude_writers else None
            try:
                return cls(folder, spaces or found, capacity, lock, read_only=True)
            except BaseException:
                if lock is not None:
                    os.close(lock)
                raise

    def _drop(self, broken: np.ndarray) -> int:
        """Removes rows, bool [N], and indexes the others; returns the number removed."""
        self.rows["number"][broken] = 0
        live = self.rows["number"] > 0
        self.count = int(self.rows["number"].max(initial=0))  # rows written since the store was created
        previous = records.previous_slots(self.records, live)
        self.links = Links.rebuild(previous, live, self.rows["is_first"], self.spaces.stack)
        newest_first = self.live_slots()[::-1]
        _, at = np.unique(self.records[["robot", "session"]][newest_first], return_index=True)
        self._newest = {newest.stream: newest for newest in map(self._as_newest, newest_first[at])}
        return int(broken.sum())

    def _as_newest(self, slot: int) -> _Newest:
        row = self.records[slot]
        names = ("session", "number", "sequence", "episode", "step", "is_last")
        session, *place = (row[name].item() for name in names)
        return _Newest((records.robot_of(row), session), int(slot), *place)

    def _verify_after_reboot(self) -> None:
        """Verifies all rows after a crash of the machine, which, unlike one of a process, may leave a row without its frame.

        The file `boot` names the boot in which the store was last opened. The alternative, fsync at every close, can
        take a minute on a busy disk, longer than a process is given to stop.
        """
        marker, boot = self.folder / files.BOOT, BOOT_ID.read_bytes()
        if marker.exists():
            if _holds(marker, boot):
                return
            broken = np.zeros(self.capacity, bool)
            broken[self.damaged()] = True
            self.left_out += self._drop(broken)
        try:
            marker.write_bytes(boot)
        except OSError as error:  # an incomplete marker only causes another verification
            if not is_full(error):
                raise

    # -- writing -------------------------------------------------------------------------------------------------

    def append(self, transition: Transition) -> int:
        """Writes a transition over the oldest one; returns the number written before it since the store was created.

        When this returns, the transition survives `kill -9`. Raises ValueError with one line if it must not be stored
        (parts, sizes, NaN, order), OSError if the disk is full or fails; after an OSError it may be appended again.
        """
        records.check(transition, self.spaces, self._type)
        self._check_order(transition)
        number, slot = self.count + 1, self.count % self.capacity
        with self._lock:
            if self.rows["number"][slot]:
                self._forget(slot)
        previous = self.previous_of(transition)
        previous_number = int(self.rows["number"][previous]) if previous != NONE else 0
        row = records.record_of(transition, self._type, number, previous_number)
        self._frames.write(slot, transition.frames)
        with self._lock:
            self.records[slot] = row[0]
            self.rows["number"][slot] = number
            self.links.add(slot, previous, transition.is_first)
            self.count = number
            stream = transition.robot, transition.session
            place = transition.sequence, transition.episode, transition.step
            self._newest[stream] = _Newest(stream, slot, number, *place, transition.is_last)
        return number - 1

    def _forget(self, slot: int) -> None:
        """The row that is about to be replaced; of a stream without another row nothing is kept."""
        row = self.records[slot]
        stream = (records.robot_of(row), row["session"].item())
        if (newest := self._newest.get(stream)) is not None and newest.number == row["number"]:
            del self._newest[stream]
        self.rows["number"][slot] = 0
        self.links.remove(slot)

    def put(self, slot: int, row: np.ndarray, frames: Arrays) -> None:
        """Writes another store's record [1] and frames to the same slot; visible after the store is reopened."""
        self.rows["number"][slot] = 0
        self._frames.write(slot, frames)
        number = int(row["number"][0])
        row = row.copy()
        row["number"] = 0
        self.records[slot] = row[0]
        self.rows["number"][slot] = number

    def newest_of(self, t: Transition) -> _Newest | None:
        """The newest row of the stream of a transition; None if it has none."""
        return self._newest.get((t.robot, t.session))

    def previous_of(self, t: Transition) -> int:
        """Slot of the previous step of its episode; NONE if that is lost or overwritten, or this is the first."""
        newest = self.newest_of(t)
        follows = newest and (newest.episode, newest.step + 1) == (t.episode, t.step) and not newest.is_last
        return newest.slot if follows and self.rows["number"][newest.slot] == newest.number else NONE

    def _check_order(self, t: Transition) -> None:
        """Raises ValueError for a transition that goes back in its stream or in its episode.

        The number of another episode may be anything: one wrong transition with a large number must not block all that follow.
        """
        newest = self.newest_of(t)
        if newest is None:
            return
        same_episode = t.episode == newest.episode
        closed = newest.is_last and same_episode
        if closed or (same_episode and t.step <= newest.step) or t.sequence <= newest.sequence:
            raise ValueError(
                f"step {t.step} of episode {t.episode} of {t.robot!r} comes after step {newest.step} of "
                f"episode {newest.episode}{', its last' if closed else ''}; expected a later one"
            )

    def set_priorities(self, index: np.ndarray, priority: np.ndarray) -> None:
        """Keeps priorities (float32 [B]) for the rows that a batch's `index` (int64 [B]) names.

        Rows that have been overwritten since, and rows of another store (index < 0), are skipped.
        """
        slots = (index - 1) % self.capacity
        with self._lock:
            ours = (index > 0) & (self.rows["number"][slots] == np.maximum(index, 0).astype(np.uint64))
            ours &= np.isfinite(priority)
            records.set_priority(self.records, slots[ours], priority[ours])
            if self.links.valid.changed is not None:
                self.links.valid.changed.update(slots[ours].tolist())

    # -- reading -------------------------------------------------------------------------------------------------

    @property
    def stored(self) -> int:
        """Rows in the store."""
        return int(np.count_nonzero(self.rows["number"]))

    @property
    def valid_count(self) -> int:
        """Transitions that can be sampled."""
        return len(self.links.valid)

    def next_sequences(self) -> dict[tuple[str, int], int]:
        """For every (robot, session) with rows here: the first sequence number that is not stored."""
        return {stream: newest.sequence + 1 for stream, newest in self._newest.items()}

    def sample_into(
        self, rng: np.random.Generator, batch: Batch, n_step: int = 1, gamma: float = 0.99, draw: Draw | None = None
    ) -> bool:
        """Fills `batch` in place with a draw, with replacement. False when nothing can be sampled.

        `draw(rng, size)` names slots int64 [size] and weights float [size]; without it every valid row is equally
        likely and weighs 1.
        """
        with self._lock:
            valid = self.links.valid
            if not len(valid):
                return False
            size = len(batch.index)
            slots, weights = draw(rng, size) if draw else (valid.slots[rng.integers(len(valid), size=size)], 1.0)
            self.gather(slots, batch, n_step, gamma)
            batch.weight[...] = weights
        return True

    def gather(self, slots: np.ndarray, batch: Batch, n_step: int, gamma: float) -> None:
        """Fills `batch` with the transitions at `slots`, int64 [B], all valid; the caller excludes writers."""
        gather(self.links, self.records, self._frames.flat, slots, batch, n_step, gamma)

    def live_slots(self) -> np.ndarray:
        """Slots of all complete rows, oldest first, int64."""
        slots = np.flatnonzero(self.rows["number"])
        return slots[np.argsort(self.rows["number"][slots])]

    def whole(self, slot: int) -> tuple[np.ndarray, Arrays] | None:
        """Copies of one slot's record [1] and frames; None if they are damaged, or overwritten since `read`."""
        row, frames = self.records[slot : slot + 1].copy(), self._frames.copy(slot)
        return (row, frames) if records.fits(row, frames) else None

    def transition(self, slot: int) -> Transition:
        """A copy of one slot's transition. Raises StoreError if it is damaged, or overwritten since `read`."""
        found = self.whole(slot)
        if found is None:
            raise StoreError(f"replay store {self.folder}: slot {slot} is damaged, or overwritten meanwhile")
        return records.transition_of(found[0][0], found[1], self.spaces)

    def damaged(self) -> list[int]:
        """Slots on disk with wrong checksums. Reads everything."""
        bad = []
        for slot in np.flatnonzero(self._on_disk["number"]):
            row, frames = self._on_disk[slot : slot + 1].copy(), self._frames.copy(slot)
            number = int(row["number"][0])
            fits = (number - 1) % self.capacity == slot and records.fits(row, frames)
            if not fits and self._on_disk["number"][slot] == number:  # not overwritten while it was read
                bad.append(int(slot))
        return bad

    def close(self) -> None:
        """Releases the folder; the kernel writes out what is not on disk yet."""
        self._frames.close()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None
