"""The frame store: a ring of steps on disk, each frame once, that `kill -9` at any instant leaves whole.

A step is complete when its row's `number` is written, which happens last; before its slot is touched the number of the
row that it replaces is set to 0. So a crash leaves complete rows and at most one slot without a number. Frames are
written with pwrite, not through the mapping: a full disk is then an error to handle and not a SIGBUS, and a slow disk
holds up the writer without holding the interpreter or the sampler.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jsac_ros.replay import folders
from jsac_ros.replay import format as files
from jsac_ros.replay.format import StoreError
from jsac_ros.replay.index import NONE, Links
from jsac_ros.replay.sampling import gather
from jsac_ros.types import Batch, Spec, Step

Draw = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


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

    `records` is the structured array [N] of the rows, `rows` maps a column's name to its array [N, ...]; `frames` is
    uint8 [N, H, W, C], to be read only.
    """

    def __init__(self, folder: Path, spec: Spec, capacity: int, read_only: bool):
        self.folder, self.spec, self.capacity = folder, spec, capacity
        self.read_only = read_only
        self._lock = threading.Lock()  # links and rows; held for one sample or one row, never for a frame's write
        self._type = files.row_type(spec)
        mode = "r" if read_only else "r+"
        mapped = files.open_array(folder / files.ROWS, self._type, (capacity,), mode)
        self.records = np.asarray(mapped)
        self.rows = {name: self.records[name] for name in self._type.names}
        frames = files.open_array(folder / files.FRAMES, np.dtype("u1"), (capacity, *spec.frame_shape), "r")
        self.frames = np.asarray(frames)
        self._frames = self.frames.reshape(capacity, -1)
        self._frame_file = NONE if read_only else os.open(folder / files.FRAMES, os.O_WRONLY | os.O_CLOEXEC)
        self._frame_offset = frames.offset
        counters = files.open_array(folder / files.COUNTERS, files.COUNTER_TYPE, (1,), mode)
        self.counters = np.asarray(counters)[0]  # kept across restarts: lost, duplicates, refused, batches
        self._rebuild()

    # -- opening -------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, folder: str | Path, spec: Spec, capacity: int) -> FrameStore:
        """Creates the store in `folder`, or goes on with the one that is there.

        Raises StoreError when another process has it open, when it is of another shape, capacity or version or is
        damaged, and when the file system is read-only or has no room for it.
        """
        folder = Path(folder)
        if capacity < spec.stack + 2:
            least = spec.stack + 2
            raise StoreError(f"replay.capacity is {capacity}; expected at least {least} for a stack of {spec.stack}")
        with folders.errors_in_one_line(folder):
            lock = folders.lock(folder)
            try:
                folders.prepare(folder, spec, capacity)
                store = cls(folder, spec, capacity, read_only=False)
                store._lock_file = lock
                store._verify_after_reboot()
            except BaseException:
                os.close(lock)
                raise
        return store

    @classmethod
    def read(cls, folder: str | Path) -> FrameStore:
        """Opens what is there to look at it, also while a replay writes to it. Raises StoreError."""
        folder = Path(folder)
        return cls(folder, *files.read_header(folder), read_only=True)

    def _rebuild(self) -> None:
        """Everything that is kept in memory, from the rows on disk."""
        live = files.number_slots(self.rows["number"])
        self.count = int(self.rows["number"][live].max(initial=0))  # rows written since the store was made
        previous = files.previous_slots(self.records, live)
        self.links = Links.rebuild(previous, live, self.rows["is_first"], self.spec.stack)
        newest_first = self.live_slots()[::-1]
        _, at = np.unique(self.records[["robot", "session"]][newest_first], return_index=True)
        self._newest = {newest.stream: newest for newest in map(self._as_newest, newest_first[at])}

    def _as_newest(self, slot: int) -> _Newest:
        row = self.records[slot]
        names = ("session", "number", "sequence", "episode", "step", "is_last")
        session, *place = (row[name].item() for name in names)
        return _Newest((files.robot_of(row), session), int(slot), *place)

    def _verify_after_reboot(self) -> None:
        """A crash of the machine, unlike one of a process, may leave a row's number without its frame: look at all.

        The file `boot` names the boot in which the store was last opened. The alternative, fsync at every close, can
        take a minute on a busy disk, and whoever stops the process does not wait so long.
        """
        marker, boot = self.folder / files.BOOT, _BOOT_ID.read_text().strip()
        last_boot = marker.read_text().strip() if marker.exists() else boot
        if last_boot != boot:
            for slot in self.damaged():
                self.rows["number"][slot] = 0
            self._rebuild()
        marker.write_text(boot + "\n")

    # -- writing -------------------------------------------------------------------------------------------------

    def append(self, step: Step) -> int:
        """Writes a step over the oldest one and returns its row number (0, 1, 2, ... since the store was made).

        When this returns, the step survives `kill -9`. Raises ValueError with one line when the step must not be
        stored (sizes, NaN, order), OSError when the disk is full or fails; the latter may be appended again.
        """
        files.check_step(step, self.spec)
        self._check_order(step)
        number, slot = self.count + 1, self.count % self.capacity
        with self._lock:
            if self.rows["number"][slot]:
                self.rows["number"][slot] = 0
                self.links.remove(slot)
        frame = np.ascontiguousarray(step.frame)
        previous = self._previous_of(step)
        row = files.row_of(step, self._type, number, int(self.rows["number"][previous]) if previous != NONE else 0)
        self._write_frame(slot, frame)
        with self._lock:
            self.records[slot] = row[0]
            self.rows["number"][slot] = number
            self.links.add(slot, previous, step.is_first)
            self.count = number
            self._newest[step.robot, step.session] = self._as_newest(slot)
        return number - 1

    def put(self, slot: int, row: np.ndarray, frame: np.ndarray) -> None:
        """Writes another store's record [1] and frame to the same slot; seen when the store is opened again."""
        self.rows["number"][slot] = 0
        self._write_frame(slot, frame)
        number = row["number"].copy()
        row["number"] = 0
        self.records[slot] = row[0]
        self.rows["number"][slot] = number[0]

    def _previous_of(self, step: Step) -> int:
        """Slot of the step before this one in its episode, or NONE: it is lost or overwritten, or this is the first."""
        newest = self._newest.get((step.robot, step.session))
        follows = newest and (newest.episode, newest.step + 1) == (step.episode, step.step) and not newest.is_last
        return newest.slot if follows and self.rows["number"][newest.slot] == newest.number else NONE

    def _check_order(self, step: Step) -> None:
        """Raises ValueError for a step that goes back in its stream."""
        newest = self._newest.get((step.robot, step.session))
        if newest is None:
            return
        closed = newest.is_last and step.episode == newest.episode
        behind = (step.episode, step.step) <= (newest.episode, newest.step) or step.sequence <= newest.sequence
        if behind or closed:
            raise ValueError(
                f"step {step.step} of episode {step.episode} of {step.robot!r} comes after step {newest.step} of "
                f"episode {newest.episode}{', its last' if closed else ''}; expected a later one"
            )

    def _write_frame(self, slot: int, frame: np.ndarray) -> None:
        data, at = memoryview(frame.reshape(-1)), self._frame_offset + slot * frame.size
        while len(data):
            written = os.pwrite(self._frame_file, data, at)
            data, at = data[written:], at + written

    def set_priorities(self, index: np.ndarray, priority: np.ndarray) -> None:
        """Keeps priorities (float32 [B]) for the rows that a batch's `index` (int64 [B]) names.

        Rows that have been overwritten since, and rows of another store (index < 0), are left out.
        """
        slots = (index - 1) % self.capacity
        with self._lock:
            ours = (index > 0) & (self.rows["number"][slots] == np.maximum(index, 0).astype(np.uint64))
            ours &= np.isfinite(priority)
            self.rows["priority"][slots[ours]] = priority[ours]
            if self.links.valid.changed is not None:
                self.links.valid.changed.update(slots[ours].tolist())

    # -- reading -------------------------------------------------------------------------------------------------

    @property
    def stored(self) -> int:
        """Rows in the store."""
        return min(self.count, self.capacity)

    @property
    def valid_count(self) -> int:
        """Transitions that can be sampled."""
        return len(self.links.valid)

    def next_sequences(self) -> dict[tuple[str, int], int]:
        """For every (robot, session) with rows here: the first sequence number that is not."""
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
        """Fills `batch` with the transitions at `slots`, int64 [B], all valid; the caller keeps writers away."""
        gather(self.links, self.rows, self._frames, slots, batch, n_step, gamma)

    def live_slots(self) -> np.ndarray:
        """Slots of all complete rows, oldest first, int64."""
        slots = np.flatnonzero(files.number_slots(self.rows["number"]))
        return slots[np.argsort(self.rows["number"][slots])]

    def step(self, slot: int) -> Step:
        """A copy of what one slot holds."""
        return files.step_of(self.records[slot], self.frames[slot])

    def record(self, slot: int) -> tuple[np.ndarray, np.ndarray]:
        """Copies of one slot's record [1] and frame, as they are on disk."""
        return self.records[slot : slot + 1].copy(), self.frames[slot].copy()

    def damaged(self) -> list[int]:
        """Slots whose checksum does not fit what they hold. Reads everything."""
        bad = []
        for slot in np.flatnonzero(self.rows["number"]):
            row, frame = self.record(slot)
            number = int(row["number"][0])
            fits = (number - 1) % self.capacity == slot and row["checksum"][0] == files.checksum(row, frame, number)
            if not fits and self.rows["number"][slot] == number:  # not overwritten while we looked
                bad.append(int(slot))
        return bad

    def close(self) -> None:
        """Lets go of the folder; the kernel writes out what is not on disk yet."""
        if not self.read_only:
            os.close(self._frame_file)
            os.close(self._lock_file)
            self.read_only = True
