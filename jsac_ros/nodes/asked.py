"""Requests to one server that may never answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

MOST_PENDING = 1000  # unanswered; at one a second longer than any service takes


class Asked:
    """Forgets the oldest of too many unanswered requests, so that a silent server costs no memory."""

    def __init__(self, ask: Callable[[Any], Any]):
        """ask: `call_async` of a client, or `send_goal_async` of an action client."""
        self._ask = ask
        self._pending: deque[Any] = deque()

    def __call__(self, request: Any, then: Callable[[Any], None]) -> None:
        """then: called with the answer, in the executor's thread; never for a request that was forgotten."""
        while self._pending and (self._pending[0].done() or len(self._pending) >= MOST_PENDING):
            self._pending.popleft().cancel()  # nothing, where it was answered
        future = self._ask(request)
        future.add_done_callback(lambda answered: answered.cancelled() or then(answered.result()))
        self._pending.append(future)
