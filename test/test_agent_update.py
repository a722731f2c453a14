"""The update's scaffold: stacks of several images, refusal of wrong batches, several devices."""

from __future__ import annotations

import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from agent_cases import BESIDE, IMAGE, SMALL, agent_of, compiled_update, flat, host, random_batch, small

from jsac_ros.agent.agent import with_encoder
from jsac_ros.agent.devices import Devices
from jsac_ros.agent.observation import observations_of, stacks
from jsac_ros.agent.update import sample_of


def test_stack_puts_the_oldest_frame_first():
    frames = np.arange(2 * 4 * 3 * 2 * 3, dtype=np.uint8).reshape(2, 4, 3, 2, 3)
    image, following = stacks(frames, 3)
    for s in range(3):
        np.testing.assert_array_equal(image[..., 3 * s : 3 * s + 3], frames[:, s])
        np.testing.assert_array_equal(following[..., 3 * s : 3 * s + 3], frames[:, s + 1])


@pytest.mark.parametrize(("mode", "scene"), [("two images, separate", SMALL), ("two images, joined", BESIDE)])
@pytest.mark.parametrize("n_step", [1, 3])
def test_every_image_is_stacked_by_its_own_length(mode, scene, n_step):
    agent = agent_of(mode)
    batch = random_batch(agent.spaces, n_step=n_step)
    observation, following = observations_of(agent.spaces, batch)
    for image in (IMAGE, scene):
        frames, channels = batch.frames[image.name], image.channels
        for s in range(image.stack):
            part = np.s_[..., channels * s : channels * (s + 1)]
            np.testing.assert_array_equal(observation.images[image.name][part], frames[:, s])
            np.testing.assert_array_equal(following.images[image.name][part], frames[:, s - image.stack])
        assert observation.images[image.name].shape == (8, *image.shape)
    np.testing.assert_array_equal(observation.vector, flat(batch.vectors))
    np.testing.assert_array_equal(following.vector, flat(batch.next_vectors))


def test_images_of_a_joined_encoder_move_together_and_those_of_separate_ones_apart():
    """A gradient of brightness tells where each image was moved to."""
    for mode, together in (("two images, joined", True), ("two images, separate", False)):
        agent = agent_of(mode)
        batch = random_batch(agent.spaces, size=64)
        for image in agent.spaces.images:
            ramp = 10 * np.arange(image.height)[:, None] + np.arange(image.width)
            batch.frames[image.name][:] = ramp[:, :, None].astype(np.uint8)
        keys = jax.random.split(jax.random.PRNGKey(0))
        sample = host(sample_of(agent, batch, *keys))
        offsets = {}
        for image in agent.spaces.images:
            middle = np.s_[:, image.height // 2, image.width // 2, 0]
            offsets[image.name] = sample.observation.images[image.name][middle].astype(int) - int(ramp_at(image))
            assert np.ptp(offsets[image.name]) > 40
        assert np.array_equal(offsets["wrist"], offsets["scene"]) == together
        assert not np.array_equal(sample.observation.images["wrist"], sample.next_observation.images["wrist"])


def ramp_at(image) -> int:
    return (10 * (image.height // 2) + image.width // 2) % 256


@pytest.mark.parametrize(
    ("path", "change", "message"),
    [
        ("frames/wrist", lambda x: x.astype(np.float32), r"batch.frames/wrist is float32\[8, 3, 17, 19, 3\]; expected uint8"),
        ("frames/wrist", lambda x: x[..., :1], r"batch.frames/wrist is uint8\[8, 3, 17, 19, 1\]; .*\[8, 3, 17, 19, 3\]"),
        ("frames/wrist", lambda x: None, r"batch.frames/wrist is missing; expected frames/scene, frames/wrist, "),
        ("frames/tool", lambda x: np.zeros(8), r"batch.frames/tool is unknown; expected frames/scene, frames/wrist, "),
        ("reward", lambda x: x[:, None], r"batch.reward is float32\[8, 1\]; expected float32\[8\]"),
        ("action/arm", lambda x: x[:, :1], r"batch.action/arm is float32\[8, 1\]; expected float32\[8, 2\]"),
        ("vectors/wrench", lambda x: x[:, :1], r"batch.vectors/wrench is float32\[8, 1\]; expected float32\[8, 2\]"),
    ],
)
def test_wrong_batch_is_refused_naming_both(path, change, message):
    agent = agent_of("two images, separate")
    batch = random_batch(agent.spaces)
    changed = change(batch.fields.get(path))
    fields = batch.fields | {path: changed}
    if changed is None:
        del fields[path]
    with pytest.raises(ValueError, match=message):
        compiled_update(agent)(agent.template, type(batch).of(fields))


def test_encoder_from_elsewhere_is_taken_over_or_refused():
    agent = agent_of("image")
    encoder = agent.init(7).params["critic"]["encoder"]
    state = with_encoder(agent.init(0), encoder)
    for tree in (state.params["critic"], state.target):
        np.testing.assert_array_equal(tree["encoder"]["wrist"]["conv_0"]["kernel"], encoder["wrist"]["conv_0"]["kernel"])
    compiled_update(agent)(state, random_batch(agent.spaces))
    wide = agent_of("image", "jsac", small(conv_channels=(5,))).init(7).params["critic"]["encoder"]
    with pytest.raises(ValueError, match=r"encoder\['wrist'\]\['conv_0'\]\['bias'\] is \(5,\); expected \(4,\)"):
        with_encoder(agent.init(0), wide)


def test_the_target_of_a_value_function_has_no_encoder_to_take_over():
    agent = agent_of("image", "sac_v")
    state = with_encoder(agent.init(0), agent.init(7).params["critic"]["encoder"])
    assert jax.tree.structure(state) == jax.tree.structure(agent.template)


FOUR_DEVICES = """
import jax, numpy as np
from agent_cases import agent_of, random_batch
from jsac_ros.agent.learning import Learner

agent = agent_of("both")
assert len(jax.devices()) == 4
learners = {}
for count in (1, 4):
    learners[count] = Learner(agent, agent.init(3), count)
    learners[count].learn(random_batch(agent.spaces, seed=k) for k in range(2))
leaf = learners[4].state.params["actor"]["mean"]["kernel"]
assert len(leaf.sharding.device_set) == 4 and leaf.sharding.is_fully_replicated
one, four = (jax.tree_util.tree_leaves_with_path((l.state.params, l.state.target, l.metrics)) for l in learners.values())
for (path, a), (_, b) in zip(one, four, strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5, err_msg=jax.tree_util.keystr(path))
try:
    Learner(agent, agent.init(3), 4).compile(batch_size=6)
except ValueError as error:
    print(error)
"""


def test_a_batch_shared_by_four_devices_teaches_the_same():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    paths = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    environment = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": paths, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", FOUR_DEVICES]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "replay.batch_size is 6; expected a multiple of learner.devices 4"


def test_more_devices_than_there_are_are_refused():
    with pytest.raises(ValueError, match="learner.devices is 99; expected at most 1 on this machine"):
        Devices(99)
