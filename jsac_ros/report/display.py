"""Shows the progress on standard output: redrawn in place on a terminal, otherwise a line every LINE_PERIOD_S."""

from __future__ import annotations

import sys
import time

from jsac_ros.report.progress import Progress, line, panel

LINE_PERIOD_S = 10.0


class Display:
    def __init__(self):
        self._live = None
        self._due_s = 0.0
        if sys.stdout.isatty():
            from rich.live import Live

            self._live = Live(auto_refresh=False)  # drawn on request, not by a thread of rich
            self._live.start()

    def show(self, progress: Progress) -> None:
        """Call whenever there is something new, about once a second."""
        if self._live is not None:
            self._live.update(panel(progress), refresh=True)
        elif time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + LINE_PERIOD_S
            print(line(progress), flush=True)

    def close(self, last_words: str) -> None:
        """Leaves the last state on the terminal and prints the final line."""
        if self._live is not None:
            self._live.stop()
        print(last_words, flush=True)
