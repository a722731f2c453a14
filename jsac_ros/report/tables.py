"""The CSV tables of a run folder: one row at a time, on disk at once, readable while they grow.

A column may appear late (a loss that the learner reports only once it learns): the file is then written again with
the wider header, in one step, and earlier rows are empty there.
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

BASELINE = "baseline.json"  # in the run folder: what random actions, standing still and a servo earn
PERCENTILES = ("p50", "p99", "p999", "max")  # of every float32[4] in the status messages

MOST = 1 << 48  # of anything that is counted; the sum over many sessions is still an int64
MOST_NAMES, MOST_CHARACTERS = 64, 500
MOST_OWED = 1 << 22  # bytes of rows that wait for room on the disk: about half an hour of a run
_IDENTITIES = ("session",)  # drawn, not counted
_NAME = re.compile(r"[A-Za-z][\w .]{0,63}")

Row = dict[str, str]


def flatten(prefix: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """One status message as columns `prefix.field`.

    A `float32[4]` becomes `prefix.field.p50` and so on; a pair `<kind>_names`, `<kind>_values` (or `_counts`)
    becomes `prefix.kind.<name>`; the header is left out, long text is cut.
    Raises ValueError where no node of ours counts so far or names so much.
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
    """The value of a cell; `default` where it is empty, missing or no number."""
    try:
        return float(row.get(column) or default)
    except ValueError:
        return default


def without_figures(reason: str) -> str:
    """A reason whose figures are left out, so that an age that grows is one reason."""
    return re.sub(r"[\d.]*\d", "…", reason)


def read_rows(path: Path) -> list[Row]:
    """All complete rows of a table; none where there is no file. A last line cut short by a crash is left out, and so are
    lines that a damaged disk or another program made unreadable."""
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
        reader.fieldnames  # noqa: B018  read now: without a header there are no rows
    except csv.Error:
        return
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:  # a field over csv's limit, a zero byte
            continue


class Table:
    """A CSV file that is appended to. What the disk does not take now is written when it has room.

    `rows` holds what an earlier process wrote into it, until the first `append`.
    """

    def __init__(self, path: Path, columns: Iterable[str] = ()):
        """Raises OSError where the file cannot be made, for another reason than a full disk."""
        self.path = path
        self.rows = read_rows(path)
        self.columns = list(dict.fromkeys([*(self.rows[0] if self.rows else ()), *columns]))
        self.problem = ""  # why rows are not in the file yet
        self._owed = bytearray()
        self._file: FileIO | None = None
        try:
            self._file = self._rewritten()  # a line that a crash cut short goes, new columns come
        except OSError as error:
            if not is_full(error):
                raise
            self.problem = f"{path}: {error.strerror}"

    def append(self, values: Mapping[str, Any]) -> Row:
        """Writes one row through to the file and returns it as it will be read back."""
        if not set(values) <= set(self.columns):
            self._add_columns(values)
        self.rows = []  # only the file keeps them
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
        """Where the disk does not take it the new columns are left out, until a later row brings them again."""
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
        """The file with the present columns and rows, put in place in one step, open for more."""
        rows = read_rows(self.path)
        with replaced(self.path) as beside:
            with open(beside, "w", newline="") as file:
                writer = csv.DictWriter(file, self.columns, restval="", lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
            return FileIO(beside, "a")


def _cell(value: Any) -> str:
    """Six significant digits are more than any of these was measured with; NaN is an empty cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, int):
        return str(value)
    return format(value, ".6g") if math.isfinite(value) else ""
