"""Where the critic looks: the gradient itself, the child that computes it from a run folder, and its life with the viewers."""

import os
import subprocess
import sys
import time

import agent_cases
import cv2
import jax
import numpy as np
import pytest
from replay_cases import make_transition

from jsac_ros import agent as agents
from jsac_ros import system
from jsac_ros.agent.checkpoint import Checkpoints
from jsac_ros.agent.observation import Inputs
from jsac_ros.agent.saliency import make_saliency
from jsac_ros.dashboard import saliency as parent
from jsac_ros.dashboard.saliency import HEAT, Saliency, read, write
from jsac_ros.dashboard.saliency_child import Looks, painted
from jsac_ros.parameters import load
from jsac_ros.replay.store import FrameStore
from jsac_ros.rig import read_spaces


@pytest.mark.parametrize("algorithm", agent_cases.ALGORITHMS)
def test_a_pixel_is_as_hot_as_it_moves_the_value(algorithm):
    """Against differences: the hottest parts of the image move the value more than the coldest ones."""
    agent = agents.build(agent_cases.small(algorithm), agent_cases.spaces_of("both", algorithm))
    state, seen = agent.init(3), agent_cases.random_observation(agent.spaces)
    heat = make_saliency(agent)(state, seen)["wrist"]
    assert heat.shape == (17, 19) and heat.dtype == np.float32 and heat.max() == 1.0 and heat.min() >= 0

    value = jax.jit(agent.state_value)
    vector = np.concatenate([seen[vector.name] for vector in agent.spaces.vectors])[None]
    here = float(value(state, Inputs({"wrist": seen["wrist"][None].astype(np.float32)}, vector))[0])
    moved = []
    for place in np.argsort(heat, axis=None)[[0, 1, 2, 3, -4, -3, -2, -1]]:
        row, column = np.unravel_index(place, heat.shape)
        change = 0.0
        for channel in range(seen["wrist"].shape[-1]):
            image = seen["wrist"][None].astype(np.float32)
            image[0, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2, channel] += 1.0
            change += abs(float(value(state, Inputs({"wrist": image}, vector))[0]) - here)
        moved.append(change)
    assert np.mean(moved[4:]) > 2 * np.mean(moved[:4])


def test_the_heat_is_red_to_yellow_and_opaque_where_it_is_hot():
    image = cv2.imdecode(np.frombuffer(painted(np.array([[0.0, 0.5, 1.0]], np.float32)), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(image[0], [[0, 0, 255, 0], [0, 128, 255, 102], [0, 255, 255, 204]])


@pytest.fixture
def run(tmp_path):
    """A run folder as learner and replay fill it, small."""
    values = {"run.folder": str(tmp_path), "cameras.wrist.height": 16, "cameras.wrist.width": 20, "agent.hidden": (16,),
              "agent.conv_channels": (4,), "agent.conv_strides": (2,), "agent.latent_dim": 7}  # fmt: skip
    return system.make_run_folder(load("ur5_reacher_demo", values))


def test_it_is_computed_from_the_newest_checkpoint_and_the_newest_stored_step(run):
    looks, spaces = Looks(run), read_spaces(run)
    assert looks.again() == ("Waiting for the first checkpoint of this run.", {})
    with Checkpoints(run / "checkpoints", looks._agent) as checkpoints:
        state = looks._agent.init(0)
        checkpoints.save(state.replace(step=state.step + 40), {})
    assert looks.again() == ("Waiting for a new step in the store.", {})
    store = FrameStore.open(run / "replay", spaces, 64)
    for step in range(2):
        store.append(make_transition(spaces, sequence=step, step=step))
    text, heat = looks.again()
    assert text == "From the checkpoint after 40 updates." and heat["wrist"].shape == (16, 20) and heat["wrist"].max() == 1
    assert looks.again() == ("Waiting for a new step in the store.", {}), "the same step is not looked at again"
    store.close()


def test_reading_a_checkpoint_leaves_what_the_learner_is_writing(run):
    looks = Looks(run)
    with Checkpoints(run / "checkpoints", looks._agent) as checkpoints:
        checkpoints.save(looks._agent.init(0), {})
    unfinished = run / "checkpoints" / "8.orbax-checkpoint-tmp"
    unfinished.mkdir()
    with Checkpoints(run / "checkpoints", looks._agent, read_only=True) as checkpoints:
        assert int(checkpoints.restore()[0].step) == 0
    assert unfinished.is_dir()


def test_messages_of_the_child_are_read_whole_or_not_at_all(tmp_path):
    file = tmp_path / "pipe"
    with open(file, "wb") as pipe:
        write(pipe, b"{}\0\x89PNG")
        pipe.write(b"\0\0\0\x09cut")
    with open(file, "rb") as pipe:
        assert read(pipe) == b"{}\0\x89PNG" and read(pipe) is None


CHILD = """
import json, sys, time
from jsac_ros.dashboard.saliency import write
write(sys.stdout.buffer, json.dumps({"text": "From the checkpoint."}).encode() + b"\\0")
write(sys.stdout.buffer, json.dumps({"image": "wrist:heat"}).encode() + b"\\0" + b"png")
time.sleep(60)
"""


def test_the_child_lives_while_a_viewer_asks(tmp_path, monkeypatch):
    shown, said = {}, []
    saliency = Saliency(tmp_path, shown.__setitem__, said.append)
    saliency._command = [sys.executable, "-c", CHILD]
    saliency.update(False)
    assert saliency._child is None and not said
    saliency.update(True)
    pid, end_s = saliency._child.pid, time.monotonic() + 20
    while not shown and time.monotonic() < end_s:
        time.sleep(0.05)
    assert shown == {"wrist" + HEAT: b"png"} and said == ["Starting.", "From the checkpoint."]
    saliency.update(False)
    assert os.path.exists(f"/proc/{pid}"), "a viewer that reloads the page does not start it again"
    monkeypatch.setattr(parent, "_LINGERS_S", 0.0)
    saliency.update(False)
    assert saliency._child is None and not os.path.exists(f"/proc/{pid}")
    saliency.close()


def test_the_page_imports_no_jax():
    modules = ", ".join(f"jsac_ros.dashboard.{name}" for name in ("app", "saliency", "events", "projection", "ticks"))
    code = f"import sys, {modules}; print('jax' in sys.modules, 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False False\n"
