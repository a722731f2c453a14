"""Measures the clock offsets of other computers, by round trips with a service that every node has.

The middleware stamps an answer with the clock of the computer that sends it, at a time between the request and the arrival
of the answer. The stamp minus the midpoint is the clock offset, to within half the round trip time. This needs no jsac_ros
process on the other computer and changes nothing: the request asks for an empty list of parameters.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from rcl_interfaces.srv import GetParameters
from rclpy.node import Node

from jsac_ros.nodes.polled import Polled

EXCHANGES = 8  # the shortest round trip counts
WAIT_S = 0.3  # for an answer


class Difference(NamedTuple):
    """Offset of another computer's clock from this one's, in seconds."""

    ahead_s: float  # negative: behind
    within_s: float


def difference(node: Node, other: str) -> Difference | None:
    """The offset of the computer of node `other` (full name); None if it does not answer. `node` must not spin meanwhile."""
    client = node.create_client(GetParameters, f"{other}/get_parameters", callback_group=Polled())
    try:
        if not client.wait_for_service(WAIT_S):
            return None
        found: list[Difference] = []
        while len(found) < EXCHANGES and (trip := _exchange(client)):  # one that does not answer once does not answer
            found.append(trip)
        return min(found, key=lambda trip: trip.within_s) if found else None
    finally:
        node.destroy_client(client)


def _exchange(client) -> Difference | None:
    with client.handle:
        asked_ns, end_s = time.time_ns(), time.monotonic() + WAIT_S
        number = client.handle.send_request(GetParameters.Request())
        while time.monotonic() < end_s:
            about, answer = client.handle.take_response(GetParameters.Response)
            if answer is not None and about.request_id.sequence_number == number:
                return _between(asked_ns, about.source_timestamp, time.time_ns())
            time.sleep(1e-4)
    return None


def _between(asked_ns: int, answered_ns: int, heard_ns: int) -> Difference | None:
    """None if the middleware does not stamp answers, or if this computer's clock was set meanwhile."""
    if answered_ns <= 0 or heard_ns < asked_ns:
        return None
    return Difference((answered_ns - (asked_ns + heard_ns) // 2) * 1e-9, (heard_ns - asked_ns) / 2 * 1e-9)
