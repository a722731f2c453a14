"""Counters of a store that survive restarts, in `counters.npy`: two records written in turn, each with its checksum.

If a process is killed while writing one, or a bit flips, the other is intact; it is one change older.
"""

from __future__ import annotations

import threading
import zlib

import numpy as np

NAMES = ("lost", "duplicates", "refused", "batches")
RECORD = np.dtype([(name, "<u8") for name in ("number", *NAMES, "checksum")])  # number: of changes so far


class Counters:
    """Name -> count of one store. Two threads may change different counters."""

    def __init__(self, records: np.ndarray):
        """`records`: [2] of RECORD, mapped; zeros before the first count."""
        self._records, self._lock = records, threading.Lock()
        whole = [record for record in records.copy() if record["checksum"] == _checksum(record)]
        newest = max(whole, key=lambda record: int(record["number"]), default=np.zeros((), RECORD))
        self._number = int(newest["number"])
        self._values = {name: int(newest[name]) for name in NAMES}
        self.damaged = not whole and bool(records.view("u1").any())  # counting starts at 0 again

    def __getitem__(self, name: str) -> int:
        return self._values[name]

    def __setitem__(self, name: str, value: int) -> None:
        with self._lock:
            if value == self._values[name]:
                return
            self._values[name] = value
            self._number += 1
            record = np.array((self._number, *self._values.values(), 0), RECORD)
            record["checksum"] = _checksum(record)
            self._records[self._number % 2] = record


def _checksum(record: np.ndarray) -> int:
    return zlib.crc32(record.tobytes()[: RECORD.fields["checksum"][1]])
