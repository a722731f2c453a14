"""The modes that the simulated arm publishes: the UR driver's values, on change."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from rclpy.qos import DurabilityPolicy

from jsac_ros.nodes.sim_modes import SimModes


class SafetyMode(SimpleNamespace):
    """ur_dashboard_msgs/msg/SafetyMode."""

    NORMAL, REDUCED, PROTECTIVE_STOP = 1, 2, 3


class RobotMode(SimpleNamespace):
    """ur_dashboard_msgs/msg/RobotMode."""

    POWER_OFF, IDLE, RUNNING = 3, 5, 7


class Node:
    def __init__(self):
        self.said = []

    def create_publisher(self, _, topic, qos):
        assert qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
        return SimpleNamespace(publish=lambda message: self.said.append((topic, message.mode)))


@pytest.mark.parametrize("configured", ["", "left/safety_mode"])
def test_a_protective_stop_and_its_end_are_published_once_each(monkeypatch, configured):
    package, messages = ModuleType("ur_dashboard_msgs"), ModuleType("ur_dashboard_msgs.msg")
    messages.SafetyMode, messages.RobotMode = SafetyMode, RobotMode
    monkeypatch.setitem(sys.modules, "ur_dashboard_msgs", package)
    monkeypatch.setitem(sys.modules, "ur_dashboard_msgs.msg", messages)
    node = Node()
    modes = SimModes(node, configured)
    for protective_stop in (False, False, True, True, False):
        modes.say(protective_stop)
    topic = configured or "io_and_status_controller/safety_mode"
    assert node.said == [(topic, 1), ("io_and_status_controller/robot_mode", 7), (topic, 3), (topic, 1)]


def test_without_the_drivers_messages_nothing_is_published(monkeypatch):
    monkeypatch.setitem(sys.modules, "ur_dashboard_msgs", None)
    node = Node()
    SimModes(node, "").say(True)
    assert node.said == []
