"""Standard output and error may be lost while a process runs: its terminal closes, the reader of a pipe exits, the
disk of a log is full. A robot must not stop because a line cannot be printed: the line is dropped."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_FOR_GOOD = (errno.EPIPE, errno.EIO)  # the reader or the terminal is gone; a full disk may have space again later


class Output:
    """A text stream whose `write` and `flush` raise no OSError."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text: str) -> int:
        with self._losses():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._losses():
            self._stream.flush()

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

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
