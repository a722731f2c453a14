"""Memory and CPU of the processes of a run, from /proc."""

from __future__ import annotations

import os
import time
from pathlib import Path

from jsac_ros import documents

FILE = "processes.json"  # name -> pid, written by the starter
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Processes:
    """Samples every process of a run folder; `sample` is called about once a second."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._cpu: dict[int, tuple[float, float]] = {}  # pid -> (when, CPU seconds)

    def pids(self) -> dict[str, int]:
        try:
            found = documents.json_of(documents.read(self._folder / FILE, documents.JSON_BYTES))
            return {name: pid for name, pid in found.items() if isinstance(pid, int)}
        except (ValueError, AttributeError):  # none yet, or damaged
            return {}

    def alive(self) -> set[str]:
        """Names of the processes that have not exited."""
        return {name for name, pid in self.pids().items() if _cpu_seconds(pid) is not None}

    def sample(self) -> dict[str, float]:
        """Columns `process.<name>.rss_mb`, `.peak_rss_mb` (MB = 1e6 bytes) and `.cpu` (share of one core)."""
        columns: dict[str, float] = {}
        for name, pid in self.pids().items():
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue  # it has exited and is not restarted yet
            for field, column in (("VmRSS", "rss_mb"), ("VmHWM", "peak_rss_mb")):
                _, found, rest = status.partition(f"\n{field}:")
                if found:  # a process that has just exited has none
                    columns[f"process.{name}.{column}"] = int(rest.split(None, 1)[0]) * 1024 / 1e6
            share = self._cpu_share(pid)
            if share is not None:
                columns[f"process.{name}.cpu"] = share
        return columns

    def _cpu_share(self, pid: int) -> float | None:
        now, used = time.monotonic(), _cpu_seconds(pid)
        before = self._cpu.get(pid)
        if used is None:
            self._cpu.pop(pid, None)
            return None
        self._cpu[pid] = (now, used)
        return (used - before[1]) / (now - before[0]) if before and now > before[0] else None


def _cpu_seconds(pid: int) -> float | None:
    """User and system time; None if the process has exited (or is a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
