"""The learner as a process that is fed over shared memory, with batches that are not finite."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

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
