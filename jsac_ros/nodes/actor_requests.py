"""The operator's requests to the actor: the executor answers them at once, the control thread executes them at its ticks."""

from __future__ import annotations

import queue
from collections.abc import Callable

from std_srvs.srv import Trigger

from jsac_ros.control.session import Session
from jsac_ros.control.verbs import EVENTS, VERBS, Situation, answer
from jsac_ros.nodes.process import JsacNode


class ActorRequests:
    """situation: returns the present situation, on which the answers depend."""

    def __init__(self, node: JsacNode, session: Session, situation: Callable[[], Situation]):
        self._node, self._session, self._situation = node, session, situation
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        for verb in (*VERBS, *EVENTS):
            node.create_service(Trigger, f"~/{verb}", lambda _, response, verb=verb: self._on_request(verb, response))

    def add(self, verb: str) -> None:
        """Adds a request that needs no answer, from any thread."""
        self._queue.put(verb)

    def serve(self) -> tuple[str, ...]:
        """Executes the requests since the last call; returns a person's events (EVENTS)."""
        session, events = self._session, []
        while not self._queue.empty():
            verb = self._queue.get()
            if verb in EVENTS:
                events.append(verb)
            elif verb in ("start", "reset"):
                session.start()
            elif verb == "resume" and session.state == "paused":
                session.start()
            elif verb == "pause":
                session.pause()
            elif verb == "stop":
                session.stop()
            elif verb == "evaluate":
                session.evaluation_left += 1
        return tuple(events)

    def _on_request(self, verb: str, response: Trigger.Response) -> Trigger.Response:
        success, message = answer(verb, self._situation())
        if success:
            self._queue.put(verb)
        return self._node.answered(f"~/{verb}", response, success, message)
