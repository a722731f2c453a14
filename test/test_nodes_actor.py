"""The actor as a process that follows /clock."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

import rclpy  # noqa: E402
from builtin_interfaces.msg import Time  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402

from jsac_ros.agent.policy import layout_hash, parameter_count  # noqa: E402
from jsac_ros.config import dump, from_parameters, spec_of  # noqa: E402
from jsac_ros.msg import ControlStatus  # noqa: E402
from jsac_ros.replay import names  # noqa: E402
from jsac_ros.replay.mailbox import PolicyMailbox  # noqa: E402
from jsac_ros.robots.models import arm_of  # noqa: E402

DOMAIN = 90 + os.getpid() % 10
SIZE, PERIOD_S, SECOND_NS = 31, 0.04, 1_000_000_000
CONFIG = {
    "run.name": "sim_time", "camera.height": SIZE, "camera.width": SIZE, "robot.interface": "none", "task.name": "shadow",
    "task.control_period_s": PERIOD_S, "agent.conv_channels": (4, 4, 4, 4), "agent.latent_dim": 8, "agent.hidden": (16,),
}  # fmt: skip


class SimulatedDay:
    """Says what time it is, and what camera and joints show then."""

    def __init__(self, config):
        self.now_ns = 1000 * SECOND_NS  # of a simulation: nothing like the computer's own time
        self.status = None
        self.arm = arm_of(config.robot)
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node("world", context=self.context)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.clock = self.node.create_publisher(Clock, "/clock", 10)
        self.camera = self.node.create_publisher(Image, config.camera.topic, 10)
        self.joints = self.node.create_publisher(JointState, config.robot.joint_states_topic, 10)
        self.node.create_subscription(ControlStatus, "control_status", lambda m: setattr(self, "status", m), 10)

    def pass_time(self, seconds: float) -> None:
        """At a third of the computer's own speed."""
        for _ in range(round(seconds / 0.01)):
            self.now_ns += SECOND_NS // 100
            stamp = Time(sec=self.now_ns // SECOND_NS, nanosec=self.now_ns % SECOND_NS)
            image = Image(height=SIZE, width=SIZE, encoding="rgb8", step=3 * SIZE, data=bytes(3 * SIZE * SIZE))
            arm = JointState(name=list(self.arm.names), position=[0.0] * len(self.arm), velocity=[0.0] * len(self.arm))
            image.header.stamp = arm.header.stamp = stamp
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
    spec = spec_of(config, 6)
    count = parameter_count(config.agent, spec)
    mailbox = PolicyMailbox.create(names.policy("sim_time"), count, layout_hash(config.agent, spec))
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
        world.pass_time(1.0)  # of simulated time: the status, whose timer follows the clock too, is of now
        before = world.status
        world.pass_time(4.0)
        passed_s = world.status.header.stamp.sec - before.header.stamp.sec
        assert 2 <= passed_s <= 5, "its own stamps are of simulated time"
        assert world.status.ticks - before.ticks == pytest.approx(passed_s / PERIOD_S, abs=5)
        assert world.status.state == "shadow" and world.status.missed == 0, world.status.reason
        assert 0 <= world.status.image_age_ms[0] < 200, "ages are of simulated time"
        began_s = time.monotonic()
        actor.terminate()
        assert actor.wait(20) == 0, "it ends although the clock stands still"
        assert time.monotonic() - began_s < 15
    finally:
        actor.kill()
        actor.wait()
        world.close()
        mailbox.close()
