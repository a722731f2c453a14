"""A full disk ends no node, neither while it runs nor at its end: each in this process, with a disk that takes nothing.

What is killed meanwhile comes back, or ends with its supervisor: replay, learner and reporter in the tests of each, the actor
and safety, the recorder and the supervisor here.
"""

import io
import os
import random
import resource
import subprocess
import sys
import time

import domains
import psutil
import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

import rclpy
from full_disk import files_of_at_most
from fuzz_nodes import rounds, started, unforeseen
from rig_cases import REACHER
from sensor_msgs.msg import JointState

from jsac_ros import dds
from jsac_ros.bags.reader import Bag
from jsac_ros.parameters import dump, from_parameters


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Is put back afterwards."""
    for name in ("ROS_DOMAIN_ID", "JSAC_RUN_FOLDER", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.setenv(name, "0")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["actor of a recording", "safety", "replay", "reporter", "dashboard"])
def test_a_full_disk_ends_no_node(name, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())  # a process drops what it cannot say, see `output`
    with started(name, tmp_path) as node, unforeseen() as found:
        with files_of_at_most(1):
            rounds(name, node, 0, 30, random.Random(0))
            for timer in node.timers:
                timer.callback()
            node.close()
        node.close = lambda: None  # once
        assert found == [] and not [topic for topic in node.refusals.count if topic.startswith("timer")]
        assert not node.stop.is_set() or name in ("actor of a recording", "replay")  # whose thread is asked to end
        assert node.exit_code == 0


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["actor of a recording", "actor", "safety"])
def test_what_was_killed_starts_on_a_full_disk(name, tmp_path):
    with started(name, tmp_path) as killed, files_of_at_most(1):
        rounds(name, killed, 0, 30, random.Random(0))
    left = tmp_path / "shadow_actions.csv"  # half a row
    if left.exists():
        left.write_bytes(left.read_bytes()[:-3])
    with started(name, tmp_path, files_of_at_most(1)) as node:
        rounds(name, node, 0, 30, random.Random(0))
        assert not node.stop.is_set() and node.exit_code == 0 and not node.refusals.count


SUPERVISOR = """
import sys
from jsac_ros import parameters, run, supervision
supervision.NO_ROOM_DELAY_S = supervision.RESTART_DELAY_S = 0.2
config = parameters.load(sys.argv[1] + "/config.yaml")
sys.exit(run.Supervisor(config, run.Path(sys.argv[1]), [supervision.Process("recorder")], "/").run())
"""


def limit(process, size):
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.timeout(60)
def test_a_recorder_and_its_supervisor_are_killed_on_a_full_disk(tmp_path):
    """The recorder comes back when there is room, in a bag of its own; with its supervisor it ends. What it wrote is there."""
    dump(from_parameters(REACHER), tmp_path / "config.yaml")
    (tmp_path / "logs").mkdir()
    domain, context = domains.take(), rclpy.Context()
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain), "JSAC_RUN_FOLDER": str(tmp_path)} | dds.discovery()
    rclpy.init(context=context, domain_id=domain)
    joints = rclpy.create_node("talker", context=context).create_publisher(JointState, "joint_states", 500)
    state = JointState(name=[f"joint_{k}" for k in range(100)], position=[0.5] * 100)
    command, said, started_s = [sys.executable, "-c", SUPERVISOR, str(tmp_path)], [], time.monotonic()
    supervisor = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, bufsize=0)
    os.set_blocking(supervisor.stdout.fileno(), False)

    def wait_until(condition):
        while not condition():
            assert time.monotonic() - started_s < 50, said
            said.append((supervisor.stdout.read(4096) or b"").decode())
            joints.publish(state)
            time.sleep(0.002)

    def recorder_of(bag):
        """The process that has begun to write it."""
        wait_until(lambda: any(file.stat().st_size > 10_000 for file in (tmp_path / bag).glob("*.mcap")))
        (recorder,) = psutil.Process(supervisor.pid).children()
        return recorder

    recorders = []
    try:
        recorders.append(recorder_of("bag"))
        for process in (supervisor, recorders[0]):
            limit(process, 1)
        recorders[0].kill()
        wait_until(lambda: "recorder needs room" in "".join(said))
        limit(supervisor, resource.RLIM_INFINITY)
        recorders.append(recorder_of("bag_2"))
        for process in (supervisor, recorders[1]):
            limit(process, 1)
        supervisor.kill()
        supervisor.wait()
        wait_until(lambda: not recorders[1].is_running())
    finally:
        supervisor.kill()  # and with it what it has started
        supervisor.wait()
        supervisor.stdout.close()
        rclpy.shutdown(context=context)
    for bag in ("bag", "bag_2"):
        with Bag(tmp_path / bag) as recording:
            assert {"/configuration", "/joint_states"} <= {message.topic for message in recording.messages()}, bag
