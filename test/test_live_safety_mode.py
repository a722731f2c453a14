"""The UR driver's safety mode, by its own message type."""

import importlib.util
import subprocess
import sys
import time

import driver_types
import numpy as np
import pytest
from safety_cell import Cell

TOPIC = "io_and_status_controller/safety_mode"
SAYS_MODE = f"""
import rclpy, sys
from rclpy.qos import DurabilityPolicy, QoSProfile
from ur_dashboard_msgs.msg import SafetyMode
rclpy.init()
node = rclpy.create_node("io_and_status_controller")
modes = node.create_publisher(SafetyMode, "{TOPIC}", QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
for line in sys.stdin:
    modes.publish(SafetyMode(mode=int(line)))
"""


def test_a_protective_stop_by_its_own_message_holds_until_it_is_over(tmp_path):
    cell = Cell(tmp_path, environment=driver_types.environment("ur_dashboard_msgs"), **{"robot.safety_mode_topic": TOPIC})
    says = subprocess.Popen([sys.executable, "-c", SAYS_MODE], env=cell.environment, stdin=subprocess.PIPE, text=True)
    try:
        says.stdin.write("1\n")
        says.stdin.flush()
        driver = cell.drive()
        says.stdin.write("3\n")
        says.stdin.flush()
        assert cell.observer.wait(lambda: cell.state() == "holding", 20), cell.log()
        assert "protective stop" in cell.observer.status("safety_status").reason
        time.sleep(1.0)  # what moves here has no safety of its own: it swings back to where it was told to stay
        still = cell.observer.path().q[-1]
        assert not cell.observer.wait(lambda: cell.observer.moving(), 1.0)
        np.testing.assert_allclose(cell.observer.path().q[-1], still, atol=1e-4)
        says.stdin.write("1\n")
        says.stdin.flush()
        assert cell.observer.wait(lambda: cell.observer.moving(0.15), 20), cell.log()
        driver.stop()
    finally:
        says.kill()
        says.wait()
        cell.close()


@pytest.mark.skipif(importlib.util.find_spec("ur_dashboard_msgs") is not None, reason="the UR driver is installed here")
def test_without_the_package_the_topic_is_said_not_to_be_watched(tmp_path):
    cell = Cell(tmp_path, **{"robot.safety_mode_topic": TOPIC})
    try:
        assert f"{TOPIC} is not watched: ur_dashboard_msgs is not installed" in cell.log()["safety.log"]
    finally:
        cell.close()
