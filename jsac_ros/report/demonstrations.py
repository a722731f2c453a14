"""Which episodes of a run are demonstrations: successful ones that no person discarded."""

from __future__ import annotations

from pathlib import Path

from jsac_ros.control.ending import VERDICTS
from jsac_ros.report.tables import Row, number, read_rows


def is_demonstration(success: bool, reason: str) -> bool:
    """Whether an episode that ended like this is a demonstration."""
    return success and reason not in (VERDICTS["discard"], VERDICTS["failure"])


def identity(row: Row) -> tuple[int, int] | None:
    """Session and episode; None if the row is damaged."""
    try:
        return int(row["session"]), int(row["episode"])
    except (ValueError, KeyError):
        return None


def verdicts_of(folder: Path) -> dict[tuple[int, int], bool]:
    """(session, episode) of every reported episode in a run folder -> whether it is a demonstration."""
    rows = read_rows(folder / "episodes.csv")
    found = {identity(row): is_demonstration(number(row, "success", 0) > 0, row.get("reason", "")) for row in rows}
    return {named: shown for named, shown in found.items() if named}


def demonstrations_of(folder: Path) -> set[tuple[int, int]]:
    """(session, episode) of every demonstration in a run folder."""
    return {named for named, shown in verdicts_of(folder).items() if shown}


def demonstrations_left(folder: Path, wanted: int) -> int | None:
    """How many demonstrations are still to be recorded; None if none are wanted."""
    return max(wanted - len(demonstrations_of(folder)), 0) if wanted else None
