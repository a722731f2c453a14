"""Signals that ask a process to end, heard in a thread of their own.

A handler of Python's runs within whatever the main thread does at that moment, perhaps while it holds the very lock that
the handler asks for: `Event.set` inside `Event.wait` waits for ever, and what was to be written at the end never is.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Sequence


def on_signals(numbers: Sequence[int], call: Callable[[], None]) -> None:
    """Has `call` called for each of these signals from now on. For the main thread."""
    heard, said = socket.socketpair()
    said.setblocking(False)
    signal.set_wakeup_fd(said.detach())  # where the interpreter writes the number of every signal that it handles
    for number in numbers:
        signal.signal(number, lambda *_: None)

    def listen() -> None:
        while number := heard.recv(1):
            if number[0] in numbers:
                call()

    threading.Thread(target=listen, name="signals", daemon=True).start()
