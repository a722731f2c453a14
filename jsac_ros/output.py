"""Standard output and error may be lost while a process runs: its terminal closes, the reader of a pipe exits, the
disk of a log is full. A robot must not stop because a line cannot be printed: the line is dropped."""

from __future__ import annotations

import errno
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_FOR_GOOD = (errno.EPIPE, errno.EIO)  # the reader or the terminal is gone; a full disk may have space again later
_PIECE = 1000  # characters, which a pipe takes at once that takes any
_PATIENCE_MS = 200  # a reader that has taken nothing for so long has paused


class Output:
    """A text stream whose `write` and `flush` raise no OSError."""

    _is_file = False
    awaits_reader = True  # waits for a reader that has paused (Ctrl-S, a pager), however long

    def __init__(self, stream):
        self._stream = stream
        self._reader = select.poll()
        self._has_paused = False
        with suppress(OSError):  # a stream in memory is no file
            self._reader.register(stream, select.POLLOUT)
            self._is_file = True

    def write(self, text: str) -> int:
        with self._losses():
            if self._waits():
                self._stream.write(text)
                return len(text)
            for begin in range(0, len(text), _PIECE):
                if not self._is_read():
                    break
                self._stream.write(text[begin : begin + _PIECE])
                self._stream.flush()
        return len(text)

    def flush(self) -> None:
        """What is written only while it is read has been flushed."""
        with self._losses():
            if self._waits():
                self._stream.flush()

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def _waits(self) -> bool:
        return self.awaits_reader or not self._is_file

    def _is_read(self) -> bool:
        self._has_paused = not self._reader.poll(0 if self._has_paused else _PATIENCE_MS)
        return not self._has_paused

    @contextmanager
    def _losses(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FOR_GOOD:  # so that buffered output does not fail at exit
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)


def drop_what_is_lost() -> None:
    """Call once for the whole process, when it starts."""
    sys.stdout, sys.stderr = (stream and Output(stream) for stream in (sys.stdout, sys.stderr))


def drop_what_is_not_read(is_ours: bool = False) -> None:
    """Makes printing non-blocking: output is dropped while its reader is paused (Ctrl-S, a pager).

    is_ours: no other process writes to the same pipe, so the pipe itself can be made non-blocking, also for output from C."""
    Output.awaits_reader = False
    for number in (1, 2) if is_ours else ():
        os.set_blocking(number, False)
