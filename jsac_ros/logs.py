"""The logs of the processes, `logs/NAME.log` in the run folder, for both starters.

Only the standard library: the launch file runs under the Python of `ros2 launch`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

AT_TERMINAL = ("reporter", "keyboard", "dashboard")  # their standard output is for the person at the terminal
MOST_BYTES = 16 << 20  # of a log before it is rotated


def append(folder: Path, name: str, data: bytes) -> None:
    """Appends to the log of the process `name`. On a full disk, or if the run folder is gone, the data is dropped."""
    with contextlib.suppress(OSError), open(folder / "logs" / f"{name}.log", "ab") as log:
        log.write(data)
        if log.tell() > MOST_BYTES:
            log.flush()
            rotate(folder)


def rotate(folder: Path) -> None:
    """Empties each log that has grown large; its previous content is kept beside it."""
    for log in (folder / "logs").glob("*.log"):
        with contextlib.suppress(OSError):
            if log.stat().st_size > MOST_BYTES:
                shutil.copyfile(log, log.with_suffix(".log.old"))
                os.truncate(log, 0)  # its process appends
