"""The services that a reset calls: requested by the control thread, called by the executor, which has the time for it."""

from __future__ import annotations

import queue
import time

from rclpy.client import Client
from rclpy.node import Node
from std_srvs.srv import Trigger

from jsac_ros.control.session import Session

TIMEOUT_S = 1.0  # a service that has not answered is called again


class ResetServices:
    """One call at a time. `answer` and `request` belong to the control thread."""

    def __init__(self, node: Node, session: Session):
        self._node, self._session = node, session
        self._clients: dict[str, Client] = {}
        self._answers: queue.SimpleQueue[tuple[str, Trigger.Response | None]] = queue.SimpleQueue()
        self._called_s = -TIMEOUT_S
        self._wanted = node.create_guard_condition(self._call)

    def answer(self) -> None:
        """Hands the session the answers of its service."""
        while not self._answers.empty():
            service, response = self._answers.get()
            self._called_s = -TIMEOUT_S
            if service == self._session.service and response is not None:
                self._session.answered(response.success, response.message)

    def request(self) -> None:
        """Has the service called that the session waits for, if any."""
        if self._session.service and time.monotonic() - self._called_s > TIMEOUT_S:
            self._called_s = time.monotonic()
            self._wanted.trigger()

    def _call(self) -> None:
        """In the executor's thread: the control thread has no time to make a client."""
        name = self._session.service
        if not name:
            return
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self._node.create_client(Trigger, name)
        if client.service_is_ready():
            client.call_async(Trigger.Request()).add_done_callback(lambda future: self._answers.put((name, future.result())))
        else:
            self._called_s = -TIMEOUT_S
