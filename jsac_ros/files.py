"""Atomic replacement of files: nothing is lost before its replacement is complete."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_full(error: OSError) -> bool:
    """Whether the same would succeed with more room on the disk."""
    return error.errno in _NO_ROOM


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, with its suffix; it replaces `path` unless the block fails."""
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a file such that there is either the old or the new content, never a part."""
    with replaced(path) as beside:
        beside.write_text(text)
