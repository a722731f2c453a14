"""The result of a check."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["green", "amber", "red"]


class Finding(NamedTuple):
    """red: a run will not work; amber: it will, but not as well as it could."""

    name: str
    level: Level
    said: str  # what was found, with figures
    cure: str = ""  # what to do; '' where green


def graded(name: str, said: str, cure: str, red: bool = False, amber: bool = False) -> Finding:
    """A finding whose level is that of the worse of two conditions."""
    level: Level = "red" if red else "amber" if amber else "green"
    return Finding(name, level, said, "" if level == "green" else cure)
