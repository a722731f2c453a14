"""The folders that ship with the package, and finding a shipped configuration by its bare name: `ur5_reacher_demo`."""

from __future__ import annotations

import os
from pathlib import Path

from jsac_ros.documents import did_you_mean


def folder(name: str = "config") -> Path | None:
    """`config/` or `msg/` of the source tree, of the wheel (setup.py) or of the ROS package; None if there is none."""
    package = Path(__file__).parent
    source = [package.parent] if (package.parent / "package.xml").is_file() else []
    prefixes = [Path(prefix) / "share/jsac_ros" for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(":") if prefix]
    return next((path / name for path in (*source, package / "share", *prefixes) if (path / name).is_dir()), None)


def names() -> list[str]:
    """Bare names of the shipped configurations, sorted."""
    where = folder()
    return sorted(file.stem for file in where.glob("*.yaml")) if where else []


def path_of(word: str) -> str:
    """The path of a shipped configuration for its bare name; any other word unchanged."""
    return str(folder() / f"{word}.yaml") if word in names() else word


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
