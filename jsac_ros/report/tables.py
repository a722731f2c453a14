"""The CSV tables of a run folder: one row at a time, on disk at once, readable while they grow.

A column may appear late (a loss that the learner reports only once it learns): the file is then written again with
the wider header, in one step, and earlier rows are empty there.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

BASELINE = "baseline.json"  # in the run folder: what random actions, standing still and a servo earn
PERCENTILES = ("p50", "p99", "p999", "max")  # of every float32[4] in the status messages

Row = dict[str, str]


def flatten(prefix: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """One status message as columns `prefix.field`.

    A `float32[4]` becomes `prefix.field.p50` and so on; a pair `<kind>_names`, `<kind>_values` (or `_counts`)
    becomes `prefix.kind.<name>`; the header is left out.
    """
    columns: dict[str, Any] = {}
    for field, value in fields.items():
        kind, _, part = field.rpartition("_")
        if field == "header" or part in ("values", "counts"):
            continue
        if part == "names":
            values = fields.get(f"{kind}_values", fields.get(f"{kind}_counts", ()))
            columns.update({f"{prefix}.{kind}.{name}": v for name, v in zip(value, values)})
        elif isinstance(value, (str, int, float)):
            columns[f"{prefix}.{field}"] = value
        else:
            columns.update({f"{prefix}.{field}.{name}": v for name, v in zip(PERCENTILES, value)})
    return columns


def number(row: Mapping[str, str], column: str, default: float = math.nan) -> float:
    """The value of a cell; `default` where it is empty, missing or no number."""
    try:
        return float(row.get(column) or default)
    except ValueError:
        return default


def read_rows(path: Path) -> list[Row]:
    """All complete rows of a table; none where there is no file. A last line cut short by a crash is left out."""
    try:
        with open(path, newline="") as file:
            text = file.read()
    except FileNotFoundError:
        return []
    lines = text[: text.rfind("\n") + 1].splitlines(keepends=True)
    return [row for row in csv.DictReader(lines) if None not in row and None not in row.values()]


def write_atomically(path: Path, text: str) -> None:
    """Either the old file or the new one, never half of one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text)
    os.replace(beside, path)


class Table:
    """A CSV file that is appended to. `rows` holds what an earlier process wrote into it, until the first `append`."""

    def __init__(self, path: Path, columns: Iterable[str] = ()):
        self.path = path
        self.rows = read_rows(path)
        self.columns = list(dict.fromkeys([*(self.rows[0] if self.rows else ()), *columns]))
        self._file = self._rewritten()  # a line that a crash cut short goes, new columns come

    def append(self, values: Mapping[str, Any]) -> Row:
        """Writes one row through to the file and returns it as it will be read back."""
        if not set(values) <= set(self.columns):
            self._file.close()
            self.rows = read_rows(self.path)
            self.columns = list(dict.fromkeys([*self.columns, *values]))
            self._file = self._rewritten()
        self.rows = []  # only the file keeps them
        row = {column: _cell(values.get(column)) for column in self.columns}
        csv.writer(self._file, lineterminator="\n").writerow(row.values())
        self._file.flush()
        return row

    def close(self) -> None:
        self._file.close()

    def _rewritten(self) -> TextIO:
        """The file with the present columns and rows, put in place in one step, open for more."""
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        file = open(beside, "w", newline="")
        writer = csv.DictWriter(file, self.columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        file.flush()
        os.replace(beside, self.path)
        return file


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
