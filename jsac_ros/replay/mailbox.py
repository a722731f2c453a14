"""The newest policy from learner to actors through POSIX shared memory: the latest wins, and no read is torn.

Two buffers: the writer fills the one that is not the latest, then marks it as the latest with one store. A writer that dies
half-way leaves the latest one intact. A reader that was overtaken twice during its copy notices by the sequence number
and the checksum, and reads again. Each reader has its own bell.

Header (little-endian uint64 words): magic, layout hash, float32 values, generation, number of the latest policy
(its parity is its buffer), pid of the writer; then for each buffer number, version, session, stamp, checksum.
"""

from __future__ import annotations

import mmap
import os
import time
from typing import NamedTuple

import numpy as np

from jsac_ros.config import ConfigError
from jsac_ros.crc import crc32
from jsac_ros.replay.segment import Segment

_MAGIC = int.from_bytes(b"JSACPOL1", "little")
_MAGIC_AT, _HASH, _COUNT, _GENERATION, _LATEST, _WRITER_PID = range(6)
_TABLE = 8
_NUMBER, _VERSION, _SESSION, _STAMP, _CHECKSUM, _ROW = range(6)
_WRITER = 0  # roles: the writer, then each reader
READERS = 4
_BELLS = tuple(f"bell{reader}" for reader in range(READERS))
_FIRST = mmap.PAGESIZE
_ATTEMPTS = 8  # each fails only when the writer overtook the copy twice


class Latest(NamedTuple):
    version: int  # updates behind the parameters
    session: int  # of the learner
    stamp_ns: int  # when they were written, since the epoch
    vector: np.ndarray  # float32 [count], a copy


def _buffer_bytes(count: int) -> int:
    return -(-4 * count // 64) * 64


class PolicyMailbox:
    """One end of the mailbox: `create` makes the writer's end, `attach` a reader's."""

    def __init__(self, segment: Segment, count: int):
        self.name = segment.name
        self._segment = segment
        memory = segment.memory
        self._words = np.frombuffer(memory, np.uint64, _TABLE)
        self._table = np.ndarray((2, _ROW), np.int64, memory, 8 * _TABLE)
        size = _buffer_bytes(count)
        self._buffers = [np.ndarray((count,), np.float32, memory, _FIRST + i * size) for i in range(2)]
        self._owner = False
        self._bell = ""

    @classmethod
    def create(cls, name: str, count: int, layout_hash: int) -> PolicyMailbox:
        """The writer's end, of `count` float32 values. Takes over the mailbox of a dead writer.

        Raises ConfigError if a living writer has this name or /dev/shm is too small.
        """

        def usable(header: bytes) -> bool:
            return [int(w) for w in np.frombuffer(header, np.uint64, 3)] == [_MAGIC, layout_hash, count]

        segment, _ = Segment.create(name, _FIRST + 2 * _buffer_bytes(count), _WRITER, _BELLS, usable)
        mailbox = cls(segment, count)
        mailbox._owner = True
        words = mailbox._words
        words[_HASH], words[_COUNT] = layout_hash, count
        words[_GENERATION] += 1
        words[_WRITER_PID] = os.getpid()
        words[_MAGIC_AT] = _MAGIC
        segment.created()
        return mailbox

    @classmethod
    def attach(cls, name: str, count: int, layout_hash: int) -> PolicyMailbox:
        """A reader's end. Raises FileNotFoundError while there is no mailbox with a living writer, ConfigError if its
        layout differs or all readers' places are taken."""
        segment = Segment.attach(name, _BELLS)
        try:
            if not segment.is_held(_WRITER):
                raise FileNotFoundError(f"shared memory {name}: its writer has exited")
            found = [int(w) for w in np.frombuffer(segment.memory, np.uint64, 3)]
            if found != [_MAGIC, layout_hash, count]:
                raise ConfigError(
                    f"shared memory {name}: holds {found[2]} parameters of another layout; expected {count} "
                    "as this configuration has them"
                )
            reader = next((r for r in range(READERS) if segment.try_hold(1 + r)), None)
            if reader is None:
                raise ConfigError(f"shared memory {name}: {READERS} readers are attached already")
        except BaseException:
            segment.close()
            raise
        mailbox = cls(segment, count)
        mailbox._bell = _BELLS[reader]
        return mailbox

    @property
    def generation(self) -> int:
        return int(self._words[_GENERATION])

    def write(self, version: int, session: int, vector: np.ndarray) -> None:
        """Publishes `vector`, float32 [count]."""
        number = int(self._words[_LATEST]) + 1
        row, buffer = self._table[number % 2], self._buffers[number % 2]
        row[_NUMBER] = 0  # being written
        np.copyto(buffer, vector, casting="no")
        row[_VERSION], row[_SESSION], row[_STAMP] = version, session, time.time_ns()
        row[_CHECKSUM] = _checksum(row, buffer)
        row[_NUMBER] = number
        self._words[_LATEST] = number
        for reader, bell in enumerate(_BELLS):
            if self._segment.is_held(1 + reader) and self._segment.bells[bell].value == 0:
                self._segment.ring(bell)

    def read_latest(self, last_version: int | None = None) -> Latest | None:
        """A copy of the newest policy; None if there is none yet or it is `last_version`."""
        for _ in range(_ATTEMPTS):
            number = int(self._words[_LATEST])
            if not number:
                return None
            row = self._table[number % 2].copy()
            if row[_VERSION] == last_version and row[_NUMBER] == number:
                return None
            vector = self._buffers[number % 2].copy()
            if row[_NUMBER] == number == self._table[number % 2, _NUMBER] and row[_CHECKSUM] == _checksum(row, vector):
                return Latest(int(row[_VERSION]), int(row[_SESSION]), int(row[_STAMP]), vector)
        return None

    def wait(self, timeout_s: float) -> bool:
        """Blocks until a policy has been written since the last wait. False after the time-out."""
        return self._segment.wait(self._bell, timeout_s)

    def abandoned(self) -> bool:
        """Whether its writer has unlinked it: then close it and attach to the next one."""
        return self._segment.abandoned()

    def close(self) -> None:
        """The writer's end also removes the names; an attached reader then sees `abandoned`."""
        if self._owner:
            self._segment.unlink()
        self._words = self._table = self._buffers = None
        self._segment.close()


def _checksum(row: np.ndarray, vector: np.ndarray) -> int:
    return crc32(vector, crc32(row[_VERSION:_CHECKSUM].tobytes()))
