"""The fixed-rate loop: absolute deadlines, late ticks counted and skipped, never bunched.

A deadline is computed from the start and the tick's number, so the lateness of one tick never shifts the next one.
"""

from __future__ import annotations

import threading
import time
from typing import NamedTuple, Protocol


class Tick(NamedTuple):
    number: int  # k; tick k is due at t0 + k dt
    due_ns: int  # on the loop's clock
    begun_ns: int
    missed: int  # ticks skipped since the previous one, because they were late by a period or more


class Clock(Protocol):
    def now_ns(self) -> int:
        """On the loop's own clock."""

    def ros_now_ns(self) -> int:
        """ROS time, used for stamps of messages."""

    def sleep_until(self, due_ns: int, stop: threading.Event) -> None:
        """Returns at `due_ns`, or earlier when `stop` is set (a sleep of one period need not be interrupted)."""


class SteadyClock:
    """CLOCK_MONOTONIC. `time.sleep` is clock_nanosleep with an absolute deadline since Python 3.11; calling
    clock_nanosleep through ctypes was no better when measured (p50 0.1 ms, SCHED_FIFO 0.05 ms, either way)."""

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def ros_now_ns(self) -> int:
        return time.time_ns()

    def sleep_until(self, due_ns: int, stop: threading.Event) -> None:
        left = due_ns - time.monotonic_ns()
        if left > 0:
            time.sleep(left * 1e-9)


class ReceivedClock:
    """Time from another node (`/clock`, when a bag is replayed): `set` it, and sleeping threads wake when they are due."""

    def __init__(self):
        self._now_ns = 0
        self._changed = threading.Condition()

    def set(self, now_ns: int) -> None:
        with self._changed:
            self._now_ns = now_ns
            self._changed.notify_all()

    def now_ns(self) -> int:
        """0 until the first `set`."""
        return self._now_ns

    ros_now_ns = now_ns

    def sleep_until(self, due_ns: int, stop: threading.Event) -> None:
        with self._changed:
            before = self._now_ns
            while before <= self._now_ns < due_ns and not stop.is_set():
                self._changed.wait(timeout=0.1)  # so that `stop` is noticed while the clock stands still


class FixedRate:
    """Call `wait()` in a loop in a separate thread, not in an executor. Tick 0 is due when `wait` is first called.

    It ends when `stop`, the caller's event or an internal one, is set.
    """

    def __init__(self, period_s: float, clock: Clock | None = None, stop: threading.Event | None = None):
        if not period_s > 0:
            raise ValueError(f"period_s is {period_s}; expected more than 0")
        self.period_ns = round(period_s * 1e9)
        self.missed = 0  # since the start
        self._clock = clock or SteadyClock()
        self._stop = stop or threading.Event()
        self._t0_ns: int | None = None
        self._next = 0
        self._begun_ns = 0

    def stop(self) -> None:
        """Callable from any thread: the next `wait` returns None."""
        self._stop.set()

    def wait(self) -> Tick | None:
        """Sleeps until the next tick is due; None after `stop`."""
        if self._t0_ns is None:
            self._t0_ns = self._clock.now_ns()
        due_ns = self._t0_ns + self._next * self.period_ns
        self._clock.sleep_until(due_ns, self._stop)
        begun_ns = self._clock.now_ns()
        if self._stop.is_set():
            return None
        if begun_ns < self._begun_ns:  # the clock was set back (a bag restarts): continue counting from here
            self._t0_ns = due_ns = begun_ns - self._next * self.period_ns
            due_ns = begun_ns
        missed = max(begun_ns - due_ns, 0) // self.period_ns
        number = self._next + missed
        self.missed += missed
        self._next = number + 1
        self._begun_ns = begun_ns
        return Tick(number, due_ns + missed * self.period_ns, begun_ns, missed)
