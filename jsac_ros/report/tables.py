"""The CSV tables of a run folder: each row is written to disk at once, and the file can be read while it grows.

A column may appear late, such as a loss that the learner reports only once it learns. The file is then rewritten atomically
with the wider header, and the cell is empty in earlier rows.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from jsac_ros.files import is_full, replaced

BASELINE = "baseline.json"  # in the run folder: returns of random actions, standing still and a servo
PERCENTILES = ("p50", "p99", "p999", "max")  # of every float32[4] in the status messages

ROW_PERIOD_S = 1.0  # of metrics.csv in the first hour, then LATER_ROW_PERIOD_S: a day adds about 20 MB
LATER_ROW_PERIOD_S = 10.0
FIRST_HOUR_S = 3600.0
MOST_EPISODES = 2000  # rows of episodes.csv that a process keeps in memory

MOST = 1 << 48  # largest accepted count, so that the sum over many sessions fits an int64
MOST_NAMES, MOST_CHARACTERS = 64, 500
MOST_OWED = 1 << 22  # bytes of rows that wait for free disk space, about half an hour of a run
_IDENTITIES = ("session",)  # random numbers, not counts
_NAME = re.compile(r"[A-Za-z][\w .]{0,63}")

Row = dict[str, str]


def flatten(prefix: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """One status message as columns `prefix.field`.

    A `float32[4]` becomes `prefix.field.p50` and so on; a pair `<kind>_names`, `<kind>_values` (or `_counts`)
    becomes `prefix.kind.<name>`. The header is omitted, and long text is truncated.
    Raises ValueError for counts, names or numbers of names beyond those of a jsac_ros node.
    """
    columns: dict[str, Any] = {}
    for field, value in fields.items():
        kind, _, part = field.rpartition("_")
        if field == "header" or part in ("values", "counts"):
            continue
        if part == "names":
            values = fields.get(f"{kind}_values", fields.get(f"{kind}_counts", ()))
            if len(value) > MOST_NAMES or not all(map(_NAME.fullmatch, value)):
                raise ValueError(
                    f"{field}: {len(value)} names; expected at most {MOST_NAMES}, of letters, digits, ' ', _ and ."
                )
            columns.update({f"{prefix}.{kind}.{name}": _bounded(f"{kind} {name}", v) for name, v in zip(value, values)})
        elif isinstance(value, str):
            columns[f"{prefix}.{field}"] = value[:MOST_CHARACTERS]
        elif isinstance(value, (int, float)):
            columns[f"{prefix}.{field}"] = value if field in _IDENTITIES else _bounded(field, value)
        else:
            columns.update({f"{prefix}.{field}.{name}": v for name, v in zip(PERCENTILES, value)})
    return columns


def _bounded(field: str, value: int | float) -> int | float:
    if isinstance(value, int) and abs(value) > MOST:
        raise ValueError(f"{field} is {value}; expected at most {MOST}")
    return value


def number(row: Mapping[str, str], column: str, default: float = math.nan) -> float:
    """The value of a cell; `default` if it is empty, missing or not a number."""
    try:
        return float(row.get(column) or default)
    except ValueError:
        return default


def row_period_s(time_s: float) -> float:
    """Between two rows of metrics.csv, so long after its first."""
    return LATER_ROW_PERIOD_S if time_s > FIRST_HOUR_S else ROW_PERIOD_S


def without_figures(reason: str) -> str:
    """A reason with its numbers replaced, so that a growing age counts as one reason."""
    return re.sub(r"[\d.]*\d", "…", reason)


def read_rows(path: Path) -> list[Row]:
    """All complete rows of a table; none if there is no file. Lines that a crash has truncated, or that are otherwise
    damaged, are skipped."""
    try:
        with open(path, newline="", errors="replace") as file:
            text = file.read()
    except FileNotFoundError:
        return []
    rows = _parsed(text[: text.rfind("\n") + 1].splitlines(keepends=True))
    return [row for row in rows if None not in row and None not in row.values()]


def _parsed(lines: list[str]) -> Iterator[dict[str | None, Any]]:
    reader = csv.DictReader(lines)
    try:
        reader.fieldnames  # noqa: B018  reads the header now: without one there are no rows
    except csv.Error:
        return
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:  # a field longer than csv's limit, or a zero byte
            continue


class Table:
    """A CSV file to append to. Rows that do not fit on a full disk are written when it has room again.

    `rows` contains the rows of an earlier process, until the first `append`.
    """

    def __init__(self, path: Path, columns: Iterable[str] = ()):
        """Raises OSError if the file cannot be created for a reason other than a full disk."""
        self.path = path
        self.rows = read_rows(path)
        self.columns = list(dict.fromkeys([*(self.rows[0] if self.rows else ()), *columns]))
        self.problem = ""  # why some rows are not in the file yet
        self._owed = bytearray()
        self._file: FileIO | None = None
        try:
            self._file = self._rewritten()  # drops a truncated last line and adds columns
        except OSError as error:
            if not is_full(error):
                raise
            self.problem = f"{path}: {error.strerror}"

    def append(self, values: Mapping[str, Any]) -> Row:
        """Writes one row to the file and returns it as it will be read back."""
        if not set(values) <= set(self.columns):
            self._add_columns(values)
        self.rows = []  # from now on only the file has them
        row = {column: _cell(values.get(column)) for column in self.columns}
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(row.values())
        if len(self._owed) < MOST_OWED:
            self._owed += line.getvalue().encode()
        self._write()
        return row

    def close(self) -> None:
        self._write()
        if self._file is not None:
            self._file.close()

    def _write(self) -> None:
        try:
            if self._file is None:
                self._file = self._rewritten()
            while self._owed:
                del self._owed[: self._file.write(self._owed)]
            self.problem = ""
        except OSError as error:
            self.problem = f"{self.path}: {error.strerror}"

    def _add_columns(self, values: Iterable[str]) -> None:
        """Adds columns. If the disk is full they are omitted, until a later row has them again."""
        self._write()
        if self._owed:
            return
        before = self.columns
        self.columns = list(dict.fromkeys([*self.columns, *values]))
        try:
            self._file, old = self._rewritten(), self._file
            old.close()
        except OSError as error:
            self.columns, self.problem = before, f"{self.path}: {error.strerror}"

    def _rewritten(self) -> FileIO:
        """Rewrites the file atomically with the present columns and rows, and opens it for appending."""
        rows = read_rows(self.path)
        with replaced(self.path) as beside:
            with open(beside, "w", newline="") as file:
                writer = csv.DictWriter(file, self.columns, restval="", lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
            return FileIO(beside, "a")


def _cell(value: Any) -> str:
    """The text of a cell. Six significant digits exceed the precision of all measurements; NaN is an empty cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, int):
        return str(value)
    return format(value, ".6g") if math.isfinite(value) else ""
