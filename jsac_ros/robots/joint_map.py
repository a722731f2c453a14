"""Joint states by name: their order is up to the driver and may change, and a message need not contain all joints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jsac_ros.robots.joint_sources import JointSources


class JointError(ValueError):
    """An unusable joint state; one line with the reason."""


class Joints(NamedTuple):
    position: np.ndarray  # rad or m [N]
    velocity: np.ndarray  # per s [N]
    oldest_ns: int  # time of the message with the oldest value in use
    lacks: tuple[str, ...] = ()  # joints that the newest message does not contain


class JointMap:
    """Merges joint states into one state of `names`, in their order.

    A message without any of our joints belongs to another device (a gripper's broadcaster on the same topic) and changes
    nothing. Messages with some of them are merged joint by joint; the result is as old as its oldest part.
    """

    def __init__(self, names: Sequence[str], prismatic: Sequence[bool] = ()):
        """prismatic: which of the joints are; empty: none."""
        self.names = tuple(names)
        n = len(self.names)
        self.sources = JointSources(self.names, prismatic)
        self._layout: tuple[str, ...] | None = None  # of the last message
        self._lacks: tuple[str, ...] = ()
        self._places: tuple[int, ...] = ()  # of the joints that are ours, in our order
        self._ours: np.ndarray = np.empty(0, np.intp)  # the same
        self._theirs: np.ndarray = np.empty(0, np.intp)  # and in its order
        self._position, self._velocity = np.full(n, np.nan), np.zeros(n)
        self._time_ns = np.zeros(n, np.int64)
        self.missing = self.names  # in no message so far
        self._unmeasured = np.zeros(n, bool)

    def __call__(
        self,
        names: Sequence[str],
        positions: Sequence[float],
        velocities: Sequence[float],
        time_ns: int,
        number: int | None = None,
    ) -> Joints | None:
        """`time_ns`: when it was measured, on any one clock; `number`: its publisher's message count, if known.

        Returns None if it contains none of our joints, or if some have never been received. A velocity that is missing or
        NaN is derived from the change of position since the previous message. Raises JointError if lengths differ.
        """
        if tuple(names) != self._layout:
            self._find(tuple(names))
        ours, theirs = self._ours, self._theirs
        if not self._places:
            return None
        if len(positions) != len(names) or len(velocities) not in (0, len(names)):
            raise JointError(f"joint state has {len(names)} names, {len(positions)} positions, {len(velocities)} velocities")
        q = np.asarray(positions, np.float64)[theirs]
        measured = np.asarray(velocities, np.float64)[theirs] if len(velocities) else np.full(len(ours), np.nan)
        self.sources.take(self._places, q.tolist(), measured.tolist(), time_ns, number)
        unmeasured = self._unmeasured[ours] = np.isnan(measured)
        if unmeasured.any():
            measured = np.where(unmeasured, self._derived(ours, q, time_ns), measured)
        self._position[ours], self._velocity[ours], self._time_ns[ours] = q, measured, time_ns
        if self.missing:
            self.missing = tuple(name for name in self.missing if name not in names)
            if self.missing:
                return None
        return Joints(self._position.copy(), self._velocity.copy(), int(self._time_ns.min()), self._lacks)

    @property
    def lacking(self) -> str:
        """The joints that have not been received yet, in one line; "" if there are none."""
        if not self.missing:
            return ""
        newest = ", ".join(self._layout or ()) or "none"
        return f"not received yet: {', '.join(self.missing)}; the newest message contains {newest}"

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Joints whose velocities are derived from their positions."""
        return tuple(name for name, derived in zip(self.names, self._unmeasured) if derived)

    def _derived(self, ours: np.ndarray, q: np.ndarray, time_ns: int) -> np.ndarray:
        """Per s, from the previous positions; the previous result if no time has passed, 0 at the first message."""
        passed_s = (time_ns - self._time_ns[ours]) * 1e-9
        known = (passed_s > 0) & np.isfinite(self._position[ours])  # NaN until the first message
        change = np.divide(q - self._position[ours], passed_s, out=self._velocity[ours], where=known)
        return np.where(np.isfinite(change), change, 0.0)

    def _find(self, names: tuple[str, ...]) -> None:
        place = {name: i for i, name in enumerate(names)}
        found = [(ours, place[name]) for ours, name in enumerate(self.names) if name in place]
        self._places = tuple(ours for ours, _ in found)
        self._ours = np.array(self._places, np.intp)
        self._theirs = np.array([theirs for _, theirs in found], np.intp)
        self._lacks = tuple(name for name in self.names if name not in place)
        self._layout = names
