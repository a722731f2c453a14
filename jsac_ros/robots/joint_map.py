"""Joint states by name: the order in a JointState message is the driver's own and may change while it runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class JointError(ValueError):
    """A joint state that cannot be used; one line that says why."""


class JointMap:
    """Puts the arrays of a joint state into the order of `names`; others in the message are left out."""

    def __init__(self, names: Sequence[str]):
        self.names = tuple(names)
        self._seen: tuple[str, ...] | None = None
        self._index = np.empty(0, np.intp)

    def __call__(
        self, names: Sequence[str], positions: Sequence[float], velocities: Sequence[float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """-> q rad [N], qd rad/s [N], float64. A driver that measures no speed sends none: qd is then 0.

        Raises JointError where a joint is missing or the lengths do not agree.
        """
        if tuple(names) != self._seen:
            self._index = self._find(names)
            self._seen = tuple(names)
        if len(positions) != len(names) or len(velocities) not in (0, len(names)):
            raise JointError(
                f"joint state has {len(names)} names, {len(positions)} positions, {len(velocities)} velocities"
            )
        q = np.asarray(positions, np.float64)[self._index]
        if len(velocities) == 0:
            return q, np.zeros_like(q)
        return q, np.asarray(velocities, np.float64)[self._index]

    def _find(self, names: Sequence[str]) -> np.ndarray:
        place = {name: i for i, name in enumerate(names)}
        missing = [name for name in self.names if name not in place]
        if missing:
            raise JointError(f"joint state lacks {', '.join(missing)}; it has {', '.join(names) or 'no joints'}")
        return np.array([place[name] for name in self.names], np.intp)
