"""What the safety node hears and counts, in this process."""

import time

import domains
import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import qos_profile_sensor_data
from rig_cases import BASE, REACHER, config_of
from sensor_msgs.msg import JointState

from jsac_ros.nodes.safety import Safety
from jsac_ros.parameters import dump

pytestmark = pytest.mark.timeout(60)


class Cell:
    """The node, not spinning, and publishers of joint states."""

    def __init__(self, folder, base, publishers):
        file = folder / "config.yaml"
        dump(config_of(base), file)
        rclpy.init(args=["--ros-args", "--params-file", str(file)])
        self.safety = Safety()
        self.other = rclpy.create_node("others", use_global_arguments=False)
        self.says = [
            self.other.create_publisher(JointState, "joint_states", qos_profile_sensor_data) for _ in range(publishers)
        ]
        self.wait(lambda: all(p.get_subscription_count() for p in self.says))

    def wait(self, until):
        deadline = time.monotonic() + 20
        while not until():
            assert time.monotonic() < deadline
            time.sleep(0.01)
            with self.safety._lock:
                self.safety._measurements.take()

    def joints(self, publisher, positions, velocities):
        message = JointState(name=list(self.safety._measurements.joint_map.names), position=positions, velocity=velocities)
        message.header.stamp = self.other.get_clock().now().to_msg()
        self.says[publisher].publish(message)
        time.sleep(0.01)
        with self.safety._lock:
            self.safety._measurements.take()

    def close(self):
        self.other.destroy_node()
        self.safety.destroy_node()
        self.safety._claim.close()
        rclpy.shutdown()


@pytest.fixture
def cell(tmp_path, monkeypatch):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domains.take()))
    monkeypatch.delenv("JSAC_SAFETY_LATCHED", raising=False)
    cells = []

    def make(base, publishers=1):
        cells.append(Cell(tmp_path, base, publishers))
        return cells[-1]

    yield make
    for made in cells:
        made.close()


def test_two_sources_of_a_bases_wheels_latch_until_a_person_releases(cell):
    base = cell(BASE, publishers=2)
    gate, wheels = base.safety._gate, len(base.safety._measurements.joint_map.names)
    for k in range(20):
        base.joints(0, [0.1 * k] * wheels, [10.0] * wheels)
    assert not gate.stopped and gate.state(time.monotonic())[0] == "ready", "joint states are not needed, and do no harm"
    for k in range(20):
        base.joints(k % 2, [2.0 + 0.1 * k] * wheels if k % 2 == 0 else [0.0] * wheels, [10.0 * (k % 2 == 0)] * wheels)
    assert "two sources" in gate.stopped and gate.counts["second_source"] == 1
    assert gate.state(time.monotonic())[0] == "stopped"


def test_joint_states_that_cannot_be_used_are_counted_and_shown(cell):
    arm = cell(REACHER)
    n, said = len(arm.safety._measurements.joint_map.names), []
    arm.other.create_subscription(DiagnosticArray, "/diagnostics", lambda m: said.extend(m.status), 10)
    for _ in range(3):
        arm.joints(0, [0.0], [])
    arm.wait(lambda: arm.safety.refusals.count["joint_states"] == 3)
    assert f"joint state has {n} names, 1 positions, 0 velocities" in arm.safety._measurements.joint_problem

    def shown():
        arm.safety.refusals.publish()
        rclpy.spin_once(arm.other, timeout_sec=0.02)
        return any(
            s.name == "jsac_ros/safety: refused" and ("joint_states", "3") in [(v.key, v.value) for v in s.values] for s in said
        )

    arm.wait(shown)
