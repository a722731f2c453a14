"""The progress of a training: a bar on a terminal or in a notebook, a plain line every ten seconds elsewhere."""

from __future__ import annotations

import math
import time

LINE_PERIOD_S = 10.0


class ProgressBar:
    """Steps done, their rate, the remaining time, and the mean return of the last ten episodes."""

    def __init__(self, title: str, begin: int, total: int, shown: bool = True):
        """begin: steps done before. shown: if False, nothing is written."""
        self._title, self._begin, self._total, self._shown = title, begin, total, shown
        self._began_s = time.monotonic()
        self._due_s = self._began_s + LINE_PERIOD_S
        self._bar = None
        if shown:
            self._start()

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console()
        if not (console.is_terminal or console.is_jupyter):
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[words]}"))
        self._bar = Progress(*columns, TimeElapsedColumn(), console=console)
        self._task = self._bar.add_task(self._title, total=self._total, completed=self._begin, words="")
        self._bar.start()

    def show(self, done: int, last_ten: float) -> None:
        """Cheap enough for every step. last_ten: NaN if no episode has ended."""
        if not self._shown:
            return
        if self._bar is not None:
            self._bar.update(self._task, completed=done, words=self._words(done, last_ten))
        elif time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + LINE_PERIOD_S
            print(f"{self._title} {done:,}/{self._total:,} steps  {self._words(done, last_ten)}", flush=True)

    def say(self, line: str) -> None:
        """Prints a permanent line above the bar."""
        if self._bar is not None:
            self._bar.console.print(line, highlight=False)
        elif self._shown:
            print(line, flush=True)

    def _words(self, done: int, last_ten: float) -> str:
        passed_s = time.monotonic() - self._began_s
        rate = (done - self._begin) / passed_s if passed_s > 0 else 0.0
        left = f", {clock((self._total - done) / rate)} left" if rate > 0 else ""
        mean = "" if math.isnan(last_ten) else f", mean of last 10: {last_ten:.1f}"
        return f"{rate:,.0f} steps/s{left}{mean}"

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def clock(seconds: float) -> str:
    minutes, seconds = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
