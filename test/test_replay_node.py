"""The replay node as a process, fed over DDS as an actor would."""

import os
import resource
import signal
import subprocess
import sys
import time

import domains
import numpy as np
import pytest
import rclpy
from rclpy.qos import QoSProfile
from replay_cases import VARIANTS, make_episode, same

from jsac_ros import run_key
from jsac_ros.messages import to_message
from jsac_ros.msg import ReplayStatus, Transition, TransitionAck
from jsac_ros.nodes.transitions import CLASSES, TransitionSender
from jsac_ros.parameters import dump, from_parameters
from jsac_ros.replay import names
from jsac_ros.replay.outbox import Outbox
from jsac_ros.replay.ring import BatchRing
from jsac_ros.replay.store import FrameStore
from jsac_ros.rig import write_spaces
from jsac_ros.run_key import RunKey
from jsac_ros.supervision import NO_ROOM, STOP
from jsac_ros.types import batch_layout

DOMAIN = domains.take()
SPACES = VARIANTS["two images of two stacks"]
CONFIG = {
    "replay": {"capacity": 400, "batch_size": 8, "warmup_steps": 30}, "run": {"name": f"test{os.getpid()}"},
    "agent": {"type": "replay_plugins:Algorithm"}, "actions": {"arm": {"type": "not_here:AtAll"}},
}  # fmt: skip
AGENT = ("agent",)  # the only plug-in that replay imports
pytestmark = pytest.mark.timeout(240)  # processes start slowly on a loaded machine


class FakeRobotSide:
    """Sends transitions as an actor does: keeps them until they are acknowledged, sends again on request."""

    def __init__(self):
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node("sender", context=self.context)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.publisher = self.node.create_publisher(Transition, "transitions", QoSProfile(depth=200))
        self.node.create_subscription(TransitionAck, "transition_ack", self._on_ack, 10)
        self.node.create_timer(1.0, lambda: self.publish(self.outbox.stalled()))
        self.node.create_subscription(ReplayStatus, "replay_status", self._on_status, 10)
        self.outbox = Outbox(1000)
        self.acknowledged, self.status = 0, None

    def _on_ack(self, ack):
        self.acknowledged = ack.next_sequence
        self.publish(self.outbox.acknowledge(ack.next_sequence, ack.resend))

    def _on_status(self, status):
        self.status = status

    def send(self, transitions):
        for transition in transitions:
            assert self.outbox.sent == transition.sequence
            self.publish(self.outbox.add(to_message(transition, CLASSES)))

    def publish(self, held):
        for sequence, message in held:
            message.sequence, message.oldest_sequence = sequence, self.outbox.oldest
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
    config = from_parameters(CONFIG, AGENT)
    dump(config, tmp_path / "config.yaml")
    write_spaces(tmp_path, SPACES)
    path = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    started = []

    def start():
        command = [sys.executable, "-m", "jsac_ros.nodes.replay", "--ros-args"]
        command += ["--params-file", tmp_path / "config.yaml"]
        process = subprocess.Popen(
            command, env=os.environ | {"JSAC_RUN_FOLDER": str(tmp_path), "PYTHONPATH": path}, stdout=subprocess.PIPE,
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


def test_transitions_become_batches_and_survive_a_kill(system):
    config, start, side, folder = system
    sent = make_episode(40, spaces=SPACES) + make_episode(40, 41, spaces=SPACES, episode=1)
    replay = start()
    side.wait(lambda: side.publisher.get_subscription_count() > 0, "replay")
    side.send(sent[:41])
    side.wait(lambda: side.acknowledged == 41, "acknowledgements")

    layout = batch_layout(SPACES, 8)
    with pytest.raises(ValueError, match="another process"):
        BatchRing.create(names.batches(config.run.name), layout, 2)
    ring = BatchRing.attach(names.batches(config.run.name), layout)
    taken = ring.take(30.0)
    assert taken is not None and set(np.unique(abs(taken.batch.index))) <= set(range(1, 41))
    helped = FrameStore.read(folder / "interventions")
    for k, index in enumerate(taken.batch.index):
        if index < 0:  # of what a person did, which is kept a second time
            index = int(helped.rows["sequence"][-index - 1]) + 1
        for name, frames in taken.batch.frames.items():
            np.testing.assert_array_equal(frames[k, -2:], [t.frames[name] for t in sent[index - 1 : index + 1]])
    ring.give_back(np.ones(8, np.float32))

    replay.kill()
    replay.wait()
    side.send(sent[41:])  # to no subscriber
    replay = start()
    side.wait(lambda: side.acknowledged == len(sent), "what was sent while replay was dead")
    assert ring.take(30.0).sequence >= 2
    side.wait(lambda: side.status is not None and side.status.received == len(sent), "a status")
    assert side.status.lost == side.status.refused == 0 and side.status.valid == 80
    assert side.status.received_before == 41  # what it held after the kill

    replay.send_signal(signal.SIGTERM)
    assert replay.wait(30) == -signal.SIGTERM, replay.stdout.read()
    assert ring.abandoned()
    ring.close()
    assert not [name for name in os.listdir("/dev/shm") if config.run.name in name]
    store = FrameStore.read(folder)
    assert all(same(store.transition(slot), t) for slot, t in zip(store.live_slots(), sent, strict=True))
    assert store.damaged() == []


def test_a_second_replay_is_refused_with_one_line(system):
    _, start, side, _ = system
    first = start()
    side.wait(lambda: side.publisher.get_subscription_count() > 0, "replay")
    second = start()
    output, _ = second.communicate(timeout=60)
    assert second.returncode == 2
    assert f"replay of process {first.pid}" in output and "Traceback" not in output
    assert first.poll() is None


def test_what_is_malformed_is_counted_named_and_does_not_block(system):
    config, start, side, _ = system
    sent = make_episode(10, spaces=SPACES)
    sent[3] = sent[3]._replace(frames=sent[3].frames | {"wrist": np.zeros((4, 4, 3), np.uint8)})
    sent[6] = sent[6]._replace(reward=float("nan"))
    sent[7] = sent[7]._replace(vectors={"wrench": np.zeros(6, np.float32)})
    replay = start()
    side.wait(lambda: side.publisher.get_subscription_count() > 0, "replay")
    side.send(sent)
    side.wait(lambda: side.acknowledged == 11, "acknowledgements")
    side.wait(lambda: side.status is not None and side.status.received == 8, "a status")
    assert side.status.refused == 3
    assert side.status.waiting_for == "warm-up 8/30"
    replay.send_signal(signal.SIGTERM)
    output, _ = replay.communicate(timeout=30)
    assert "refused: transition 3 of 'ur5': frame 'wrist' is [4, 4, 3]; expected [4, 5, 3]" in output


def fill_disk(process):
    """A process finds its disk, and /dev/shm, full; -> the limits of before."""
    limits = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (128 + 20 * 60, limits[1]))
    return limits


def test_a_full_disk_holds_transitions_back_and_loses_none(system):
    """Nor does a kill meanwhile."""
    config, start, side, folder = system
    sent = make_episode(60, spaces=SPACES)
    replay = start()
    side.wait(lambda: side.publisher.get_subscription_count() > 0, "replay")
    limits = fill_disk(replay)
    side.send(sent[:40])
    side.wait(lambda: side.status is not None and side.status.problem.startswith("disk ("), "the complaint")
    assert side.acknowledged <= 20 and side.status.lost == 0
    replay.kill()
    replay.wait()
    replay = start()
    fill_disk(replay)
    words, _ = replay.communicate(timeout=30)
    assert replay.returncode == NO_ROOM and "Traceback" not in words, words
    side.status, before = None, side.acknowledged
    replay = start()
    side.wait(lambda: side.status is not None and side.acknowledged == 40, "the transitions that were held back")
    assert side.status.received_before >= before
    fill_disk(replay)
    side.send(sent[40:])
    side.wait(lambda: side.status.problem.startswith("disk ("), "the next complaint")
    resource.prlimit(replay.pid, resource.RLIMIT_FSIZE, limits)
    side.wait(lambda: side.acknowledged == 61 and side.status.received == 61, "all")
    assert side.status.lost == side.status.refused == 0 and side.status.valid == 60
    replay.send_signal(STOP)
    assert replay.wait(30) == 0
    store = FrameStore.read(folder)
    assert all(same(store.transition(slot), t) for slot, t in zip(store.live_slots(), sent, strict=True))


class Stranger:
    """Hears an actor and replay, and publishes the same messages with other numbers."""

    def __init__(self, side):
        self.side, self.heard, self.acks = side, [], []
        self.transitions = side.node.create_publisher(Transition, "transitions", QoSProfile(depth=200))
        self.acknowledgements = side.node.create_publisher(TransitionAck, "transition_ack", 10)
        side.node.create_subscription(Transition, "transitions", self.heard.append, QoSProfile(depth=200))
        side.node.create_subscription(TransitionAck, "transition_ack", self.acks.append, 10)

    def transition(self, sequence, oldest, **changes):
        message = self.heard[-1]
        message.sequence, message.oldest_sequence = sequence, oldest
        for name, value in changes.items():
            setattr(message, name, value)
        self.transitions.publish(message)

    def acknowledge(self, next_sequence):
        message = self.acks[-1]
        message.next_sequence = next_sequence
        self.acknowledgements.publish(message)


@pytest.mark.parametrize("has_key", [True, False])
def test_no_transition_is_lost_whatever_a_stranger_sends(system, tmp_path, monkeypatch, has_key):
    """With a key nothing of a stranger counts; without one, nothing beyond what was sent."""
    config, start, side, folder = system
    if has_key:
        run_key.make(tmp_path)
    monkeypatch.setenv("JSAC_RUN_FOLDER", str(tmp_path))
    sent = make_episode(90, spaces=SPACES)
    sender, refused = TransitionSender(side.node, "ur5", 1, RunKey.of(config)), []
    on_ack = sender._on_ack

    def hear(message):
        try:
            on_ack(message)
        except ValueError as error:
            refused.append(str(error))

    for subscription in [s for s in side.node.subscriptions if s.callback in (on_ack, side._on_ack)]:
        side.node.destroy_subscription(subscription)
    side.node.create_subscription(TransitionAck, "transition_ack", hear, 10)
    replay, stranger = start(), Stranger(side)
    side.wait(lambda: side.publisher.get_subscription_count() == 2, "replay and the stranger")
    for k, transition in enumerate(sent):
        sender.send(transition)
        side.wait(lambda: len(stranger.heard) > k and stranger.acks, "a message to copy")
        if k % 10 == 3:
            stranger.transition(2**63, 2**63)
            stranger.transition(10**6 + k, 10**6 + k)
            stranger.acknowledge(10**6)
        if k % 10 == 6 and has_key:  # what no number gives away
            stranger.transition(k + 1, 0, reward=7.0)
            stranger.transition(k + 50, k + 50)
            stranger.transition(k + 50, k + 50)
            stranger.acknowledge(k + 1)
        if k == 45:
            replay.kill()
            replay.wait()
            if has_key:
                stranger.acknowledge(k + 1)
            replay = start()
            side.wait(lambda: len(sender.outbox) == 0, "what replay lacked")
    side.wait(lambda: len(sender.outbox) == 0, "acknowledgements")
    assert refused and (not has_key or any("authentication code" in line for line in refused))
    replay.send_signal(STOP)
    assert replay.wait(30) == 0, replay.stdout.read()
    store = FrameStore.read(folder)
    assert len(store.live_slots()) == len(sent) and store.counters["lost"] == 0
    assert all(same(store.transition(slot), t) for slot, t in zip(store.live_slots(), sent, strict=True))


@pytest.mark.parametrize(
    "spaces, change, message",
    [
        (VARIANTS["no image"], {}, "image 'scene' is not expected; image 'wrist' is not expected"),
        (SPACES, {"capacity": 401}, "capacity is 400; expected 401"),
        (SPACES, {"demonstrations": "/nowhere"}, "no replay store"),
        (SPACES, {"batch_size": 10**9}, "free in /dev/shm"),
    ],
)
def test_what_does_not_fit_ends_with_one_line(system, tmp_path, spaces, change, message):
    config, start, _, folder = system
    FrameStore.open(folder, SPACES, config.replay.capacity).close()
    write_spaces(tmp_path, spaces)
    dump(from_parameters(CONFIG | {"replay": CONFIG["replay"] | change}, AGENT), tmp_path / "config.yaml")
    process = start()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2 and message in output and "Traceback" not in output
    assert not [name for name in os.listdir("/dev/shm") if config.run.name in name]
