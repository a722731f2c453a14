"""The learner as a process that is fed over shared memory, with batches that are not finite and with a full disk."""

import os
import re
import resource
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import domains
import numpy as np
import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from jsac_ros import plugins
from jsac_ros.msg import TrainingStatus
from jsac_ros.parameters import dump, from_parameters
from jsac_ros.replay import names
from jsac_ros.replay.ring import BatchRing
from jsac_ros.replay.segment import remove
from jsac_ros.rig import Rig, write_spaces
from jsac_ros.types import batch_layout

DOMAIN = domains.take()
LIMIT = 3
FASTER = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # compiled without what takes long
CONFIG = {
    "run.name": "not_finite", "cameras.wrist.height": 31, "cameras.wrist.width": 31, "task.type": "shadow",
    "robot.interface": "none", "actions.arm.type": "joint_velocity", "agent.conv_channels": (4, 4, 4, 4), "agent.latent_dim": 8, "agent.hidden": (16,), "replay.batch_size": 8,
    "learner.max_skipped_updates": LIMIT,
}  # fmt: skip


class Learner:
    """The process, its ring, and what it says."""

    def __init__(self, folder, name, **changes):
        self.name = name
        config = from_parameters(CONFIG | {"run.name": name} | changes)
        dump(config, folder / "config.yaml")
        spaces = Rig.of(config).spaces
        write_spaces(folder, spaces)
        self.ring = BatchRing.create(names.batches(name), batch_layout(spaces, 8), 2)
        command = [sys.executable, "-m", "jsac_ros.nodes.learner", "--ros-args", "--params-file", str(folder / "config.yaml")]
        self.log = folder / "learner.log"
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(
                command, env=os.environ | FASTER | {"JSAC_RUN_FOLDER": str(folder)}, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output,
            )  # fmt: skip
        self._random, self.filled, self.returned = np.random.default_rng(0), 0, 0

    def feed(self, spoil=lambda number, batch: None):
        """One batch, where there is a slot for it; `spoil` is given it before it goes."""
        slot = self.ring.fill(0.2)
        if slot is None:
            return
        self.returned += slot.returned is not None
        for field in slot.batch.fields.values():
            floats = field.dtype == np.float32
            field[...] = self._random.random(field.shape) if floats else self._random.integers(0, 255, field.shape)
        slot.batch.index[:] = 100 + np.arange(8)
        spoil(self.filled, slot.batch)
        self.ring.publish()
        self.filled += 1

    def close(self):
        self.process.kill()
        self.process.wait()
        self.ring.close()
        remove(names.policy(self.name))  # as the starter does after a kill


@pytest.fixture
def start(tmp_path, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    started = []

    def make(name, **changes):
        started.append(Learner(tmp_path, name, **changes))
        return started[-1]

    yield make
    for learner in started:
        learner.close()


@pytest.mark.timeout(180)
def test_a_batch_that_is_not_finite_is_skipped_and_named_and_too_many_end_it(start, tmp_path):
    learner = start("not_finite")

    def spoil(number, batch):
        if number >= 5:  # the sixth and all that follow
            batch.reward[2] = np.nan

    deadline = time.monotonic() + 150
    while learner.process.poll() is None and time.monotonic() < deadline:
        learner.feed(spoil)
    words = learner.log.read_text()
    assert learner.process.wait(1) == 1, words
    assert "update 6 skipped, batch 6: not finite because of rows [102] of the store" in words
    assert f"{LIMIT} updates in a row were not finite and learned nothing, the last on rows [100, 101, 102, 103]" in words
    assert "the last good checkpoint is update" in words
    assert learner.returned == 5, "TD errors of finite batches come back, those of others do not"
    assert (tmp_path / "policy").is_dir()


@pytest.fixture
def heard():
    """The newest training_status, and /diagnostics of the learner; `look()` takes what has come."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    node = rclpy.create_node("hears", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    heard = SimpleNamespace(status=TrainingStatus(checkpoint=-1), levels={}, look=lambda: executor.spin_once(timeout_sec=0.0))
    node.create_subscription(TrainingStatus, "training_status", lambda m: setattr(heard, "status", m), 10)
    node.create_subscription(
        DiagnosticArray, "/diagnostics", lambda m: heard.levels.update({s.name: s.level for s in m.status}), 10
    )
    yield heard
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.timeout(180)
def test_a_checkpoint_that_fails_is_said_and_the_next_is_written_when_there_is_room(start, heard, tmp_path):
    learner = start("no_room", **{"learner.checkpoint_period_s": 1.0})

    def until(condition, what):
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline and learner.process.poll() is None, f"{what}: {learner.log.read_text()}"
            learner.feed()
            heard.look()

    until(lambda: heard.status.checkpoint >= 0, "the first checkpoint")
    limits = resource.prlimit(learner.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(learner.process.pid, resource.RLIMIT_FSIZE, (10_000, limits[1]))
    until(lambda: heard.status.problem, "a problem")
    updates, last = heard.status.updates, heard.status.checkpoint
    until(lambda: heard.status.problem and heard.status.updates > updates + 20, "that it learns on")
    assert heard.status.state == "learning" and heard.status.checkpoint in (last, -1)
    assert heard.levels["jsac_ros/learner: state"] == DiagnosticStatus.ERROR
    resource.prlimit(learner.process.pid, resource.RLIMIT_FSIZE, limits)
    until(lambda: not heard.status.problem and heard.status.checkpoint > last, "the next checkpoint")
    assert "the next try in 1 s" in learner.log.read_text()
    newest = tmp_path / "checkpoints" / str(heard.status.checkpoint)
    assert newest.is_dir()


SEES_JOINTS = {
    "run.name": "killed", "task.type": "shadow", "robot.interface": "none", "agent.hidden": (8,), "replay.batch_size": 4,
    "learner.checkpoint_period_s": 0.2, "actions.arm.type": "joint_velocity",
}  # fmt: skip
CHOOSES = {"actions.arm.type": "joint_velocity_table", "actions.arm.joints": ("elbow_joint",), "actions.arm.table": (-1.0, 1.0)}


class Killed:
    """A learner process on batches of random numbers; a second one finds the run folder of the first."""

    name = SEES_JOINTS["run.name"]

    def __init__(self, folder, algorithm):
        values = SEES_JOINTS | {"agent.type": algorithm} | (CHOOSES if algorithm == "dqn" else {})
        config = from_parameters(values)
        self.folder, spaces = folder, Rig.of(config).spaces
        dump(config, folder / "config.yaml")
        write_spaces(folder, spaces)
        self.ring = BatchRing.create(names.batches("killed"), batch_layout(spaces, 4), 2)
        self.rng = np.random.default_rng(0)

    def start(self, log):
        command = [sys.executable, "-m", "jsac_ros.nodes.learner", "--ros-args", "--params-file", self.folder / "config.yaml"]
        once = {"JAX_COMPILATION_CACHE_DIR": str(self.folder / "cache")}  # the second finds what the first has compiled
        environment = once | os.environ | FASTER | {"JSAC_RUN_FOLDER": str(self.folder)}
        self.log = self.folder / log
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def feed_until(self, condition, timeout_s=60):
        """Batches, as replay fills them."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            slot = self.ring.fill(0.1)
            if slot is None:
                continue
            for field in slot.batch.fields.values():
                field[...] = self.rng.random(field.shape).astype(field.dtype)
            self.ring.publish()

    def checkpoints(self):
        """Updates of the complete ones."""
        return sorted(int(path.name) for path in (self.folder / "checkpoints").glob("*") if path.name.isdigit())

    def close(self):
        self.process.kill()
        self.process.wait()
        self.ring.close()
        remove(names.policy(self.name))  # as the starter does after a kill


@pytest.mark.timeout(180)
@pytest.mark.parametrize("algorithm", plugins.names("agent"))
def test_a_learner_that_is_killed_on_a_full_disk_continues_its_counters(tmp_path, monkeypatch, algorithm):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    killed = Killed(tmp_path, algorithm)
    killed.start("first.log")
    try:
        killed.feed_until(killed.checkpoints)
        limits = resource.prlimit(killed.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(killed.process.pid, resource.RLIMIT_FSIZE, (1000, limits[1]))  # its disk is full: the next ones fail
        end_s = time.monotonic() + 0.5
        killed.feed_until(lambda: time.monotonic() > end_s)
        killed.process.send_signal(signal.SIGKILL)
        assert killed.process.wait(10) == -signal.SIGKILL
        before = killed.checkpoints()[-1]
        killed.start("second.log")
        killed.feed_until(lambda: killed.checkpoints()[-1] > before)
        (updates,) = re.findall(r"resumed after (\d+) updates", killed.log.read_text())
        assert int(updates) == before > 0
    finally:
        killed.close()
