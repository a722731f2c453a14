"""The order in which an actor's transitions enter the store: each once, in sequence, every loss counted.

The protocol is go-back-N. An actor numbers its transitions (robot, session, sequence) and keeps each until it is
acknowledged; replay writes only the next one and acknowledges cumulatively. A duplicate is dropped, one that comes
too early is requested again, and a gap is final only when the actor no longer holds the missing transitions.

Two messages in a row have to state that, so one foreign message skips nothing that the living
actor still holds. No message skips more than an outbox can hold; a longer gap takes several messages.
"""

from __future__ import annotations

from typing import NamedTuple

from jsac_ros.replay.format import ROBOT_BYTES
from jsac_ros.replay.outbox import HELD, MOST_SEQUENCES

Stream = tuple[str, int]  # robot, session
MOST_STREAMS = 1000  # that are remembered; a foreign sender can invent any number of them


class Verdict(NamedTuple):
    """What to do with one transition."""

    store: bool
    duplicate: bool = False
    lost: int = 0  # sequence numbers that will never arrive
    resend: bool = False  # ask the actor to resend from the next one


class Ingest:
    """The next sequence number of every stream. `next_sequences`: of the store when it is opened."""

    def __init__(self, next_sequences: dict[Stream, int]):
        self.next = dict(next_sequences)
        self._heard: dict[Stream, None] = {}  # the latest is the last
        self._gaps: set[Stream] = set()  # streams whose last message reported the missing ones as gone

    def judge(self, stream: Stream, sequence: int, oldest_sequence: int) -> Verdict:
        """Judges a transition whose actor can still send `oldest_sequence` and later ones.

        The next number stays the same until `accept` reports that the transition is written; only a final gap is passed
        at once, so that it is counted once. Raises ValueError for numbers that no actor sends.
        """
        if len(stream[0]) > ROBOT_BYTES:
            raise ValueError(f"robot's name of {len(stream[0])} characters; expected at most {ROBOT_BYTES} bytes")
        if not (oldest_sequence <= sequence < min(oldest_sequence + HELD, MOST_SEQUENCES)):
            raise ValueError(f"sequence {sequence} with {oldest_sequence} the oldest held; expected at most {HELD} held")
        first_heard = self._hear(stream)
        expected = self.next.get(stream, 0)
        if oldest_sequence <= expected:
            self._gaps.discard(stream)
        elif stream not in self._gaps:
            self._gaps.add(stream)
            return Verdict(store=False, resend=True)
        if sequence < expected:
            return Verdict(store=False, duplicate=True, resend=first_heard)
        lost = max(0, min(oldest_sequence - expected, HELD))
        self.next[stream] = expected + lost
        if sequence > expected + lost:
            return Verdict(store=False, lost=lost, resend=True)
        return Verdict(store=True, lost=lost)

    def _hear(self, stream: Stream) -> bool:
        """Whether the stream is new. With too many streams, the one that has been silent for longest is removed."""
        first_heard = stream not in self._heard
        self._heard.pop(stream, None)
        self._heard[stream] = None
        if len(self._heard) > MOST_STREAMS:
            silent = next(iter(self._heard))
            del self._heard[silent]
            self._gaps.discard(silent)
            self.next.pop(silent, None)
        return first_heard

    def accept(self, stream: Stream, sequence: int) -> None:
        """The transition is in the store (or refused for good): the next one may follow."""
        self.next[stream] = sequence + 1
