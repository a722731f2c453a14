"""Files that are replaced as a whole: nothing is lost before its replacement is complete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yields a path beside `path`, with its suffix, to write to: it takes the place of `path` unless the block fails."""
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Either the old file or the new one, never half of one."""
    with replaced(path) as beside:
        beside.write_text(text)
