"""What is known of a run, for every viewer at once: parts that are replaced as a whole, lists that grow, images.

ROS callbacks write, each viewer's task reads at a pace of its connection: nothing waits for a viewer.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

MOST_EVENTS = 5000  # of a timeline; older ones are dropped
MOST_EPISODES = 20_000


class Picture(NamedTuple):
    """The newest image of a camera."""

    version: int
    jpeg: bytes


class Hub:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: dict[str, tuple[int, Any]] = {}  # name -> version, JSON value
        self._lists: dict[str, list[Any]] = {"episodes": [], "events": []}
        self._dropped = {"episodes": 0, "events": 0}
        self._images: dict[str, Picture] = {}
        self._viewers = 0
        self._version = 0

    # -- writers ---------------------------------------------------------------------------------------------------

    def set(self, part: str, value: Any) -> None:
        """Replaces a part, where it has changed."""
        with self._lock:
            if self._parts.get(part, (0, None))[1] != value:
                self._version += 1
                self._parts[part] = (self._version, value)

    def append(self, name: str, value: Any) -> None:
        """To `episodes` or `events`."""
        limit = MOST_EVENTS if name == "events" else MOST_EPISODES
        with self._lock:
            values = self._lists[name]
            values.append(value)
            if len(values) > limit:
                del values[0]
                self._dropped[name] += 1

    def set_image(self, camera: str, jpeg: bytes) -> None:
        with self._lock:
            before = self._images.get(camera)
            self._images[camera] = Picture(before.version + 1 if before else 1, jpeg)

    # -- viewers ---------------------------------------------------------------------------------------------------

    @property
    def viewers(self) -> int:
        return self._viewers

    def enter(self) -> None:
        with self._lock:
            self._viewers += 1

    def leave(self) -> None:
        with self._lock:
            self._viewers -= 1

    def image(self, camera: str) -> Picture | None:
        with self._lock:
            return self._images.get(camera)


class Reader:
    """What one viewer has been told."""

    def __init__(self, hub: Hub):
        self._hub = hub
        self._seen: dict[str, int] = {}
        self._places = {"episodes": 0, "events": 0}

    def changes(self) -> dict[str, Any]:
        """Parts that have changed and what has been appended since the last call; {} for nothing."""
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
