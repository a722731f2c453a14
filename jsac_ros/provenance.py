"""How a run was made: command, version and machine, written into its folder when it starts."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jsac_ros import documents
from jsac_ros.files import write_text

FILE = "provenance.json"  # in a run folder
_NVIDIA = Path("/proc/driver/nvidia/gpus")


def write(folder: Path) -> None:
    """Raises OSError if it cannot be written."""
    write_text(folder / FILE, json.dumps(here(), indent=1) + "\n")


def read(folder: Path) -> dict[str, str]:
    """{} if the run wrote none, or an unreadable one."""
    try:
        found: Any = documents.json_of(documents.read(folder / FILE, documents.JSON_BYTES))
    except ValueError:
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}


def here() -> dict[str, str]:
    """Of this process and this computer. Starts no process and uses no accelerator."""
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "version": installed(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB",
        "gpu": ", ".join(_gpus()) or "none",
    }


def installed() -> str:
    """The version of this package."""
    try:
        return version("jsac_ros")
    except PackageNotFoundError:
        return "not installed"


def _field(path: Path, name: str) -> str:
    """The value in a file with lines `name : value`; "" if there is none."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), "")


def _processor() -> str:
    return _field(Path("/proc/cpuinfo"), "model name") or platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)


def _gpus() -> list[str]:
    return [name for file in sorted(_NVIDIA.glob("*/information")) if (name := _field(file, "Model"))]
