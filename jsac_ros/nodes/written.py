"""Files of a node that could not be written. A full disk stops no node; it is shown in the log and in /diagnostics.

The node continues and writes the file again when it is due.
"""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node

from jsac_ros.nodes.late_diagnostics import LateDiagnostics


class Written(LateDiagnostics):
    """Problems with the files of one node. Publishes diagnostics from the first problem on."""

    def __init__(self, node: Node):
        super().__init__(node)
        self._problems: dict[str, str] = {}  # file -> why it could not be written

    def __call__(self, file: str, write: Callable[[], None]) -> None:
        """Calls `write`, which writes `file`, and records whether it failed."""
        try:
            write()
        except OSError as error:
            self.say(file, f"{error.filename or file}: {error.strerror}")
        else:
            self.say(file, "")

    def say(self, file: str, problem: str) -> None:
        """problem: why `file` could not be written, in one line; "" if it was. May be called from any thread."""
        known = self._problems.get(file, "")
        if problem:
            self._problems[file] = problem
            self._node.get_logger().error(f"{problem}; retried when there is room", throttle_duration_sec=30.0)
        else:
            self._problems.pop(file, None)
        if problem and self._publisher is None:
            self.show()
        elif problem != known:
            self.publish()

    def _array(self, stamp):
        from jsac_ros.nodes.diagnostics import disk_diagnostics

        return disk_diagnostics(self._node, stamp, dict(self._problems))
