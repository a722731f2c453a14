"""What limits the run, for the page: runs `jsac-ros why` periodically in a child process of low priority."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PERIOD_S = 60.0  # each time takes a second or two of CPU


class Adviser:
    """The advice for one run folder. Call `newest` about once a second while the page has viewers."""

    def __init__(self, folder: Path):
        self._command = ["nice", "-n", "19", sys.executable, "-m", "jsac_ros.report.child", "why", str(folder), "--json"]
        self._child: subprocess.Popen[bytes] | None = None
        self._due_s = 0.0

    def newest(self) -> list[dict[str, Any]] | None:
        """The advice, once per run of the child; None otherwise."""
        if self._child is None:
            if time.monotonic() >= self._due_s:
                self._due_s = time.monotonic() + PERIOD_S
                self._child = subprocess.Popen(
                    self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
            return None
        if self._child.poll() is None:
            return None
        child, self._child = self._child, None
        said = child.communicate()[0]  # some kilobytes, which fit into the pipe
        return json.loads(said) if child.returncode == 0 else None

    def close(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
