"""The actor as a process that follows /clock."""

import os
import signal
import subprocess
import sys
import time

import domains
import numpy as np
import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from shadow_cases import CONFIG, MS_NS, PERIOD_S, SECOND_NS, SIZE

from jsac_ros import agent as algorithms
from jsac_ros.agent.policy import layout_hash, parameter_count
from jsac_ros.messages import to_ns
from jsac_ros.msg import ControlStatus
from jsac_ros.parameters import dump, from_parameters
from jsac_ros.replay import names
from jsac_ros.replay.mailbox import PolicyMailbox
from jsac_ros.rig import Rig

DOMAIN = domains.take()
OK = DiagnosticStatus.OK


class SimulatedDay:
    """Says what time it is, and what camera and joints show then."""

    def __init__(self, config):
        self.now_ns = 1000 * SECOND_NS  # of a simulation: nothing like the computer's own time
        self.status = None
        self.diagnostics = []
        rig = Rig.of(config)
        self.robot = rig.robot
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node("world", context=self.context)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.clock = self.node.create_publisher(Clock, "/clock", 10)
        self.camera = self.node.create_publisher(Image, rig.sources["wrist"].topic, 10)
        self.joints = self.node.create_publisher(JointState, rig.sources["joints"].topic, 10)
        self.node.create_subscription(ControlStatus, "control_status", lambda m: setattr(self, "status", m), 10)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self.diagnostics.append, 10)

    def pass_time(self, seconds: float) -> None:
        """At a third of the computer's own speed. The joint state is 5 ms older than the image beside it."""
        for _ in range(round(seconds / 0.01)):
            self.now_ns += SECOND_NS // 100
            stamp = Time(sec=self.now_ns // SECOND_NS, nanosec=self.now_ns % SECOND_NS)
            image = Image(height=SIZE, width=SIZE, encoding="rgb8", step=3 * SIZE, data=bytes(3 * SIZE * SIZE))
            arm = JointState(name=list(self.robot.names), position=[0.0] * 6, velocity=[0.0] * 6)
            image.header.stamp = stamp
            before_ns = self.now_ns - 5 * MS_NS
            arm.header.stamp = Time(sec=before_ns // SECOND_NS, nanosec=before_ns % SECOND_NS)
            self.joints.publish(arm)
            self.camera.publish(image)
            self.clock.publish(Clock(clock=stamp))
            self.executor.spin_once(timeout_sec=0.0)
            time.sleep(0.03)

    def close(self) -> None:
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.mark.timeout(180)
def test_rate_and_ages_follow_the_clock(tmp_path, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    config = from_parameters(CONFIG)
    dump(config, tmp_path / "config.yaml")
    agent = algorithms.build(config.agent, Rig.of(config).spaces)
    count = parameter_count(agent)
    mailbox = PolicyMailbox.create(names.policy("sim_time"), count, layout_hash(agent))
    mailbox.write(0, 1, np.zeros(count, np.float32))  # as the learner does before it has learned
    command = [sys.executable, "-m", "jsac_ros.nodes.actor", "--ros-args", "--params-file", str(tmp_path / "config.yaml")]
    world = SimulatedDay(config)
    with open(tmp_path / "actor.log", "wb") as log:
        actor = subprocess.Popen(
            [*command, "-p", "use_sim_time:=true"], env=os.environ | {"JSAC_RUN_FOLDER": str(tmp_path)},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while world.status is None or world.status.state != "shadow":
            world.pass_time(0.05)
            assert actor.poll() is None and time.monotonic() < deadline, (tmp_path / "actor.log").read_text()
        world.pass_time(1.0)  # of simulated time: the status is of now
        before = world.status
        world.diagnostics.clear()
        world.pass_time(4.0)
        passed_s = 1e-9 * (to_ns(world.status.header.stamp) - to_ns(before.header.stamp))
        assert 2 <= passed_s <= 5, "its own stamps are of simulated time"
        assert world.status.ticks - before.ticks == pytest.approx(passed_s / PERIOD_S, abs=5)
        assert world.status.state == "shadow" and world.status.missed == 0, world.status.reason
        assert 0 <= world.status.image_age_ms[0] < 200, "ages are of simulated time"
        # The joint state beside the image, or the one a step before if /clock was handled first
        assert world.status.image_joint_skew_ms[0] in (pytest.approx(5, abs=0.1), pytest.approx(15, abs=0.1))
        assert world.status.policy_age_ms[3] == pytest.approx(1e3 * world.status.policy_age_s, rel=0.1)
        assert len(world.diagnostics) > 8, "once a second, whatever the simulation's clock does"
        assert [(s.name, s.level) for s in world.diagnostics[-1].status] == [
            ("jsac_ros/actor: state", OK), ("jsac_ros/actor: timing", OK),
        ]  # fmt: skip
        began_s = time.monotonic()
        actor.terminate()
        assert actor.wait(20) == -signal.SIGTERM, "it ends although the clock stands still"
        assert time.monotonic() - began_s < 15
    finally:
        actor.kill()
        actor.wait()
        world.close()
        mailbox.close()
