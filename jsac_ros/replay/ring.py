"""Batches from replay to learner through POSIX shared memory, filled in place, and TD errors back in the same slots.

The write-up's Figure 4 with n slots: while the learner uses one batch, replay fills the others. Neither side copies,
and neither waits for the other unless every slot is full (replay) or empty (learner).

A slot goes FREE -> FILLING -> READY (producer), READY -> TAKEN -> RETURNED (consumer), RETURNED -> FILLING (producer).
Only the side named in brackets makes that change, and each repairs its own unfinished changes when it restarts:
a producer that died while FILLING finds the slot FREE again, a consumer that died with a batch TAKEN returns it without
TD errors. The states decide; the semaphores only mean "look again" (see `segment`).

Header (little-endian uint64 words): magic, layout hash, slots, bytes of a slot, generation (incremented whenever a producer
attaches), last sequence published, pid of producer, pid of consumer; then for every slot: state, sequence, whether TD
errors were returned. The slots follow at page-aligned offsets, their fields 64-byte aligned.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import time
from typing import NamedTuple

import numpy as np

from jsac_ros.config import ConfigError
from jsac_ros.replay.segment import Segment
from jsac_ros.types import Batch, Layout

FREE, FILLING, READY, TAKEN, RETURNED = range(5)
_MAGIC = int.from_bytes(b"JSACRNG1", "little")
_MAGIC_AT, _HASH, _SLOTS, _SLOT_BYTES, _GENERATION, _SEQUENCE, _PRODUCER_PID, _CONSUMER_PID = range(8)
_TABLE = 8  # first word of the slots' table
_STATE, _SLOT_SEQUENCE, _HAS_TD, _ROW = 0, 1, 2, 3
_PRODUCER, _CONSUMER = 0, 1  # roles
_BELLS = ("free", "ready")
_PAGE = mmap.PAGESIZE


class Taken(NamedTuple):
    """A batch that the consumer holds until it gives it back."""

    batch: Batch  # views of the slot
    sequence: int  # 1, 2, ... in the order of publication


class Returned(NamedTuple):
    """What the consumer returned with a slot."""

    index: np.ndarray  # int64 [B]
    td_error: np.ndarray  # float32 [B]


class Fill(NamedTuple):
    """A slot that the producer holds until it is published."""

    batch: Batch  # views of the slot, to be overwritten
    returned: Returned | None  # returned with the batch that was in it


def layout_hash(layout: Layout) -> int:
    """Hash of names, shapes, dtypes and their order: both sides must have the same configuration."""
    text = repr([(name, tuple(shape), np.dtype(dtype).str) for name, (shape, dtype) in layout.items()])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def _aligned(size: int, to: int) -> int:
    return -(-size // to) * to


def _field_offsets(layout: Layout) -> tuple[dict[str, int], int]:
    """Offset of every field in its slot and the bytes of a slot; `td_error` is the last field."""
    offsets, at = {}, 0
    fields = {**layout, "td_error": (layout["index"][0], "float32")}
    for name, (shape, dtype) in fields.items():
        offsets[name] = at
        at += _aligned(int(np.prod(shape)) * np.dtype(dtype).itemsize, 64)
    return offsets, _aligned(at, _PAGE)


class BatchRing:
    """One end of the ring: `create` makes the producer's end, `attach` the consumer's."""

    def __init__(self, segment: Segment, layout: Layout, slots: int):
        self.name = segment.name
        self._segment = segment
        offsets, slot_bytes = _field_offsets(layout)
        table_words = _TABLE + _ROW * slots
        first = _aligned(8 * table_words, _PAGE)
        self._words = np.frombuffer(segment.memory, np.uint64, table_words)
        self._table = self._words[_TABLE:].reshape(slots, _ROW)
        self._batches, self._td_errors = [], []
        for slot in range(slots):
            base = first + slot * slot_bytes
            views = {
                name: np.ndarray(shape, dtype, segment.memory, base + offsets[name]) for name, (shape, dtype) in layout.items()
            }
            self._batches.append(Batch.of(views))
            td_shape = layout["index"][0]
            self._td_errors.append(np.ndarray(td_shape, np.float32, segment.memory, base + offsets["td_error"]))
        self._filling: int | None = None
        self._taken: list[int] = []
        self._owner = False

    @classmethod
    def create(cls, name: str, layout: Layout, slots: int) -> BatchRing:
        """The producer's end. Takes over the ring of a dead producer whose consumer lives.

        Raises ConfigError if a living producer has this name or /dev/shm is too small.
        """
        expected, (_, slot_bytes) = layout_hash(layout), _field_offsets(layout)
        size = _aligned(8 * (_TABLE + _ROW * slots), _PAGE) + slots * slot_bytes

        def usable(header: bytes) -> bool:
            words = np.frombuffer(header, np.uint64, _TABLE)
            return [int(w) for w in words[:_GENERATION]] == [_MAGIC, expected, slots, slot_bytes]

        segment, there = Segment.create(name, size, _PRODUCER, _BELLS, usable)
        ring = cls(segment, layout, slots)
        ring._owner = True
        words = ring._words
        if there:
            ring._table[ring._table[:, _STATE] == FILLING, _STATE] = FREE
        else:
            words[_HASH], words[_SLOTS], words[_SLOT_BYTES] = expected, slots, slot_bytes
        words[_GENERATION] += 1
        words[_PRODUCER_PID] = os.getpid()
        words[_MAGIC_AT] = _MAGIC
        segment.created()
        ring._ring_all()
        return ring

    @classmethod
    def attach(cls, name: str, layout: Layout) -> BatchRing:
        """The consumer's end.

        Raises FileNotFoundError while there is no ring with a living producer (the batches of a dead run must not be
        learned from), ConfigError if its layout differs or another consumer lives.
        """
        segment = Segment.attach(name, _BELLS)
        try:
            if not segment.is_held(_PRODUCER):
                raise FileNotFoundError(f"shared memory {name}: its producer has exited")
            words = np.frombuffer(segment.memory, np.uint64, _TABLE)
            if [int(w) for w in words[:_SLOTS]] != [_MAGIC, layout_hash(layout)]:
                raise ConfigError(
                    f"shared memory {name}: holds batches of another layout; expected the parts and sizes of this configuration"
                )
            segment.hold(_CONSUMER)
            ring = cls(segment, layout, int(words[_SLOTS]))
        except BaseException:
            segment.close()
            raise
        words[_CONSUMER_PID] = os.getpid()
        for slot in np.flatnonzero(ring._table[:, _STATE] == TAKEN):
            ring._table[slot, _HAS_TD] = 0
            ring._table[slot, _STATE] = RETURNED
        ring._ring_all()
        return ring

    @property
    def generation(self) -> int:
        return int(self._words[_GENERATION])

    @property
    def published(self) -> int:
        """Batches published since the ring was created."""
        return int(self._words[_SEQUENCE])

    def ready(self) -> int:
        """Slots that wait for the consumer."""
        return int((self._table[:, _STATE] == READY).sum())

    # -- producer ------------------------------------------------------------------------------------------------

    def fill(self, timeout_s: float) -> Fill | None:
        """A slot to fill in place; None if the consumer returned none within the time."""
        if self._filling is None:
            slot = self._wait_for((FREE, RETURNED), "free", timeout_s)
            if slot is None:
                return None
            self._filling = slot
        slot = self._filling
        returned = None
        if self._table[slot, _STATE] == RETURNED and self._table[slot, _HAS_TD]:
            returned = Returned(self._batches[slot].index.copy(), self._td_errors[slot].copy())
        self._table[slot, _STATE] = FILLING
        return Fill(self._batches[slot], returned)

    def publish(self) -> int:
        """Hands the filled slot to the consumer; returns its sequence number."""
        slot = self._filling
        sequence = self.published + 1
        self._table[slot, _SLOT_SEQUENCE] = sequence
        self._table[slot, _HAS_TD] = 0
        self._words[_SEQUENCE] = sequence
        self._table[slot, _STATE] = READY
        self._filling = None
        self._segment.ring("ready")
        return sequence

    # -- consumer ------------------------------------------------------------------------------------------------

    def take(self, timeout_s: float) -> Taken | None:
        """The oldest batch that is ready; None if there was none within the time."""
        slot = self._wait_for((READY,), "ready", timeout_s)
        if slot is None:
            return None
        self._table[slot, _STATE] = TAKEN
        self._taken.append(slot)
        return Taken(self._batches[slot], int(self._table[slot, _SLOT_SEQUENCE]))

    def give_back(self, td_error: np.ndarray | None = None) -> None:
        """Returns the batch that was taken first, with its TD errors (float32 [B]) if there are any.

        Its views must not be read after this: the producer may be filling them.
        """
        slot = self._taken.pop(0)
        if td_error is not None:
            self._td_errors[slot][...] = td_error
            self._table[slot, _HAS_TD] = 1
        self._table[slot, _STATE] = RETURNED
        self._segment.ring("free")

    # -- both ----------------------------------------------------------------------------------------------------

    def abandoned(self) -> bool:
        """Whether its producer has unlinked it: then close it and attach to the next one."""
        return self._segment.abandoned()

    def close(self) -> None:
        """The producer's end also removes the names; an attached consumer then sees `abandoned`."""
        if self._owner:
            self._segment.unlink()
        for slot in list(self._taken):
            self._table[slot, _HAS_TD] = 0
            self._table[slot, _STATE] = RETURNED
            self._segment.ring("free")
        self._taken.clear()
        self._words = self._table = self._batches = self._td_errors = None
        self._segment.close()

    def _wait_for(self, states: tuple[int, ...], bell: str, timeout_s: float) -> int | None:
        """The slot in one of `states` that was published longest ago.

        The bell comes first: acquiring a semaphore is what makes the other side's stores visible on every
        architecture. The states are read without it only because a crash may have lost a ring of the bell.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            rang = self._segment.wait(bell, deadline - time.monotonic())
            table = self._table.tolist()
            found = [(row[_SLOT_SEQUENCE], slot) for slot, row in enumerate(table) if row[_STATE] in states]
            if found:
                return min(found)[1]
            if not rang and time.monotonic() >= deadline:
                return None

    def _ring_all(self) -> None:
        """After a restart: makes every waiting process, this one included, check the states once per slot."""
        for bell in _BELLS:
            for _ in range(len(self._table)):
                self._segment.ring(bell)
