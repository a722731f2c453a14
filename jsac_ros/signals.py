"""Signals that ask a process to end, received in a thread of their own.

A handler of Python's runs within whatever the main thread does at that moment, perhaps while it holds the very lock that
the handler asks for: `Event.set` inside `Event.wait` never returns, and what was to be written at the end never is.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Sequence


def endings() -> list[signal.Signals]:
    """The signals by which a person or the system asks a process to end.

    SIGHUP comes when a terminal closes or an ssh connection drops; under `nohup` it stays ignored.
    """
    hangs_up = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hangs_up else [])]


def on_signals(numbers: Sequence[int], call: Callable[[int], None]) -> None:
    """Has `call(number)` called for each of these signals from now on. For the main thread."""
    heard, said = socket.socketpair()
    said.setblocking(False)
    signal.set_wakeup_fd(said.detach())  # where the interpreter writes the number of every signal that it handles
    for number in numbers:
        signal.signal(number, lambda *_: None)

    def listen() -> None:
        while number := heard.recv(1):
            if number[0] in numbers:
                call(number[0])

    threading.Thread(target=listen, name="signals", daemon=True).start()


def interrupt_on_endings() -> None:
    """Makes the first signal that asks to end a KeyboardInterrupt, as Ctrl-C is one.

    What a closing terminal sends after it must not interrupt what is written at the end; a second Ctrl-C may.
    """

    def interrupt(number, _) -> None:
        for other in endings():
            signal.signal(other, signal.default_int_handler if other == signal.SIGINT else signal.SIG_IGN)
        raise KeyboardInterrupt(number)

    for number in endings():
        signal.signal(number, interrupt)
