"""The teleop node with real messages: an arm is led through the gate, and a device is read without a driver."""

import os
import time
from types import SimpleNamespace

import domains
import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")
pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from gate_cases import CONTROL, Cell  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from rig_cases import sensed_of  # noqa: E402
from sensor_msgs.msg import JointState, Joy  # noqa: E402

from jsac_ros.config import SystemConfig  # noqa: E402
from jsac_ros.control import devices  # noqa: E402
from jsac_ros.control.teleop import Reading  # noqa: E402
from jsac_ros.messages import from_action  # noqa: E402
from jsac_ros.msg import PersonAction  # noqa: E402
from jsac_ros.nodes.teleop import Teleop  # noqa: E402
from jsac_ros.parameters import dump, from_parameters  # noqa: E402
from jsac_ros.rig import Rig  # noqa: E402

PEDAL = 4
MAPPING = """
source: leader
topic: leader/joint_states
buttons_topic: joy
buttons: {enable: 4}
hand_back_s: 0.0
joints: {shoulder_pan_joint: {joint: a}, elbow_joint: {joint: b, scale: -1.0}}
"""


class Bench:
    """The node, and publishers in the place of leader, pedal and robot."""

    def __init__(self, config: SystemConfig, tmp_path):
        self.domain = domains.take()
        os.environ["ROS_DOMAIN_ID"] = str(self.domain)  # read by the claim of the node's name
        dump(config, tmp_path / "config.yaml")
        rclpy.init(args=["--ros-args", "--params-file", str(tmp_path / "config.yaml")], domain_id=self.domain)
        self.teleop, self.said = Teleop(), []
        self.node = rclpy.create_node("bench", use_global_arguments=False)
        self.node.create_subscription(PersonAction, "person_action", self.said.append, 10)
        publisher = self.node.create_publisher
        self.leader = publisher(JointState, "leader/joint_states", qos_profile_sensor_data)
        self.robot = publisher(JointState, "joint_states", qos_profile_sensor_data)
        self.pedal = publisher(Joy, "joy", 10)
        self.executor = SingleThreadedExecutor()
        for node in (self.teleop, self.node):
            self.executor.add_node(node)

    def spin_until(self, condition, seconds=5.0):
        end_s = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end_s, "nothing was heard"
            self.executor.spin_once(timeout_sec=0.05)

    def close(self):
        self.teleop.close()
        for node in (self.teleop, self.node):
            node.destroy_node()
        rclpy.shutdown()


@pytest.fixture
def bench(tmp_path, monkeypatch):
    made = []
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")

    def make(config):
        made.append(Bench(config, tmp_path))
        return made[0]

    monkeypatch.setenv("ROS_DOMAIN_ID", "0")
    yield make
    made[0].close()


def test_a_leader_leads_the_arm_through_the_gate_and_its_silence_is_the_persons(bench, tmp_path):
    (tmp_path / "mine.yaml").write_text(MAPPING)
    cell = Cell(**{
        "task.type": "shadow", "actions.arm.type": "joint_velocity", "safety.dead_man_topic": "", "person.by": "device",
        "person.mapping": str(tmp_path / "mine.yaml"), "robot.joint_max_age_s": 1.0,
    })  # fmt: skip
    rig, at = Rig.of(cell.config), bench(cell.config)
    start, leads = cell.sim.q.copy(), [0.7, -0.2]
    at.spin_until(lambda: all(p.get_subscription_count() for p in (at.leader, at.robot, at.pedal)))

    def tick(enabled=True):
        at.robot.publish(JointState(name=list(rig.robot.names), position=cell.sim.q.tolist(), velocity=cell.sim.qd.tolist()))
        at.pedal.publish(Joy(buttons=[0] * PEDAL + [int(enabled)]))
        for _ in range(3):
            at.executor.spin_once(timeout_sec=0.01)
        count = len(at.said)
        time.sleep(0.01)
        at.leader.publish(JointState(name=["b", "a", "trigger"], position=[leads[1], leads[0], 0.0]))
        at.spin_until(lambda: len(at.said) > count)
        sensed = sensed_of(rig, cell.now, position=cell.sim.q.copy(), velocity=cell.sim.qd.copy())
        action = from_action("person_action", at.said[-1].action, rig.spaces)
        cell.command(rig.actions.command(rig.actions.completed(action, sensed), sensed).motion)
        cell.run(CONTROL)
        return at.said[-1].holds

    assert not any(tick(enabled=False) for _ in range(3))
    assert [tick() for _ in range(3)][-1] and np.abs(cell.sim.q - start).max() < 1e-4, "it has not jumped"
    for step in range(60):
        leads[0] += 0.01 * (step < 10)
        leads[1] += 0.01 * (step < 10)
        tick()
    np.testing.assert_allclose(cell.sim.q - start, [0.1, 0.0, -0.1, 0.0, 0.0, 0.0], atol=5e-3)
    cell.check(acceleration=1.03 * cell.config.safety.max_joint_acceleration_rad_s2)
    count = len(at.said)
    time.sleep(0.01)
    at.leader.publish(JointState(name=["a"], position=[0.0]))
    at.spin_until(lambda: at.teleop.refusals.count["leader/joint_states"] == 1)
    assert len(at.said) == count, "a leader that cannot be used is silent"

    said = []
    at.teleop.get_logger = lambda: SimpleNamespace(warning=said.append, info=said.append)
    at.teleop._check_driver("leader/joint_states")
    assert not said
    at.node.destroy_publisher(at.leader)
    at.spin_until(lambda: not at.node.get_publishers_info_by_topic("leader/joint_states"))
    at.spin_until(lambda: at.teleop._check_driver("leader/joint_states") or said)
    assert said == ["no publisher on leader/joint_states; is the device's driver running?"]


class Plugged:
    """A gamepad whose left shoulder is pressed from its third reading on."""

    readings = 0

    def read(self):
        self.readings += 1
        return Reading(
            np.array([0.0, 1.0 * (self.readings > 2), 0.0, 0.0, 0.0, 0.0]), frozenset({9} if self.readings > 2 else ())
        )

    def close(self):
        pass


def test_a_device_that_is_read_directly_is_heard_without_a_message(bench, monkeypatch):
    monkeypatch.setattr(devices, "opener_of", lambda mapping: Plugged)
    at = bench(from_parameters({
        "robot.type": "ur5e", "robot.home": (0.0, -1.4822, 1.8725, -1.9611, -1.5708, 1.5708), "task.type": "shadow",
        "actions.arm.type": "twist", "person.by": "device", "person.direct": True,
    }))  # fmt: skip
    at.spin_until(lambda: any(m.holds for m in at.said))
    assert list(at.said[-1].action[0].values) == [1.0, 0.0, 0.0]
