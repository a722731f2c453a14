"""The features of a pretrained encoder in place of images: observed, stored, learned from without a convolution."""

from __future__ import annotations

import agent_cases
import jax
import numpy as np
import pytest
from pretrained_cases import WIDTHS, encoder_file
from replay_cases import make_transition
from rig_cases import LINE, config_of, rig_of, sensed_of

from jsac_ros import parameters
from jsac_ros.__main__ import main
from jsac_ros.agent import build, export
from jsac_ros.agent.agent import with_encoder
from jsac_ros.agent.update import make_update
from jsac_ros.config import ConfigError
from jsac_ros.control.rollout import Rollout
from jsac_ros.replay.store import FrameStore
from jsac_ros.rig import Rig, with_copies

EYES = LINE | {
    "cameras.eye.height": 40, "cameras.eye.width": 32, "cameras.side.height": 20, "cameras.side.width": 20,
    "cameras.side.channels": 1,
}  # fmt: skip
SHAPE = (5, 4, WIDTHS[1])


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> str:
    return encoder_file(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def rig(encoder) -> Rig:
    return rig_of(EYES, cameras__eye__encoder=encoder)


def test_features_take_the_place_of_the_image(rig):
    assert [image.name for image in rig.spaces.images] == ["side"] and set(rig.images) == {"eye", "side"}
    (part,) = rig.spaces.maps
    assert (part.name, part.map, part.size) == ("eye_features", SHAPE, 5 * 4 * WIDTHS[1])
    frame = np.random.default_rng(0).integers(0, 256, (40, 32, 3), np.uint8)
    rollout = Rollout(rig, "robot", 1)
    sensed = sensed_of(rig)
    rollout.begin(sensed)
    rollout.observe(sensed._replace(frames=sensed.frames | {"eye": frame}))
    seen = rollout.observation["eye_features"]
    np.testing.assert_array_equal(seen, rig.encoders["eye"](frame))
    assert seen.dtype == np.float32 and seen.std() > 0


def test_of_the_chosen_parts_too_and_a_grey_image_is_taken_as_three_alike(encoder):
    rig = rig_of(EYES, cameras__side__encoder=encoder, task__observe=("side", "joint_position"))
    assert list(rig.spaces.observation) == ["joint_position", "side_features"]
    grey = np.random.default_rng(0).integers(0, 256, (20, 20, 1), np.uint8)
    net = rig.encoders["side"]
    np.testing.assert_array_equal(net(grey), net(np.repeat(grey, 3, axis=2)))


def test_another_encoder_is_another_rig(rig, tmp_path):
    other = rig_of(EYES, cameras__eye__encoder=encoder_file(tmp_path, seed=1))
    assert "vector 'eye_features': unit is 'features of encoder" in rig.spaces.difference(other.spaces)


def test_a_missing_encoder_is_found_before_anything_starts():
    with pytest.raises(ConfigError, match="encoder /none: cannot be read: ") as refused:
        rig_of(EYES, cameras__eye__encoder="/none")
    assert "\n" not in str(refused.value)


def test_the_run_keeps_a_copy(rig, tmp_path):
    kept = with_copies(rig.config, tmp_path)
    assert kept.cameras["eye"].encoder == str(tmp_path / "encoders" / "eye.safetensors")
    assert Rig.of(kept).spaces == rig.spaces and with_copies(kept, tmp_path) == kept


@pytest.mark.parametrize("algorithm", ["jsac", "sac_v"])
def test_an_update_learns_from_features_without_a_convolution(encoder, algorithm):
    rig = rig_of(EYES, cameras__eye__encoder=encoder, cameras__side__encoder=encoder, agent__type=algorithm)
    agent = build(agent_cases.small(algorithm, spatial_features=2), rig.spaces)
    state, batch = agent.init(0), agent_cases.random_batch(rig.spaces)
    encoders = state.params["critic"]["encoder"]
    assert encoders["eye_features"]["kernel"].shape == (WIDTHS[1], 5 * 4, 2)
    before = {name: np.asarray(value["kernel"]) for name, value in encoders.items()}
    assert "conv_general_dilated" not in str(jax.make_jaxpr(make_update(agent))(state, batch))
    state, metrics = agent_cases.compiled_update(agent)(state, batch)
    assert np.isfinite(metrics["td_error"]).all() and not int(state.skipped)
    for name, kernel in before.items():
        assert np.abs(np.asarray(state.params["critic"]["encoder"][name]["kernel"]) - kernel).max() > 0


def test_spatial_pooling_is_a_weighted_sum_over_the_places_of_each_channel(rig):
    agent = build(agent_cases.small(spatial_features=3), rig.spaces)
    params = agent.init(0).params["critic"]
    seen = agent_cases.random_batch(rig.spaces, 2)
    from jsac_ros.agent.observation import observations_of

    inputs, _ = observations_of(rig.spaces, seen)
    z = np.asarray(agent.networks.encode(params, inputs))[:, -WIDTHS[1] * 3 :].reshape(2, WIDTHS[1], 3)
    features, kernel = np.asarray(inputs.maps["eye_features"]), np.asarray(params["encoder"]["eye_features"]["kernel"])
    for channel in range(WIDTHS[1]):
        places = features[:, :, :, channel].reshape(2, -1)
        np.testing.assert_allclose(z[:, channel], places @ kernel[channel], rtol=1e-4, atol=1e-4)
    assert inputs.vector.shape == (2, rig.spaces.vector_size) and "eye_features" not in [
        v.name for v in rig.spaces.plain_vectors
    ]


def test_a_policy_of_features_is_saved_loaded_and_written_as_onnx(rig, tmp_path, capsys):
    agent = build(agent_cases.small(), rig.spaces)
    export.save(tmp_path / "policy", agent.policy_params(agent.init(0)), agent, {})
    assert export.load(tmp_path / "policy").spaces.maps == rig.spaces.maps
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    assert main(["export", str(tmp_path / "policy"), "--to", "onnx"]) == 0
    assert (tmp_path / "policy" / "policy.onnx").is_file(), capsys.readouterr()


def test_another_runs_pooling_can_begin_a_run(rig):
    agent = build(agent_cases.small(), rig.spaces)
    first, second = agent.init(0), agent.init(1)
    taken = with_encoder(first, second.params["critic"]["encoder"])
    jax.tree.map(np.testing.assert_array_equal, taken.params["critic"]["encoder"], second.params["critic"]["encoder"])


def test_a_store_of_images_becomes_one_of_features(encoder, rig, tmp_path, capsys):
    plain = rig_of(EYES)
    store = FrameStore.open(tmp_path / "images", plain.spaces, 50)
    rng = np.random.default_rng(0)
    for k in range(4):
        frames = {image.name: rng.integers(0, 256, image.frame_shape, np.uint8) for image in plain.spaces.images}
        store.append(make_transition(plain.spaces, sequence=k, step=k, is_last=k == 3, frames=frames))
    held = [store.transition(slot) for slot in store.live_slots()]
    store.close()
    parameters.dump(config_of(EYES), tmp_path / "rig.yaml")
    words = [str(tmp_path / "images"), str(tmp_path / "rig.yaml")]
    with_it = f"cameras.eye.encoder={encoder}"
    assert main(["encoder", "apply", *words, with_it, "--to", str(tmp_path / "features")]) == 0
    made = FrameStore.read(tmp_path / "features", rig.spaces)
    for ours, theirs in zip([made.transition(slot) for slot in made.live_slots()], held, strict=True):
        np.testing.assert_array_equal(ours.vectors["eye_features"], rig.encoders["eye"](theirs.frames["eye"]))
        np.testing.assert_array_equal(ours.frames["side"], theirs.frames["side"])
        assert (ours.sequence, ours.reward, ours.is_last) == (theirs.sequence, theirs.reward, theirs.is_last)
    made.close()
    capsys.readouterr()
    for more, message in (
        ((), "no camera has an encoder; expected cameras.NAME.encoder=FILE"),
        ((with_it, "cameras.eye.height=41"), "has image 'eye' as (40, 32, 3); expected (41, 32, 3)"),
        ((with_it, "actions.arm.joints=[a, b, c]"), "has no vector 'joint_position' like this rig's"),
    ):
        assert main(["encoder", "apply", *words, *more, "--to", str(tmp_path / "none")]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1 and not (tmp_path / "none").exists()
