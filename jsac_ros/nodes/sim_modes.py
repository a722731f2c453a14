"""Safety mode and robot mode of the simulated arm, published like the UR driver's: latched, on change.

If the driver's message types (ur_dashboard_msgs) are not installed, nothing is published.
"""

from __future__ import annotations

from rclpy.node import Node

from jsac_ros.nodes.qos import LATCHED

_CONTROLLER = "io_and_status_controller"


class SimModes:
    def __init__(self, node: Node, safety_mode_topic: str):
        """safety_mode_topic: as configured; empty: the driver's default."""
        self._publishers = {}
        self._said: dict[type, int] = {}
        try:
            from ur_dashboard_msgs.msg import RobotMode, SafetyMode
        except ImportError:
            return
        self._safety_mode, self._robot_mode = SafetyMode, RobotMode
        topics = {SafetyMode: safety_mode_topic or f"{_CONTROLLER}/safety_mode", RobotMode: f"{_CONTROLLER}/robot_mode"}
        self._publishers = {kind: node.create_publisher(kind, topic, LATCHED) for kind, topic in topics.items()}

    def say(self, protective_stop: bool) -> None:
        """Publishes changed modes. A protective stop changes the safety mode; the robot mode stays RUNNING (powered)."""
        if not self._publishers:
            return
        safety, robot = self._safety_mode, self._robot_mode
        for kind, mode in ((safety, safety.PROTECTIVE_STOP if protective_stop else safety.NORMAL), (robot, robot.RUNNING)):
            if self._said.get(kind) != mode:
                self._said[kind] = mode
                self._publishers[kind].publish(kind(mode=mode))
