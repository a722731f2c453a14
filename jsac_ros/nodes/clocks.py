"""How far the clocks of other nodes' computers are from this one's, by round trips with a service that every node has.

The middleware stamps an answer with the clock of the computer that sends it. That time lies between the question and its
arrival here: the middle of both differs from it by the difference of the clocks, to within half the round trip. Nothing of ours
has to run there, and nothing is changed: parameters are asked for by no name.
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
    """Of another clock from this one's, seconds."""

    ahead_s: float  # negative: behind
    within_s: float


def difference(node: Node, other: str) -> Difference | None:
    """other: full name of a node; None where it does not answer. The node's executor must not spin meanwhile."""
    client = node.create_client(GetParameters, f"{other}/get_parameters", callback_group=Polled())
    try:
        if not client.wait_for_service(WAIT_S):
            return None
        found = [trip for _ in range(EXCHANGES) if (trip := _exchange(client))]
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
    """None where the middleware does not stamp answers, or our own clock was set meanwhile."""
    if answered_ns <= 0 or heard_ns < asked_ns:
        return None
    return Difference((answered_ns - (asked_ns + heard_ns) // 2) * 1e-9, (heard_ns - asked_ns) / 2 * 1e-9)
