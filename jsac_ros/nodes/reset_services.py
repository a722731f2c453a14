"""The services of a reset: the control thread requests a call, and the executor, which has time for it, makes it."""

from __future__ import annotations

import queue
import time

from rclpy.client import Client
from rclpy.node import Node
from std_srvs.srv import Trigger

from jsac_ros.control.session import Session
from jsac_ros.nodes.asked import Asked

TIMEOUT_S = 1.0  # after which an unanswered service is called again


class ResetServices:
    """Makes one call at a time. The control thread calls `answer` and `request`."""

    def __init__(self, node: Node, session: Session):
        self._node, self._session = node, session
        self._clients: dict[str, Client] = {}
        self._asked: dict[str, Asked] = {}
        self._answers: queue.SimpleQueue[tuple[str, Trigger.Response | None]] = queue.SimpleQueue()
        self._called_s = -TIMEOUT_S
        self._wanted = node.create_guard_condition(self._call)

    def answer(self) -> None:
        """Passes answers of the service to the session."""
        while not self._answers.empty():
            service, response = self._answers.get()
            self._called_s = -TIMEOUT_S
            if service == self._session.service and response is not None:
                self._session.answered(response.success, response.message)

    def request(self) -> None:
        """Requests a call of the service that the session waits for, if any."""
        if self._session.service and time.monotonic() - self._called_s > TIMEOUT_S:
            self._called_s = time.monotonic()
            self._wanted.trigger()

    def _call(self) -> None:
        """Calls the service, in the executor's thread, as creating a client takes too long for the control thread."""
        name = self._session.service
        if not name:
            return
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self._node.create_client(Trigger, name)
            self._asked[name] = Asked(client.call_async)
        if client.service_is_ready():
            self._asked[name](Trigger.Request(), lambda response: self._answers.put((name, response)))
        else:
            self._called_s = -TIMEOUT_S
