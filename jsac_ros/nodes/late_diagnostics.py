"""A part of /diagnostics that exists from the first problem on: a node without one pays nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from rclpy.node import Node

if TYPE_CHECKING:
    from diagnostic_msgs.msg import DiagnosticArray

PERIOD_S = 1.0


class LateDiagnostics(ABC):
    """Of one node."""

    def __init__(self, node: Node):
        self._node = node
        self._publisher = None

    def show(self) -> None:
        """From now on, once a second."""
        from diagnostic_msgs.msg import DiagnosticArray

        if self._publisher is None:
            self._publisher = self._node.create_publisher(DiagnosticArray, "/diagnostics", 10)
            self._node.create_timer(PERIOD_S, self.publish)

    def publish(self) -> None:
        """Once a second by itself where the node spins."""
        if self._publisher is not None:
            self._publisher.publish(self._array(self._node.get_clock().now().to_msg()))

    @abstractmethod
    def _array(self, stamp) -> DiagnosticArray:
        """What is published now. stamp: builtin_interfaces/Time."""
