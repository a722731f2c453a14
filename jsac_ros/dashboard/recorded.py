"""Episodes from the run's replay store, for the timeline."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from jsac_ros.replay.episodes import Episodes, Key, to_jpeg
from jsac_ros.replay.format import StoreError


class Recorded:
    """Thread-safe. A call takes as long as reading the episode."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._lock = threading.Lock()
        self._episodes: Episodes | None = None

    def episode(self, key: Key) -> dict[str, Any] | None:
        """Steps, rewards and actions of an episode as JSON values; None if it is not in the store (any more)."""
        with self._lock:
            rows = self._rows(key)
            if rows is None:
                return None
            spaces = self._episodes.spaces
        acted = rows[:-1]
        return {
            "steps": len(acted),
            "reward": acted["reward"].tolist(),
            "success": rows["success"].tolist(),
            "intervened": acted["intervened"].tolist(),
            "action": {part.name: acted[f"action/{part.name}"].round(3).tolist() for part in spaces.actions},
            "policy_version": acted["policy_version"].tolist(),
            "images": {image.name: list(image.frame_shape) for image in spaces.images},
        }

    def sheet(self, key: Key, image: str) -> tuple[bytes, int, int] | None:
        """The frames of an image as one JPEG, its number of columns, the number of frames; None if there are none."""
        with self._lock:
            drawn = None if self._rows(key) is None else self._episodes.sheet(key, image)
        return drawn and (to_jpeg(drawn.image), drawn.columns, drawn.count)

    def _rows(self, key: Key):
        if self._episodes is None:
            try:
                self._episodes = Episodes(self._folder)
            except (StoreError, OSError):  # there is no store yet
                return None
        rows = self._episodes.rows(key)
        return rows if len(rows) else None
