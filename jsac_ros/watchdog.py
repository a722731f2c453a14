"""Ends this process if one of its threads hangs, so that its starter restarts it.

Threads rearm a kernel timer while they work. When it expires, a signal handler in C writes the stacks of all threads to
standard error, and the process dies of the signal. Neither needs the interpreter, which may hang too.
"""

from __future__ import annotations

import faulthandler
import signal
import threading
import time

from jsac_ros.supervision import HANGS

START_S = 600.0  # to start: opening a large store, restoring a checkpoint
END_S = 120.0  # to end, once asked: longer than any starter waits


class Watchdog:
    """Watches each thread from its first `beat` until it rests or the process ends. limit_s: 0 watches none."""

    def __init__(self, limit_s: float):
        self._limit_s = limit_s
        self._due_s: dict[int, float] = {}  # thread -> when it must have called again
        self._lock = threading.Lock()
        if limit_s:
            faulthandler.register(HANGS, all_threads=True, chain=True)

    def beat(self, within_s: float | None = None) -> None:
        """Reports that the calling thread is alive; it must call again within `within_s` (default: the limit)."""
        if not self._limit_s:
            return
        due_s, thread = time.monotonic() + (within_s or self._limit_s), threading.get_ident()
        if abs(due_s - self._due_s.get(thread, 0.0)) > 0.1 * self._limit_s:  # not for every message
            with self._lock:
                self._due_s[thread] = due_s
                self._wind()

    def rest(self) -> None:
        """Stops watching the calling thread until its next `beat`: it is about to wait without a time limit."""
        with self._lock:
            if self._due_s.pop(threading.get_ident(), None) is not None:
                self._wind()

    def _wind(self) -> None:
        left_s = max(min(self._due_s.values()) - time.monotonic(), 1e-3) if self._due_s else 0.0  # 0 stops the timer
        signal.setitimer(signal.ITIMER_REAL, left_s)
