"""ROS domains for tests: each belongs to one test process on this host until that process ends.

Two test runs side by side, or one that was interrupted, would otherwise meet each other's nodes and claims.
"""

import fcntl
import itertools
import os
import tempfile
from pathlib import Path

_FIRST, _LAST = 20, 99  # below 102 the ports of a domain are outside the system's ephemeral range
_held = []  # locks, which the process's end releases
_order = itertools.count(os.getpid())


def take() -> int:
    """A domain that no living test process has taken before."""
    folder = Path(tempfile.gettempdir()) / f"jsac_test_domains_{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for k in itertools.islice(_order, _LAST - _FIRST + 1):
        domain = _FIRST + k % (_LAST - _FIRST + 1)
        lock = (folder / str(domain)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _held.append(lock)
        return domain
    raise RuntimeError(f"every ROS domain from {_FIRST} to {_LAST} is taken by a test")
