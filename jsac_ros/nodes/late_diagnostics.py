"""A part of /diagnostics that is published from the first problem on, so that a node without problems has no overhead."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from rclpy.node import Node

if TYPE_CHECKING:
    from diagnostic_msgs.msg import DiagnosticArray

PERIOD_S = 1.0


class LateDiagnostics(ABC):
    """Diagnostics of one node."""

    def __init__(self, node: Node):
        self._node = node
        self._publisher = None

    def show(self) -> None:
        """Starts to publish once a second."""
        from diagnostic_msgs.msg import DiagnosticArray

        if self._publisher is None:
            self._publisher = self._node.create_publisher(DiagnosticArray, "/diagnostics", 10)
            self._node.create_timer(PERIOD_S, self.publish)

    def publish(self) -> None:
        """Publishes now. A timer calls this once a second if the node spins."""
        if self._publisher is not None:
            self._publisher.publish(self._array(self._node.get_clock().now().to_msg()))

    @abstractmethod
    def _array(self, stamp) -> DiagnosticArray:
        """The message to publish. stamp: builtin_interfaces/Time."""
