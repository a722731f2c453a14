"""What follows the exit of a process: the supervision of both starters, `jsac-ros run` and the launch file.

Pure, and only the standard library: the launch file runs under the Python of `ros2 launch`.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

RESTART_DELAY_S = 1.0
NO_ROOM_DELAY_S = 10.0
RESTART_WINDOW_S = 600.0  # in which each process may restart `run.max_restarts` times
WRONG_CONFIGURATION = 2  # exit status after which another start would end the same way
NO_ROOM = 75  # exit status (EX_TEMPFAIL) of a process that cannot start because its disk, or /dev/shm, is full
# The starter asks a process to end with this signal, and the process exits with status 0. If any other terminating
# signal arrives, from a person or a process manager, the process dies of it, which counts as a crash.
STOP = signal.SIGUSR1
HANGS = signal.SIGALRM  # of which a process dies that hangs, see `watchdog`
_ASKS_TO_END = (STOP, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Process:
    """One process of the system."""

    name: str
    restart: bool = True  # restart it if it exits unasked, a limited number of times
    nice: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    restart_environment: dict[str, str] = field(default_factory=dict)  # additional parameters for a restart
    ends_system: bool = False  # when it exits with status 0, the run is complete
    is_optional: bool = False  # if it cannot run, the run continues without it
    grace_s: float = 0.0  # and ends this much later
    stop_timeout_s: float = 10.0
    module: str = ""  # empty: of that name in jsac_ros.nodes

    def __post_init__(self):
        object.__setattr__(self, "module", self.module or f"jsac_ros.nodes.{self.name}")


class Restart(NamedTuple):
    """Start the process again."""

    delay_s: float
    line: str  # for the user


class GiveUp(NamedTuple):
    """Continue without the process."""

    line: str  # for the user


class End(NamedTuple):
    """End the system. `failure`: what went wrong, in one line; "" if the run is complete."""

    delay_s: float
    failure: str


class Supervision:
    """Decides what to do after every start and every exit of a process. Times are of one steady clock, in s."""

    def __init__(self, processes: Iterable[Process], max_restarts: int):
        self._processes = {process.name: process for process in processes}
        self._max_restarts = max_restarts
        self._starts: dict[str, deque[float]] = {name: deque() for name in self._processes}
        self._restarts = dict.fromkeys(self._processes, 0)
        self._stopping = False

    def environment(self, name: str) -> dict[str, str]:
        """Of the next start of a process."""
        process = self._processes[name]
        return process.environment | (process.restart_environment if self._starts[name] else {})

    def started(self, name: str, now_s: float) -> None:
        self._starts[name].append(now_s)

    def stopping(self) -> None:
        """From now on the system ends, and every process is asked to end."""
        self._stopping = True

    def ended(self, name: str, status: int, now_s: float) -> Restart | GiveUp | End | None:
        """Handles the exit of a process; `status` as in subprocess: negative for a signal. None: nothing follows."""
        decision = self._required(self._processes[name], status, now_s)
        if isinstance(decision, End) and decision.failure and self._processes[name].is_optional:
            return GiveUp(f"{decision.failure}; the run continues without it")
        return decision

    def _required(self, process: Process, status: int, now_s: float) -> Restart | End | None:
        """What follows if the run needs the process."""
        name = process.name
        if self._stopping:
            asked = status == 0 or -status in _ASKS_TO_END  # also by the signal itself, if it was not ready to handle it
            return None if asked else End(0.0, f"{name} was asked to end: {how(status)}")
        if status == 0 and process.ends_system:
            return End(process.grace_s, "")
        starts = self._starts[name]
        if (
            status == NO_ROOM and process.restart and self._restarts[name]
        ):  # it has run before: the disk, or /dev/shm, has filled up since
            starts.pop()  # however often it is tried
            return Restart(
                NO_ROOM_DELAY_S, f"{name} needs room on the disk or in /dev/shm; starting it again in {NO_ROOM_DELAY_S:g} s"
            )
        while starts and now_s - starts[0] > RESTART_WINDOW_S:
            starts.popleft()
        if status in (WRONG_CONFIGURATION, NO_ROOM) or not process.restart or len(starts) > self._max_restarts:
            return End(0.0, f"{name}: {how(status)}")
        self._restarts[name] += 1
        return Restart(RESTART_DELAY_S, f"{name} died ({how(status)}); starting it again ({self._restarts[name]})")


def how(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exit status {status}"
    if -status == HANGS:
        return "it hung; the stacks of its threads are in its log"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal
        return f"signal {-status}"
