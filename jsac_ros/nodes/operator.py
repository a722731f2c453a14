"""Calls one service of a running system and prints its answer.

The system must be on the same ROS_DOMAIN_ID; use --namespace for a system in a namespace.
"""

from __future__ import annotations

import argparse
import getpass
import os
import re
import sys

import rclpy
from std_srvs.srv import Trigger

from jsac_ros import dds, domain
from jsac_ros.control.verbs import EVENTS, VERBS

SERVICES = {verb: f"actor/{verb}" for verb in (*VERBS, *EVENTS)} | {
    "checkpoint": "learner/checkpoint",
    "emergency-stop": "safety/emergency_stop",
    "release": "safety/release",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verb = parser.prog.split()[-1]
    parser.set_defaults(verb=verb)
    parser.epilog = f"examples:\n  jsac-ros {verb}\n  jsac-ros {verb} --namespace left_arm"
    parser.add_argument("--namespace", default="", metavar="NAME", help="namespace of the system, if it has one")
    parser.add_argument(
        "--timeout", type=float, default=5.0, metavar="S", help="longest wait for discovery and for the answer (default 5)"
    )


def main(arguments: argparse.Namespace) -> int:
    """Returns 0 if the service accepted; 1 if it refused or no node answered."""
    service = f"{domain.absolute(arguments.namespace)}/{SERVICES[arguments.verb]}".replace("//", "/")
    os.environ |= dds.discovery() | dds.profile()
    answer = call(service, arguments.timeout)
    if answer is None:
        print(f"error: no answer from {service} on ROS domain {domain.domain_id()}; is the system running?", file=sys.stderr)
        return 1
    print(answer.message)
    return 0 if answer.success else 1


def _user() -> str:
    """The user's name, as a part of a node's name."""
    try:
        return re.sub(r"\W", "_", getpass.getuser())
    except (OSError, KeyError):  # a user without a name, as in a container
        return f"uid_{os.getuid()}"


def call(service: str, timeout_s: float) -> Trigger.Response | None:
    """Calls a std_srvs/Trigger service once; None if no node answers in time."""
    context = rclpy.Context()
    rclpy.init(args=["--ros-args", *dds.enclave("operator")], context=context, domain_id=domain.domain_id())
    node = rclpy.create_node(f"operator_{_user()}_{os.getpid()}", context=context)
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
