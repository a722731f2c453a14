"""The replay node as a process, fed over DDS as an actor would."""

import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import rclpy
from replay_cases import make_episode, same_step
from rclpy.qos import QoSProfile

from jsac_ros.config import dump, from_parameters, spec_of
from jsac_ros.msg import ReplayStatus, Transition, TransitionAck
from jsac_ros.nodes.transitions import to_message
from jsac_ros.replay import names
from jsac_ros.replay.outbox import Outbox
from jsac_ros.replay.ring import BatchRing
from jsac_ros.replay.store import FrameStore
from jsac_ros.types import batch_layout

DOMAIN = 100 + os.getpid() % 20
CONFIG = {
    "camera": {"height": 32, "width": 40}, "task": {"stack": 2, "controlled_joints": 2},
    "replay": {"capacity": 400, "batch_size": 8, "warmup_steps": 30}, "run": {"name": f"test{os.getpid()}"},
}  # fmt: skip


class FakeRobotSide:
    """Sends steps as an actor does: keeps them until they are acknowledged, sends again on request."""

    def __init__(self):
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node("sender", context=self.context)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.publisher = self.node.create_publisher(Transition, "transitions", QoSProfile(depth=200))
        self.node.create_subscription(TransitionAck, "transition_ack", self._on_ack, 10)
        self.node.create_timer(1.0, lambda: self._send_again(self.outbox.stalled()))
        self.node.create_subscription(ReplayStatus, "replay_status", self._on_status, 10)
        self.outbox = Outbox(1000)
        self.acknowledged, self.status = 0, None

    def _on_ack(self, ack):
        self.acknowledged = ack.next_sequence
        self._send_again(self.outbox.acknowledge(ack.next_sequence, ack.resend))

    def _send_again(self, messages):
        for message in messages:
            message.oldest_sequence = self.outbox.oldest
            self.publisher.publish(message)

    def _on_status(self, status):
        self.status = status

    def send(self, steps):
        for step in steps:
            message = to_message(step)
            assert self.outbox.add(message) == step.sequence
            message.oldest_sequence = self.outbox.oldest
            self.publisher.publish(message)

    def wait(self, condition, what):
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, f"waited 60 s for {what}; last status {self.status}"
            self.executor.spin_once(0.05)

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def system(tmp_path, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    config = from_parameters(CONFIG)
    dump(config, tmp_path / "config.yaml")
    started = []

    def start():
        command = [sys.executable, "-m", "jsac_ros.nodes.replay", "--ros-args"]
        command += ["--params-file", tmp_path / "config.yaml"]
        process = subprocess.Popen(
            command, env=os.environ | {"JSAC_RUN_FOLDER": str(tmp_path)}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    side = FakeRobotSide()
    yield config, start, side, tmp_path / "replay"
    side.close()
    for process in started:
        if process.poll() is None:
            process.kill()
        if not process.stdout.closed:
            print(process.communicate()[0])
    names.remove_leftovers(config.run.name)


def test_steps_become_batches_and_survive_a_kill(system):
    config, start, side, folder = system
    spec = spec_of(config, 6)
    steps = make_episode(40, spec=spec) + make_episode(40, 41, spec=spec, episode=1)
    replay = start()
    side.wait(lambda: side.publisher.get_subscription_count() > 0, "replay")
    side.send(steps[:41])
    side.wait(lambda: side.acknowledged == 41, "acknowledgements")

    layout = batch_layout(spec, 8)
    with pytest.raises(ValueError, match="another process"):
        BatchRing.create(names.batches(config.run.name), layout, 2)
    ring = BatchRing.attach(names.batches(config.run.name), layout)
    taken = ring.take(30.0)
    assert taken is not None and set(np.unique(taken.batch.index)) <= set(range(1, 41))
    for k, index in enumerate(taken.batch.index):
        np.testing.assert_array_equal(taken.batch.frames[k, 1:], [s.frame for s in steps[index - 1 : index + 1]])
    ring.give_back(np.ones(8, np.float32))

    replay.kill()
    replay.wait()
    side.send(steps[41:])  # nobody hears them
    replay = start()
    side.wait(lambda: side.acknowledged == len(steps), "what was sent while replay was dead")
    assert ring.take(30.0).sequence >= 2
    side.wait(lambda: side.status is not None and side.status.received == len(steps), "a status")
    assert side.status.lost == side.status.refused == 0 and side.status.valid == 80
    assert side.status.received_before == 41  # what it held after the kill

    replay.send_signal(signal.SIGTERM)
    assert replay.wait(30) == 0, replay.stdout.read()
    assert ring.abandoned()
    ring.close()
    assert not [name for name in os.listdir("/dev/shm") if config.run.name in name]
    store = FrameStore.read(folder)
    assert all(same_step(store.step(slot), step) for slot, step in zip(store.live_slots(), steps))
    assert store.damaged() == []


def test_a_second_replay_is_refused_with_one_line(system):
    _, start, side, _ = system
    first = start()
    side.wait(lambda: side.publisher.get_subscription_count() > 0, "replay")
    second = start()
    output, _ = second.communicate(timeout=60)
    assert second.returncode == 2
    assert "another process has it open" in output and "Traceback" not in output
    assert first.poll() is None


def test_what_is_malformed_is_counted_and_does_not_block(system):
    config, start, side, _ = system
    spec = spec_of(config, 6)
    steps = make_episode(10, spec=spec)
    small = np.zeros((30, 40, 3), np.uint8)
    steps[3] = steps[3]._replace(frame=small)
    steps[6] = steps[6]._replace(reward=float("nan"))
    start()
    side.wait(lambda: side.publisher.get_subscription_count() > 0, "replay")
    side.send(steps)
    side.wait(lambda: side.acknowledged == 11, "acknowledgements")
    side.wait(lambda: side.status is not None and side.status.received == 9, "a status")
    assert side.status.refused == 2
    assert side.status.waiting_for == "warm-up 9/30"


def test_a_full_disk_holds_steps_back_and_loses_none(system):
    config, start, side, folder = system
    spec = spec_of(config, 6)
    steps = make_episode(60, spec=spec)
    replay = start()
    side.wait(lambda: side.publisher.get_subscription_count() > 0, "replay")
    limits = resource.prlimit(replay.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(replay.pid, resource.RLIMIT_FSIZE, (20 * steps[0].frame.size, limits[1]))  # stands for a full disk
    side.send(steps)
    side.wait(lambda: side.status is not None and side.status.waiting_for.startswith("disk ("), "the complaint")
    assert side.acknowledged < 20 and side.status.lost == 0
    resource.prlimit(replay.pid, resource.RLIMIT_FSIZE, limits)
    side.wait(lambda: side.acknowledged == 61, "the steps that were held back")
    side.wait(lambda: side.status.received == 61, "a status")
    assert side.status.lost == side.status.refused == 0 and side.status.valid == 60


@pytest.mark.parametrize(
    "section, change, message",
    [
        ("camera", {"width": 48}, "holds Spec("),
        ("replay", {"capacity": 401}, "with capacity 400; expected"),
        ("replay", {"demonstrations": "/nowhere"}, "no replay store"),
        ("replay", {"batch_size": 10**9}, "free in /dev/shm"),
    ],
)
def test_what_does_not_fit_ends_with_one_line(system, tmp_path, section, change, message):
    config, start, _, folder = system
    FrameStore.open(folder, spec_of(config, 6), config.replay.capacity).close()
    dump(from_parameters(CONFIG | {section: CONFIG[section] | change}), tmp_path / "config.yaml")
    process = start()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2 and message in output and "Traceback" not in output
    assert not [name for name in os.listdir("/dev/shm") if config.run.name in name]
