"""What of a node's files is not on disk: a full disk stops no node, and is seen in its log and in /diagnostics.

Where the disk does not take something the node continues; what is due is written again.
"""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node

from jsac_ros.nodes.late_diagnostics import LateDiagnostics


class Written(LateDiagnostics):
    """Of one node. It says nothing until something could not be written, and from then on whether all is."""

    def __init__(self, node: Node):
        super().__init__(node)
        self._problems: dict[str, str] = {}  # file -> why it is not as it should be

    def __call__(self, file: str, write: Callable[[], None]) -> None:
        """Calls `write`, which writes `file`."""
        try:
            write()
        except OSError as error:
            self.say(file, f"{error.filename or file}: {error.strerror}")
        else:
            self.say(file, "")

    def say(self, file: str, problem: str) -> None:
        """problem: why `file` is not as it should be, in one line; "" where it is. From any thread."""
        known = self._problems.get(file, "")
        if problem:
            self._problems[file] = problem
            self._node.get_logger().error(f"{problem}; tried again when there is room", throttle_duration_sec=30.0)
        else:
            self._problems.pop(file, None)
        if problem and self._publisher is None:
            self.show()
        elif problem != known:
            self.publish()

    def _array(self, stamp):
        from jsac_ros.nodes.diagnostics import disk_diagnostics

        return disk_diagnostics(self._node, stamp, dict(self._problems))
