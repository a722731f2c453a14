"""The description of a checkpoint, `<step>/about/metadata`, read without JAX so that the starter can check it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsac_ros import documents
from jsac_ros.spaces import Spaces

FORMAT = 2
_ABOUT = "about/metadata"  # where Orbax puts a JSON item
_LARGEST_JSON = 1 << 22  # bytes


class CheckpointError(ValueError):
    """One line that names the checkpoint, what it holds and what was expected."""


def latest(folder: Path) -> int | None:
    """The step of the newest complete checkpoint; None if there is none."""
    return max((int(path.name) for path in folder.iterdir() if path.name.isdecimal()), default=None)


def check_newest(folder: Path, kind: str, spaces: Spaces) -> None:
    """Checks the newest checkpoint of a run's `checkpoints/`.

    Raises CheckpointError if there is none, or if this algorithm and rig cannot continue from it.
    """
    step = latest(folder)
    if step is None:
        raise CheckpointError(f"checkpoint {folder}: none there; expected at least one")
    try:
        about = documents.json_of(documents.read(folder / str(step) / _ABOUT, _LARGEST_JSON))
    except ValueError as error:
        raise CheckpointError(f"checkpoint {folder}/{step}: {_ABOUT} cannot be read: {error}") from None
    check(f"{folder}/{step}", about, kind, spaces)


def check(where: str, about: Any, kind: str, spaces: Spaces) -> None:
    """Raises CheckpointError if a checkpoint is damaged, or has another format, algorithm or parts. kind: `agent.type`."""
    if not isinstance(about, dict):
        raise CheckpointError(f"checkpoint {where}: about is damaged: {type(about).__name__}; expected names and values")
    refuse_others(where, {"format": about.get("format")}, {"format": FORMAT})
    try:
        found, parts = about["agent"]["type"], _parts(about["spaces"])
        if not (isinstance(about["arrays"], dict) and isinstance(about["counters"], dict)):
            raise TypeError("arrays or counters are not names and values")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"checkpoint {where}: about is damaged: {documents.one_line(error)}") from None
    refuse_others(where, {"agent.type": found}, {"agent.type": kind})
    refuse_others(where, parts, _parts(spaces.to_json()))


def refuse_others(where: str, found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raises CheckpointError for the first name whose values differ."""
    for name in [*expected, *found]:
        one, other = found.get(name, "missing"), expected.get(name, "no entry of this name")
        if one != other:
            raise CheckpointError(f"checkpoint {where}: {name} {documents.cut(str(one))}; expected {other}")


def _parts(spaces: dict[str, Any]) -> dict[str, str]:
    """The parts of an observation and an action -> their shapes."""
    named = Spaces.from_json(spaces)
    return {f"observation {name!r} is": str(list(part.shape)) for name, part in named.observation.items()} | {
        f"action {part.name!r} is": f"{list(part.shape)}, {part.choices} choices" for part in named.actions
    }
