"""Seconds since an event of a run, across restarts of a process and changes of the wall clock."""

from __future__ import annotations

import math
import time
from pathlib import Path

from jsac_ros.files import write_text

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def now_s() -> float:
    """Seconds since the boot, including the computer's sleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def mark(file: Path, moment_s: float) -> None:
    """Stores a time of `now_s` in a file. Raises OSError."""
    write_text(file, f"{BOOT_ID.read_text().strip()} {moment_s:.3f}\n")


def marked(file: Path) -> float | None:
    """The time stored in a file; None if the file is missing, damaged or from an earlier boot."""
    try:
        boot, moment = file.read_text().split()
        moment_s = float(moment)
    except (OSError, ValueError):
        return None
    is_past = math.isfinite(moment_s) and moment_s <= now_s()
    return moment_s if is_past and boot == BOOT_ID.read_text().strip() else None
