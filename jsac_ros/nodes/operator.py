"""The operator's handles: each verb calls one service of a running system and says what it answered.

The system has to be on the same ROS_DOMAIN_ID; a system in a namespace is reached with --namespace.
"""

from __future__ import annotations

import argparse
import os
import sys

import rclpy
from std_srvs.srv import Trigger

from jsac_ros import dds

SERVICES = {
    "start": "actor/start",
    "pause": "actor/pause",
    "resume": "actor/resume",
    "stop": "actor/stop",
    "reset": "actor/reset",
    "evaluate": "actor/evaluate",
    "checkpoint": "learner/checkpoint",
    "emergency-stop": "safety/emergency_stop",
    "release": "safety/release",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(verb=parser.prog.split()[-1])
    parser.add_argument("--namespace", default="", help="of the system, where it has one")
    parser.add_argument("--timeout", type=float, default=5.0, metavar="S", help="to find the service and to hear from it")


def main(arguments: argparse.Namespace) -> int:
    """0 where the service did it; 1 where it refused, or nobody answered."""
    service = "/".join(filter(None, (arguments.namespace.strip("/"), SERVICES[arguments.verb])))
    os.environ |= dds.discovery() | dds.profile()
    answer = call(service, arguments.timeout)
    if answer is None:
        domain = os.environ.get("ROS_DOMAIN_ID", "0")
        print(f"error: nobody answers {service} on ROS domain {domain}; is the system running?", file=sys.stderr)
        return 1
    print(answer.message)
    return 0 if answer.success else 1


def call(service: str, timeout_s: float) -> Trigger.Response | None:
    """Calls a std_srvs/Trigger service once; None where nobody answers in time."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node(f"operator_{os.getpid()}", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    try:
        client = node.create_client(Trigger, service)
        if not client.wait_for_service(timeout_s):
            return None
        future = client.call_async(Trigger.Request())
        executor.add_node(node)
        executor.spin_until_future_complete(future, timeout_s)
        return future.result() if future.done() else None
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)
