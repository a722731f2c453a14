"""Removes the shared memory that Fast DDS leaves behind when a process is killed (as `fastdds shm clean` does).

Every segment `fastrtps_<id>` and port `fastrtps_port<n>` has a lock file (`_el` exclusive, `_sl` shared) on which its
living owners hold an flock. The kernel releases the lock with the process; the segments, up to 33 MB each, stay. A port whose
reader was killed is still mapped by all its writers, and the restarted reader opens the same file. If the file were removed in
between, writers and reader would have different memory and no message would arrive. So mapped files are kept.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from pathlib import Path

_NAME = re.compile(r"(?:sem\.)?(fastrtps_(?:[0-9a-f]{16}|port\d{1,5}))(?:_el|_sl|_mutex)?")
_YOUNG_S = 10.0  # a file is created a moment before it is locked, so younger files are kept


def remove_leftovers(folder: Path = Path("/dev/shm")) -> list[str]:
    """Unlinks this user's segments and ports that no living process owns; returns their names."""
    groups: dict[str, list[Path]] = {}
    for file in folder.iterdir():
        if match := _NAME.fullmatch(file.name):
            groups.setdefault(match[1], []).append(file)
    mapped = _mapped()
    dead = sorted(name for name, files in groups.items() if name not in mapped and all(map(_is_dead, files)))
    for name in dead:
        for file in groups[name]:
            file.unlink(missing_ok=True)
    return dead


def _mapped() -> set[str]:
    """Segments and ports mapped by any process whose memory map can be read."""
    found: set[str] = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            found.update(match[1] for match in _NAME.finditer(maps.read_text(errors="replace")))
        except OSError:  # it has exited, or belongs to another user
            continue
    return found


def _is_dead(file: Path) -> bool:
    """Whether the file is this user's, not young, and not locked by a process."""
    try:
        state = file.stat()
        if state.st_uid != os.getuid() or time.time() - state.st_ctime < _YOUNG_S:
            return False
        if not file.name.endswith(("_el", "_sl")):
            return True
        with open(file, "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except FileNotFoundError:
        return True
    except OSError:  # locked, or not readable for this user
        return False
