"""Joint states by name: their order is the driver's own, may change while it runs, and one message need not hold them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jsac_ros.robots.joint_sources import JointSources


class JointError(ValueError):
    """A joint state that cannot be used; one line that says why."""


class Joints(NamedTuple):
    position: np.ndarray  # rad [N]
    velocity: np.ndarray  # rad/s [N]
    oldest_ns: int  # time of the message that held the joint whose value is oldest
    lacks: tuple[str, ...] = ()  # joints that the newest message does not hold


class JointMap:
    """Merges joint states into one of `names`, in their order.

    A message that holds none of our joints is another device's (a gripper's broadcaster on the same topic) and changes
    nothing. Messages that hold some are merged joint by joint; the whole is as old as its oldest part.
    """

    def __init__(self, names: Sequence[str]):
        self.names = tuple(names)
        n = len(self.names)
        self.sources = JointSources(self.names)
        self._layout: tuple[str, ...] | None = None  # of the last message
        self._lacks: tuple[str, ...] = ()
        self._places: tuple[int, ...] = ()  # of the joints that it shares with us, in our order
        self._ours: np.ndarray = np.empty(0, np.intp)  # the same
        self._theirs: np.ndarray = np.empty(0, np.intp)  # and in its order
        self._position, self._velocity = np.full(n, np.nan), np.zeros(n)
        self._time_ns = np.zeros(n, np.int64)
        self.missing = self.names  # no message has held them yet
        self._unmeasured = np.zeros(n, bool)

    def __call__(
        self,
        names: Sequence[str],
        positions: Sequence[float],
        velocities: Sequence[float],
        time_ns: int,
        number: int | None = None,
    ) -> Joints | None:
        """`time_ns`: when it was measured, on any one clock; `number`: counts its publisher's messages, where it is known.

        None: it holds none of our joints, or not all of ours have been heard yet. A velocity that is missing or NaN is not
        measured: it is the change of the position since the message before. Raises JointError where lengths do not agree.
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
        """Which joints have not been heard yet, in one line; "" when all have."""
        if not self.missing:
            return ""
        return f"not heard yet: {', '.join(self.missing)}; the newest message holds {', '.join(self._layout or ()) or 'none'}"

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Joints whose velocities are derived from their positions."""
        return tuple(name for name, derived in zip(self.names, self._unmeasured) if derived)

    def _derived(self, ours: np.ndarray, q: np.ndarray, time_ns: int) -> np.ndarray:
        """rad/s from the positions before; what was derived before where no time has passed, 0 at the first message."""
        passed_s = (time_ns - self._time_ns[ours]) * 1e-9
        known = (passed_s > 0) & np.isfinite(self._position[ours])  # NaN until it is heard
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
