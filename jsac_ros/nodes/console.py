"""The operator's verbs with their service clients, for nodes with buttons or keys."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

from rclpy.node import Node
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from jsac_ros.control.verbs import EMERGENCY_STOP
from jsac_ros.nodes.operator import SERVICES

ANSWER_S = 5.0
MOST_PRESSED = 8  # verbs that wait for the one before them


class Console:
    """The verbs, called from one node. `do` may be called from any thread except the executor's."""

    def __init__(self, node: Node):
        self._node = node
        self._stop_robot = node.create_publisher(Bool, "emergency_stop", 10)
        self._clients = {verb: node.create_client(Trigger, service) for verb, service in SERVICES.items()}
        self._pressed: queue.Queue[tuple[float, str]] = queue.Queue(MOST_PRESSED)

    @property
    def verbs(self) -> tuple[str, ...]:
        return tuple(self._clients)

    def press(self, verb: str, where: str) -> None:
        """Queues a verb for `work`; beyond MOST_PRESSED it is dropped."""
        try:
            self._pressed.put_nowait((time.monotonic(), verb))
        except queue.Full:
            self._node.get_logger().warning(f"{verb} from the {where}: not done: {MOST_PRESSED} others wait for their answers")

    def work(self, where: str, stop: threading.Event) -> Iterator[tuple[str, bool, str]]:
        """Executes queued verbs until `stop`; yields (verb, whether it was accepted, what will happen) for each.

        A verb that waited longer than ANSWER_S is not executed: its effect would come as a surprise."""
        while not stop.is_set():
            try:
                pressed_s, verb = self._pressed.get(timeout=0.2)
            except queue.Empty:
                continue
            if (waited_s := time.monotonic() - pressed_s) > ANSWER_S:
                yield verb, False, f"it waited {waited_s:.0f} s for the one before it; press it again"
            else:
                yield verb, *self.do(verb, where)

    def do(self, verb: str, where: str) -> tuple[bool, str]:
        """Executes a verb; returns whether it was accepted, and what will happen. where: source for the log ("dashboard")."""
        if verb == EMERGENCY_STOP:  # before the log line, and by a topic, which needs no service discovery
            self._stop_robot.publish(Bool(data=True))
        self._node.get_logger().info(f"{verb} from the {where}")
        if verb == EMERGENCY_STOP:
            return True, "stopped; release lets it move again"
        client = self._clients[verb]
        if not client.service_is_ready():
            return False, f"no process serves {SERVICES[verb]}; is it running?"
        done: Future[tuple[bool, str]] = Future()
        asked = client.call_async(Trigger.Request())
        asked.add_done_callback(
            lambda answer: answer.cancelled() or done.set_result((answer.result().success, answer.result().message))
        )
        try:
            return done.result(ANSWER_S)
        except TimeoutError:
            asked.cancel()  # nothing is kept of what is never answered
            return False, f"{SERVICES[verb]} did not answer within {ANSWER_S:g} s"
