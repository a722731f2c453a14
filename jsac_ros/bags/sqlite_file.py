"""Reads one SQLite file of rosbag2, whole or damaged. It reads the table of messages without using the database's index."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import numpy as np

from jsac_ros.bags.recorded_file import (
    ZSTD,
    BagError,
    Channel,
    Record,
    beginning,
    definition_of,
    one_line,
    unzstd,
)

MAGIC = b"SQLite format 3\x00"
_BATCH = 16  # messages per query, as each query takes and releases a lock


class SqliteFile:
    """A `recorded_file.RecordedFile`. Raises BagError if nothing in it can be read."""

    def __init__(self, path: Path):
        self.damage = ""
        self._whole = TemporaryDirectory(prefix="jsac_bag_")
        self._database = _open(self._without_half_a_page(path))
        try:
            found = dict(self._database.execute("SELECT name, type FROM sqlite_master").fetchall())
            if not found.get("topics") == found.get("messages") == "table":
                raise BagError("it has no tables 'topics' and 'messages'; expected a rosbag2 database")
            topics = self._database.execute("SELECT id, name, type, serialization_format FROM topics").fetchall()
        except sqlite3.Error as error:
            raise BagError(one_line(error)) from None
        self._index = self._read_index()  # int64 [N, 3]: id, topic, time
        definitions = self._definitions()
        counts = dict(zip(*np.unique(self._index[:, 1], return_counts=True), strict=True))
        self._topics = {number: (name, kind) for number, name, kind, _ in topics}
        self.channels = [
            Channel(name, kind, encoding, definitions.get(kind, definition_of("", "")), int(counts.get(number, 0)))
            for number, name, kind, encoding in topics
        ]
        times = self._index[:, 2]
        self.start_ns, self.end_ns = (int(times.min()), int(times.max())) if len(times) else (0, 0)

    def close(self) -> None:
        self._database.close()
        self._whole.cleanup()

    def _without_half_a_page(self, path: Path) -> Path:
        """The file; if it is truncated, a copy of its whole pages, as SQLite would read the missing half page as zeros."""
        size = path.stat().st_size
        page = int.from_bytes(beginning(path, 18)[16:18], "big")
        page = 65536 if page == 1 else max(page, 512)
        if size % page == 0:
            return path
        self.damage = f"truncated after {size} bytes"
        copy = Path(self._whole.name) / path.name
        with path.open("rb") as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target)
            target.truncate(size // page * page)
        return copy

    def _read_index(self) -> np.ndarray:
        """The index of all readable rows: from the start to the damage, and from the end back to it."""
        rows, at, why = [], -1, ""
        for order in ("ASC", "DESC"):
            try:
                for row in self._database.execute(
                    f"SELECT id, topic_id, timestamp FROM messages WHERE id > ? ORDER BY id {order}", (at,)
                ):
                    if all(isinstance(value, int) for value in row):
                        rows.append(row)
                break
            except sqlite3.Error as error:
                why = one_line(error)
                at = max((number for number, _, _ in rows), default=-1)
        if why or self.damage:
            self.damage = f"{self.damage or 'damaged'} ({why}): {len(rows)} messages could be read"
        return np.array(rows, np.int64).reshape(-1, 3)

    def _definitions(self) -> dict:
        """{type: definition}; files older than Jazzy have none."""
        try:
            rows = self._database.execute(
                "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
            ).fetchall()
        except sqlite3.Error:
            return {}
        return {kind: definition_of(encoding, text) for kind, encoding, text in rows}

    def messages(self, topics: Collection[str], start_ns: int) -> Iterator[Record]:
        wanted = [number for number, (name, _) in self._topics.items() if name in topics]
        index = self._index[np.isin(self._index[:, 1], wanted) & (self._index[:, 2] >= start_ns)]
        rows = index[np.lexsort((index[:, 0], index[:, 2]))].tolist()
        for batch in (rows[at : at + _BATCH] for at in range(0, len(rows), _BATCH)):
            data = self._data([number for number, _, _ in batch])
            for number, topic, time_ns in batch:
                if number in data:
                    name, kind = self._topics[topic]
                    yield Record(name, time_ns, kind, data[number], time_ns)

    def _data(self, numbers: list[int]) -> dict[int, bytes]:
        """{id: data} without damaged messages."""
        try:
            places = ",".join("?" * len(numbers))
            rows = self._database.execute(f"SELECT id, data FROM messages WHERE id IN ({places})", numbers).fetchall()
            return {number: unzstd(data) if data.startswith(ZSTD) else data for number, data in rows}
        except (sqlite3.Error, ValueError, TypeError, AttributeError) as error:  # also for a row with values of other types
            if len(numbers) == 1:
                self.damage = self.damage or f"damaged at message {numbers[0]} ({one_line(error)}): skipped"
                return {}
        return {number: data for one in numbers for number, data in self._data([one]).items()}


def _open(path: Path) -> sqlite3.Connection:
    """Opens a file read-only, even if it is truncated."""
    for options in ("mode=ro", "mode=ro&immutable=1"):  # the second ignores an unreadable write-ahead log
        try:
            database = sqlite3.connect(f"file:{quote(str(path.resolve()))}?{options}", uri=True, check_same_thread=False)
            database.text_factory = lambda text: text.decode(errors="replace")
            database.execute("PRAGMA trusted_schema = OFF")
            database.execute("PRAGMA writable_schema = ON")  # otherwise SQLite does not open a truncated file
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return database
        except sqlite3.Error as error:
            why = one_line(error)
    raise BagError(why)
