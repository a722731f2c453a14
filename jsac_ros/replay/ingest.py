"""In which order the transitions of an actor enter the store: each once, in sequence, nothing lost without a count.

The protocol is go-back-N. An actor numbers what it sends (robot, session, sequence) and keeps it until it is
acknowledged; replay writes only what comes next and acknowledges cumulatively. What comes twice is dropped, what comes
too early is asked for again, and a gap is final only when the actor says that it no longer holds what is missing.
"""

from __future__ import annotations

from typing import NamedTuple

Stream = tuple[str, int]  # robot, session


class Verdict(NamedTuple):
    """What to do with one transition."""

    store: bool
    duplicate: bool = False
    lost: int = 0  # sequence numbers that will never come
    resend: bool = False  # ask the actor to begin again at what is next


class Ingest:
    """What comes next of every stream. `next_sequences` is what the store holds when it is opened."""

    def __init__(self, next_sequences: dict[Stream, int]):
        self.next = dict(next_sequences)
        self._heard: set[Stream] = set()

    def judge(self, stream: Stream, sequence: int, oldest_sequence: int) -> Verdict:
        """A transition has come, whose actor can still send `oldest_sequence` and later ones.

        What comes next stays the same until `accept` says that the transition is written; only a final gap is left
        behind at once, so that it is counted once.
        """
        first_heard = stream not in self._heard
        self._heard.add(stream)
        expected = self.next.get(stream, 0)
        if sequence < expected:
            return Verdict(store=False, duplicate=True, resend=first_heard)
        lost = max(0, min(oldest_sequence, sequence) - expected)
        self.next[stream] = expected + lost
        if sequence > expected + lost:
            return Verdict(store=False, lost=lost, resend=True)
        return Verdict(store=True, lost=lost)

    def accept(self, stream: Stream, sequence: int) -> None:
        """The transition is in the store (or refused for good): the next one may come."""
        self.next[stream] = sequence + 1
