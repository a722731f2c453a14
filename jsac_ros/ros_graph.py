"""Publishers of a topic in the ROS graph."""

from __future__ import annotations

from typing import Any

UNNAMED = "a node whose name is not known yet"


def publishers_of(node: Any, topic: str) -> list[str]:
    """Names of the nodes that publish a topic, with their namespaces, once per publisher.

    A process is discovered a moment before the names of its nodes.
    """
    ends = node.get_publishers_info_by_topic(topic)
    return [UNNAMED if "UNKNOWN_" in end.node_name else f"{end.node_namespace.rstrip('/')}/{end.node_name}" for end in ends]


def sender_of(node: Any, topic: str) -> str:
    """The nodes that may have sent a message which has just arrived, for the log: a message does not name its sender."""
    return ", ".join(publishers_of(node, topic)) or "a publisher that has gone"
