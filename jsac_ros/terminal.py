"""Passes on the keys pressed in the terminal of a run, one by one."""

from __future__ import annotations

import os
import sys
import termios
import threading
import tty
from collections.abc import Callable
from contextlib import suppress

HELP = "keys: space emergency stop   p pause   r resume   e evaluate   s success   f failure   q end   ? these keys"


class Terminal:
    """Reads standard input key by key if it is our terminal; Ctrl-C keeps its function."""

    def __init__(self, pressed: Callable[[str], None]):
        """pressed: called in a thread with each key."""
        self._pressed = pressed
        self._before: list | None = None

    def __enter__(self) -> Terminal:
        if not is_ours():
            return self
        self._before = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin)
        threading.Thread(target=self._read, name="keys", daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        if self._before is not None:
            with suppress(termios.error, OSError):  # the terminal was closed
                termios.tcsetattr(sys.stdin, termios.TCSANOW, self._before)

    def _read(self) -> None:
        with suppress(OSError):
            while data := os.read(sys.stdin.fileno(), 64):
                for key in data.decode(errors="replace"):
                    self._pressed(key)


def is_ours() -> bool:
    """Whether standard input is a terminal in whose foreground we are: reading from another would stop this process."""
    try:
        return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False
