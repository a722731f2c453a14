"""The configurations that ship with the package, and finding one by its bare name: `ur5_reacher_demo`."""

from __future__ import annotations

import os
from pathlib import Path

from jsac_ros.documents import did_you_mean


def folder() -> Path | None:
    """`config/` of the source tree or of the installed package; None if there is neither."""
    beside = Path(__file__).parents[1] / "config"
    prefixes = [Path(p) / "share/jsac_ros/config" for p in os.environ.get("AMENT_PREFIX_PATH", "").split(":") if p]
    return next((path for path in (beside, *prefixes) if path.is_dir()), None)


def names() -> list[str]:
    """Bare names of the shipped configurations, sorted."""
    where = folder()
    return sorted(file.stem for file in where.glob("*.yaml")) if where else []


def find(config: str | Path) -> Path:
    """The file for a path, or for the bare name of a shipped configuration; an existing file takes precedence.

    Raises ValueError if a bare name is neither.
    """
    path = Path(config)
    if path.is_file() or len(path.parts) != 1:
        return path
    known, name = names(), path.name.removesuffix(".yaml")
    if name in known:
        return folder() / f"{name}.yaml"
    shipped = f" or one of {', '.join(known)}" if known else ""
    raise ValueError(f"no such file{did_you_mean(name, known)}; expected a file{shipped}")
