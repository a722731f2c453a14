"""What an actor has sent and replay has not acknowledged yet: bounded, in order, resent on request.

What is sent again goes out window by window, as acknowledgements come: everything at once would be more than the
topic's history holds, and what fell out of it would be asked for again, for ever.
"""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import Generic, TypeVar

Message = TypeVar("Message")
WINDOW = 100  # sent again beyond what is acknowledged; half the history of the topic


class Outbox(Generic[Message]):
    """Go-back-N: sequence numbers are given here, acknowledgements are cumulative.

    `add` is the control thread's, `acknowledge` the executor's; the lock is held for microseconds.
    """

    def __init__(self, limit: int):
        self._limit = limit
        self._held: deque[tuple[int, Message]] = deque()
        self._lock = Lock()
        self._resend_from: int | None = None  # next one to send again; None: all has been
        self._acknowledged_at_last_look = 0
        self.sent = 0  # sequence numbers given out
        self.dropped = 0  # given up before they were acknowledged, because `limit` were held

    def __len__(self) -> int:
        return len(self._held)

    @property
    def oldest(self) -> int:
        """Oldest sequence number that can still be resent; the next one to be sent when nothing is held."""
        with self._lock:
            return self._held[0][0] if self._held else self.sent

    def add(self, message: Message) -> int:
        """Keeps the message and returns its sequence number; forgets the oldest one when full."""
        with self._lock:
            if len(self._held) >= self._limit:
                self._held.popleft()
                self.dropped += 1
            sequence = self.sent
            self._held.append((sequence, message))
            self.sent += 1
            return sequence

    def acknowledge(self, next_sequence: int, resend: bool) -> list[Message]:
        """Forgets everything below `next_sequence`; returns what has to be sent again now, oldest first."""
        with self._lock:
            while self._held and self._held[0][0] < next_sequence:
                self._held.popleft()
            if resend:
                self._resend_from = next_sequence
            return self._next_window()

    def stalled(self) -> list[Message]:
        """What has to be sent again because nothing was acknowledged since the last call; ask once a second."""
        with self._lock:
            oldest = self._held[0][0] if self._held else self.sent
            if self._held and oldest == self._acknowledged_at_last_look:
                self._resend_from = oldest
            self._acknowledged_at_last_look = oldest
            return self._next_window()

    def _next_window(self) -> list[Message]:
        if self._resend_from is None or not self._held:
            self._resend_from = None
            return []
        oldest, newest = self._held[0][0], self._held[-1][0]
        begin, end = max(self._resend_from, oldest), min(oldest + WINDOW, newest + 1)
        self._resend_from = end if end <= newest else None
        return [message for sequence, message in self._held if begin <= sequence < end]
