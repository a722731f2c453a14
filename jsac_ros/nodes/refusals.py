"""Messages and requests that a node refuses: one guard around the callbacks of subscriptions, services and timers.

A callback raises for a message that it cannot use (a ValueError with one line for expected errors). No message ends a process:
refused ones are counted by topic, logged at most once a second, and shown in /diagnostics from then on.
"""

from __future__ import annotations

import functools
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rclpy.node import Node

from jsac_ros.nodes.late_diagnostics import PERIOD_S, LateDiagnostics

_LINE = 300  # characters of an error that are shown


class Refusals(LateDiagnostics):
    """The refused messages of one node, by topic or service. `count` may be read from any thread."""

    def __init__(self, node: Node):
        super().__init__(node)
        self.count: Counter[str] = Counter()
        self._logged: dict[str, float] = {}  # topic -> when, on the steady clock
        self._published: Counter[str] = Counter()

    @contextmanager
    def guard(self, topic: str) -> Iterator[None]:
        """A context that refuses the message of `topic` if its block raises."""
        try:
            yield
        except Exception as error:
            self.add(topic, error)

    def guarded(self, topic: str, callback: Callable) -> Callable:
        """A subscription's callback with the guard around it."""

        @functools.wraps(callback)  # rclpy inspects its parameters
        def hear(*message):
            with self.guard(topic):
                callback(*message)

        return hear

    def guarded_service(self, name: str, callback: Callable, response_type: type) -> Callable:
        """A service's callback with the guard around it: after an error the response is empty, with the error as message."""

        @functools.wraps(callback)
        def serve(request, response):
            try:
                return callback(request, response)
            except Exception as error:
                self.add(name, error)
                response = response_type()
                if hasattr(response, "message"):
                    response.message = _line(error)
                return response

        return serve

    def add(self, topic: str, error: Exception) -> None:
        """Counts and logs one message that could not be used."""
        self.count[topic] += 1
        self._node.get_logger().debug(traceback.format_exc())
        now = time.monotonic()
        if now - self._logged.get(topic, -PERIOD_S) >= PERIOD_S:
            self._logged[topic] = now
            self._node.get_logger().warning(f"{topic}: refused: {_line(error)} ({self.count[topic]} so far)")
        if self._publisher is None:
            self.show()

    def _array(self, stamp):
        from jsac_ros.nodes.diagnostics import refusal_diagnostics

        new, self._published = self.count - self._published, self.count.copy()
        return refusal_diagnostics(self._node, stamp, self.count, new.total())


def _line(error: Exception) -> str:
    """The error as one line; with its type unless it is a ValueError, which explains itself."""
    text = " ".join(str(error).split())[:_LINE]
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"
