"""Signals that ask a process to end, received in a separate thread.

A Python signal handler interrupts the main thread anywhere, perhaps while it holds the very lock that the handler
needs: `Event.set` inside `Event.wait` never returns, and the final writes never happen.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Sequence


def endings() -> list[signal.Signals]:
    """The signals by which a person or the system asks a process to end.

    SIGHUP is sent when a terminal closes or an ssh connection drops; under `nohup` it stays ignored.
    """
    hangs_up = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hangs_up else [])]


def on_signals(numbers: Sequence[int], call: Callable[[int], None]) -> None:
    """Calls `call(number)` for each of these signals from now on. Use from the main thread."""
    heard, said = socket.socketpair()
    said.setblocking(False)
    signal.set_wakeup_fd(said.detach())  # to which the interpreter writes the number of every signal that it handles
    for number in numbers:
        signal.signal(number, lambda *_: None)

    def listen() -> None:
        while number := heard.recv(1):
            if number[0] in numbers:
                call(number[0])

    threading.Thread(target=listen, name="signals", daemon=True).start()


def interrupt_on_endings() -> None:
    """Turns the first of these signals into a KeyboardInterrupt, like Ctrl-C.

    Further signals of a closing terminal must not interrupt the final writes; a second Ctrl-C may.
    """

    def interrupt(number, _) -> None:
        for other in endings():
            signal.signal(other, signal.default_int_handler if other == signal.SIGINT else signal.SIG_IGN)
        raise KeyboardInterrupt(number)

    for number in endings():
        signal.signal(number, interrupt)
