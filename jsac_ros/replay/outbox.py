"""An actor's unacknowledged transitions: bounded, sent in order, resent on request.

At most a window of unacknowledged messages is in flight: more would fall out of the topic's history,
and those that arrive too early are dropped and requested again, so a replay process that is behind would never catch up.

An acknowledgement of messages that were never sent is refused. If only such acknowledgements follow a resend, replay has
accepted foreign messages as this actor's: the held messages get the numbers that replay expects, and none is lost.
"""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import Generic, TypeVar

Message = TypeVar("Message")
HELD = 2000  # messages, at most: 80 s at 25 Hz; bridges a restart of replay
WINDOW = 100  # unacknowledged messages in flight; half the history of the topic
MOST_SEQUENCES = 1 << 62  # of one actor session


class Outbox(Generic[Message]):
    """Go-back-N: sequence numbers are given here, acknowledgements are cumulative.

    `add` is the control thread's, `acknowledge` the executor's; the lock is held for microseconds.
    """

    def __init__(self, limit: int = HELD, window: int = WINDOW):
        self._limit, self._window = limit, window
        self._held: deque[tuple[int, Message]] = deque()
        self._lock = Lock()
        self._send_from: int | None = None  # next one to send, or to send again; None: all are in flight
        self._acknowledged_at_last_look = 0
        self._next = 0  # sequence number
        self._unsent = 0  # lowest sequence number that has never been sent
        self._expected: int | None = None  # a number that replay expects but was never sent; since the last check
        self._expected_at_last_look: int | None = None
        self.sent = 0  # messages that were added
        self.dropped = 0  # dropped before they were acknowledged, because `limit` were held

    def __len__(self) -> int:
        return len(self._held)

    @property
    def oldest(self) -> int:
        """Oldest sequence number that can still be resent; the next one to be sent when nothing is held."""
        with self._lock:
            return self._oldest()

    def add(self, message: Message) -> list[tuple[int, Message]]:
        """Keeps the message and returns what to send now: this message with its sequence number, or nothing while
        others must be sent before it. Drops the oldest one when full."""
        with self._lock:
            if len(self._held) >= self._limit:
                self._held.popleft()
                self.dropped += 1
            sequence = self._next
            self._held.append((sequence, message))
            self._next += 1
            self.sent += 1
            if self._send_from is not None:
                return []
            self._send_from = sequence
            return self._next_window()

    def acknowledge(self, next_sequence: int, resend: bool) -> list[tuple[int, Message]]:
        """Drops everything below `next_sequence`; returns what to send now, oldest first.

        Raises ValueError with one line if that was never sent.
        """
        with self._lock:
            if next_sequence > self._unsent:
                self._expected = next_sequence
                raise ValueError(f"acknowledges everything below {next_sequence}; expected at most {self._unsent}, as was sent")
            self._expected = self._expected_at_last_look = None
            while self._held and self._held[0][0] < next_sequence:
                self._held.popleft()
            if resend:
                self._send_from = next_sequence
            return self._next_window()

    def stalled(self) -> list[tuple[int, Message]]:
        """Messages to send again because nothing was acknowledged since the last call; call once a second."""
        with self._lock:
            if self._held and self._oldest() == self._acknowledged_at_last_look:
                expected = self._expected
                if expected is not None and expected == self._expected_at_last_look and expected < MOST_SEQUENCES:
                    self._renumber(expected)
                self._send_from = self._oldest()
            self._expected_at_last_look, self._expected = self._expected, None
            self._acknowledged_at_last_look = self._oldest()
            return self._next_window()

    def _oldest(self) -> int:
        return self._held[0][0] if self._held else self._next

    def _renumber(self, first: int) -> None:
        self._held = deque((first + i, message) for i, (_, message) in enumerate(self._held))
        self._next, self._unsent = first + len(self._held), first

    def _next_window(self) -> list[tuple[int, Message]]:
        if self._send_from is None or not self._held:
            self._send_from = None
            return []
        oldest, newest = self._held[0][0], self._held[-1][0]
        begin, end = max(self._send_from, oldest), min(oldest + self._window, newest + 1)
        self._send_from, self._unsent = end if end <= newest else None, max(self._unsent, end)
        return [(sequence, message) for sequence, message in self._held if begin <= sequence < end]
