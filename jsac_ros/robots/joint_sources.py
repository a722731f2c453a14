"""A joint has one source: a second publisher of the same joint is detected by its message numbers and its values.

Each message of a second source is plausible by itself: a node that repeats "the arm is at rest" between the driver's messages
differs from them by a few milliradians. Together the messages are not plausible.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

_WINDOW_NS = 1_000_000_000  # the sign of a second source has to recur within this
_LONGEST_GAP = 1000  # messages that one publisher's numbers may skip
_JITTER_S = 0.01  # of the times of messages without a stamp
_CONTRADICTIONS = 3  # back and forth: a joint that jumps and returns makes two


class _Kind(NamedTuple):
    """How joints of one kind move: rad, or m."""

    # A position further than this from where the velocities before and after it lead contradicts them.
    tolerance: float
    hardest: float  # per s^2: an arm that hits something or is stopped by its own brakes
    fastest: float  # per s, if a velocity is not measured


_REVOLUTE, _PRISMATIC = _Kind(0.01, 50.0, 4.0), _Kind(0.003, 50.0, 3.0)


@dataclass
class _Publisher:
    """All messages whose numbers grow and which have joints in common."""

    joints: tuple[int, ...]  # of its newest message
    number: int
    time_ns: int


@dataclass
class _Joint:
    """The messages received for one joint."""

    kind: _Kind
    publisher: _Publisher | None = None
    replaced: _Publisher | None = None  # the publisher before that one
    position: float = math.nan
    velocity: float = math.nan
    time_ns: int = 0
    contradictions: int = 0  # that alternate
    sign: int = 0  # of the last one
    contradicted_ns: int = 0


class JointSources:
    def __init__(self, names: Sequence[str], prismatic: Sequence[bool] = ()):
        """prismatic: which of them are; empty: none."""
        self.names = tuple(names)
        self._kinds = [_PRISMATIC if slides else _REVOLUTE for slides in prismatic] or [_REVOLUTE] * len(self.names)
        self.forget()

    def forget(self) -> None:
        """Starts over after a person has checked: only messages from now on count."""
        self.second = ""  # which joint has a second source and how it was detected, in one line; stays until `forget`
        self._publishers: list[_Publisher] = []
        self._joints = [_Joint(kind) for kind in self._kinds]

    def take(
        self, joints: tuple[int, ...], positions: Sequence[float], velocities: Sequence[float], time_ns: int, number: int | None
    ) -> None:
        """Takes one message: indices of its joints in `names`, rad or m, per s (NaN: not measured), and the number that its
        publisher gave it (None: the middleware does not provide it).
        """
        publisher = None if number is None else self._publisher(joints, time_ns, number)
        for place, position, velocity in zip(joints, positions, velocities):
            joint = self._joints[place]
            if publisher is not joint.publisher and _returns(joint, publisher):
                self._notice(place, "two publishers take turns")
            if _contradicts(joint, position, velocity, time_ns):
                self._notice(place, "positions and velocities contradict each other, back and forth")

    def _notice(self, place: int, how: str) -> None:
        self.second = self.second or f"{self.names[place]} has two sources: {how}"

    def _publisher(self, joints: tuple[int, ...], time_ns: int, number: int) -> _Publisher:
        self._publishers = [p for p in self._publishers if abs(time_ns - p.time_ns) <= _WINDOW_NS]
        may_be = [p for p in self._publishers if 0 < number - p.number <= _LONGEST_GAP]
        same = [p for p in may_be if p.joints == joints] or [p for p in may_be if not set(joints).isdisjoint(p.joints)]
        if same:
            publisher = max(same, key=lambda p: p.number)
            publisher.joints, publisher.number, publisher.time_ns = joints, number, time_ns
        else:
            publisher = _Publisher(joints, number, time_ns)
            self._publishers.append(publisher)
        return publisher


def _returns(joint: _Joint, publisher: _Publisher | None) -> bool:
    """Whether a replaced publisher is back. A restarted one replaces itself and does not come back."""
    back = publisher is not None and publisher is joint.replaced
    joint.replaced, joint.publisher = joint.publisher, publisher
    return back


def _contradicts(joint: _Joint, position: float, velocity: float, time_ns: int) -> bool:
    """Whether positions went back and forth, further than the velocities allow, three times within the window."""
    passed_s, way = (time_ns - joint.time_ns) * 1e-9, position - joint.position
    slow, fast = sorted((joint.velocity, velocity))
    if math.isnan(slow + fast) or slow == fast == 0:  # not measured; nor does a driver that always publishes 0
        slow, fast = -joint.kind.fastest, joint.kind.fastest
    joint.position, joint.velocity, joint.time_ns = position, velocity, time_ns
    if math.isnan(way) or passed_s < 0:
        return False
    allowed = joint.kind.tolerance + _JITTER_S * max(abs(slow), abs(fast)) + joint.kind.hardest / 2 * passed_s**2
    sign = int(way > fast * passed_s + allowed) - int(way < slow * passed_s - allowed)
    if sign == 0:
        return False
    alternates = sign == -joint.sign and time_ns - joint.contradicted_ns <= _WINDOW_NS
    joint.contradictions = joint.contradictions + 1 if alternates else 1
    joint.sign, joint.contradicted_ns = sign, time_ns
    return joint.contradictions >= _CONTRADICTIONS
