"""The UR driver's safety mode, by its own message type, which is built here as its package would be."""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safety_cell import Cell

TOPIC = "io_and_status_controller/safety_mode"
PACKAGE = {
    "msg/SafetyMode.msg": "uint8 NORMAL=1\nuint8 PROTECTIVE_STOP=3\nuint8 mode\n",
    "package.xml": """<package format="3">
  <name>ur_dashboard_msgs</name> <version>0.0.0</version> <description>One of its messages</description>
  <maintainer email="nobody@example.org">nobody</maintainer> <license>none</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
""",
    "CMakeLists.txt": """cmake_minimum_required(VERSION 3.20)
project(ur_dashboard_msgs)
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
rosidl_generate_interfaces(${PROJECT_NAME} msg/SafetyMode.msg)
ament_package()
""",
}
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


@pytest.fixture(scope="module")
def driver_messages(tmp_path_factory):
    """The environment in which the package is installed."""
    folder = tmp_path_factory.mktemp("driver")
    for name, text in PACKAGE.items():
        file = folder / "ur_dashboard_msgs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    build = [sys.executable, "-m", "colcon", "build", "--cmake-args", f"-DPython3_EXECUTABLE={sys.executable}"]
    prefixes = {"CMAKE_PREFIX_PATH": os.environ["AMENT_PREFIX_PATH"]}
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(build, cwd=folder, env=os.environ | prefixes | path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    prefix = folder / "install" / "ur_dashboard_msgs"
    (packages,) = prefix.glob("lib/python3*/site-packages")
    added = {"PYTHONPATH": packages, "LD_LIBRARY_PATH": prefix / "lib", "AMENT_PREFIX_PATH": prefix}
    return {name: f"{first}:{os.environ.get(name, '')}" for name, first in added.items()}


def test_a_protective_stop_by_its_own_message_holds_until_it_is_over(tmp_path, driver_messages):
    cell = Cell(tmp_path, environment=driver_messages, **{"robot.safety_mode_topic": TOPIC})
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
