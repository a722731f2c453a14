"""The data of a run for all viewers: parts that are replaced as a whole, lists that grow, and images.

ROS callbacks write; each viewer's task reads at the pace of its connection. Nothing waits for a viewer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

MOST = {"episodes": 20_000, "events": 5000, "ticks": 1500}  # maximum length of each list; older entries are dropped


class Picture(NamedTuple):
    """The newest image of a name."""

    version: int
    coded: bytes  # JPEG, or PNG for an overlay


class Hub:
    """Thread-safe."""

    def __init__(self, viewer_came: Callable[[], None] = lambda: None) -> None:
        """viewer_came: called in the viewer's thread, before anything is sent to it."""
        self._viewer_came = viewer_came
        self._lock = threading.Lock()
        self._parts: dict[str, tuple[int, Any]] = {}  # name -> version, JSON value
        self._lists: dict[str, list[Any]] = {name: [] for name in MOST}
        self._dropped = dict.fromkeys(MOST, 0)
        self._images: dict[str, Picture] = {}
        self._wanted: dict[Reader, list[str]] = {}  # viewer -> names of images
        self._version = 0

    # -- writers ---------------------------------------------------------------------------------------------------

    def set(self, part: str, value: Any) -> None:
        """Replaces a part, if it has changed."""
        with self._lock:
            if self._parts.get(part, (0, None))[1] != value:
                self._version += 1
                self._parts[part] = (self._version, value)

    def append(self, name: str, *new: Any) -> None:
        """Appends to one of the lists."""
        with self._lock:
            values = self._lists[name]
            values += new
            if (over := len(values) - MOST[name]) > 0:
                del values[:over]
                self._dropped[name] += over

    def set_image(self, name: str, coded: bytes) -> None:
        with self._lock:
            before = self._images.get(name)
            self._images[name] = Picture(before.version + 1 if before else 1, coded)

    # -- viewers ---------------------------------------------------------------------------------------------------

    @property
    def viewers(self) -> int:
        return len(self._wanted)

    def wanted(self) -> set[str]:
        """Names of the images that viewers have requested."""
        with self._lock:
            return {name for names in self._wanted.values() for name in names}

    def image(self, name: str) -> Picture | None:
        with self._lock:
            return self._images.get(name)


class Reader:
    """One viewer: what it has received and which images it requests. It counts as a viewer inside a `with` statement."""

    def __init__(self, hub: Hub):
        self._hub = hub
        self._seen: dict[str, int] = {}
        self._places = dict.fromkeys(MOST, 0)

    def __enter__(self) -> Reader:
        self.want([])
        self._hub._viewer_came()
        return self

    def __exit__(self, *_) -> None:
        with self._hub._lock:
            del self._hub._wanted[self]

    def want(self, images: list[str]) -> None:
        """images: names of the images to request."""
        with self._hub._lock:
            self._hub._wanted[self] = images

    def changes(self) -> dict[str, Any]:
        """Changed parts and new list entries since the last call; {} if there are none."""
        hub = self._hub
        with hub._lock:
            changed = {name: value for name, (version, value) in hub._parts.items() if self._seen.get(name) != version}
            self._seen |= {name: version for name, (version, _) in hub._parts.items()}
            for name, values in hub._lists.items():
                first = max(self._places[name] - hub._dropped[name], 0)
                if first < len(values):
                    changed[name] = values[first:]
                self._places[name] = hub._dropped[name] + len(values)
        return changed
