"""The learner as a process that is fed over shared memory, with batches that are not finite."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from jsac_ros import plugins
from jsac_ros.parameters import dump, from_parameters
from jsac_ros.replay import names
from jsac_ros.replay.ring import BatchRing
from jsac_ros.rig import Rig, write_spaces
from jsac_ros.types import batch_layout

DOMAIN = 80 + os.getpid() % 10
LIMIT = 3
CONFIG = {
    "run.name": "not_finite", "cameras.wrist.height": 31, "cameras.wrist.width": 31, "task.type": "shadow",
    "robot.interface": "none", "actions.arm.type": "joint_velocity", "agent.conv_channels": (4, 4, 4, 4), "agent.latent_dim": 8, "agent.hidden": (16,), "replay.batch_size": 8,
    "learner.max_skipped_updates": LIMIT,
}  # fmt: skip


@pytest.mark.timeout(180)
def test_a_batch_that_is_not_finite_is_skipped_and_named_and_too_many_end_it(tmp_path, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    config = from_parameters(CONFIG)
    dump(config, tmp_path / "config.yaml")
    spaces = Rig.of(config).spaces
    write_spaces(tmp_path, spaces)
    ring = BatchRing.create(names.batches("not_finite"), batch_layout(spaces, 8), 2)
    command = [sys.executable, "-m", "jsac_ros.nodes.learner", "--ros-args", "--params-file", str(tmp_path / "config.yaml")]
    log = tmp_path / "learner.log"
    with open(log, "wb") as output:
        learner = subprocess.Popen(
            command, env=os.environ | {"JSAC_RUN_FOLDER": str(tmp_path)}, stdin=subprocess.DEVNULL, stdout=output,
            stderr=output,
        )  # fmt: skip
    rng, filled, returned = np.random.default_rng(0), 0, 0
    try:
        deadline = time.monotonic() + 150
        while learner.poll() is None and time.monotonic() < deadline:
            slot = ring.fill(0.2)
            if slot is None:
                continue
            returned += slot.returned is not None
            for field in slot.batch.fields.values():
                field[...] = rng.integers(0, 255, field.shape) if field.dtype != np.float32 else rng.random(field.shape)
            slot.batch.index[:] = 100 + np.arange(8)
            if filled >= 5:  # the sixth and all that follow
                slot.batch.reward[2] = np.nan
            ring.publish()
            filled += 1
        words = log.read_text()
        assert learner.wait(1) == 1, words
        assert "update 6 skipped, batch 6: not finite because of rows [102] of the store" in words
        assert f"{LIMIT} updates in a row were not finite and learned nothing, the last on rows [100, 101, 102, 103]" in words
        assert "the last good checkpoint is update" in words
        assert returned == 5, "TD errors of finite batches come back, those of others do not"
        assert (tmp_path / "policy").is_dir()
    finally:
        learner.kill()
        learner.wait()
        ring.close()


SEES_JOINTS = {
    "run.name": "killed", "task.type": "shadow", "robot.interface": "none", "agent.hidden": (8,), "replay.batch_size": 4,
    "learner.checkpoint_period_s": 0.2, "actions.arm.type": "joint_velocity",
}  # fmt: skip
CHOOSES = {"actions.arm.type": "joint_velocity_table", "actions.arm.joints": ("elbow_joint",), "actions.arm.table": (-1.0, 1.0)}


class Killed:
    """A learner process on batches of random numbers; a second one finds the run folder of the first."""

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
        # compiled without what takes long, and once: the second finds it
        faster = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "JAX_COMPILATION_CACHE_DIR": str(self.folder / "cache")}
        environment = os.environ | faster | {"JSAC_RUN_FOLDER": str(self.folder)}
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


@pytest.mark.timeout(180)
@pytest.mark.parametrize("algorithm", plugins.names("agent"))
def test_a_learner_that_is_killed_continues_its_counters(tmp_path, monkeypatch, algorithm):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    killed = Killed(tmp_path, algorithm)
    killed.start("first.log")
    try:
        killed.feed_until(killed.checkpoints)
        killed.process.send_signal(signal.SIGKILL)
        assert killed.process.wait(10) == -signal.SIGKILL
        before = killed.checkpoints()[-1]
        killed.start("second.log")
        killed.feed_until(lambda: killed.checkpoints()[-1] > before)
        (updates,) = re.findall(r"resumed after (\d+) updates", killed.log.read_text())
        assert int(updates) == before > 0
    finally:
        killed.close()
