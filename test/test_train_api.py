"""The Python API: `import jsac_ros as jr` gives train, load, evaluate; nothing registered, no ROS, no command line."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from train_cases import Counting, Reaching, without_pages  # noqa: F401

import jsac_ros as jr
from jsac_ros.config import ConfigError

SMALL = {
    "agent": {
        "hidden": (16,), "conv_channels": (4,), "conv_kernels": (3,), "conv_strides": (2,), "latent_dim": 8, "encoder": "joined",
    },
    "replay": {"batch_size": 8, "warmup_steps": 20, "capacity": 500},
    "train": {"image_height": 36, "image_width": 36, "stack": 2, "evaluate_every": 30},
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Learned from two cameras, a joint and a gripper of an object."""
    folder = str(tmp_path_factory.mktemp("runs"))
    return jr.train(Reaching(), steps=60, seed=1, progress=False, run={"folder": folder}, **SMALL)


def test_a_training_from_several_images_and_vectors(run):
    assert run.folder.name.startswith("reaching_") and run.config.agent.type == "jsac" and run.config.run.seed == 1
    episodes = [episode for episode in run.episodes if not episode.evaluation]
    assert sum(episode.steps for episode in episodes) == 60
    assert all(episode.success == episode.terminated for episode in episodes) and episodes[0].success
    assert list(run.policy.spaces.observation) == ["images_scene", "images_wrist", "gripper", "joint"]


def test_a_policy_takes_what_the_environment_gives_and_returns_what_it_takes(run):
    env, policy = Reaching(), jr.load(run.folder / "policy")
    for _ in range(2):  # episodes
        policy.reset()
        (observation, _), over = env.reset(), False
        while not over:
            action = policy(observation)
            observation, _, over, _, _ = env.step(action)
    assert len(env.taken) >= 8 and all(1.0 <= taken <= 3.0 for taken in env.taken)


def test_a_policy_is_found_in_its_run_and_named_where_it_is_not(run, tmp_path):
    assert jr.load(run.folder).about == jr.load(run.folder / "policy").about == run.policy.about
    with pytest.raises(ValueError, match=f"policy {tmp_path}: policy.json cannot be read"):
        jr.load(tmp_path)


def test_a_policy_keeps_its_own_stack_of_frames(run):
    """Its actions are those for stacks of the two newest frames, the first one twice."""
    env, policy = Reaching(), run.policy
    first, _ = env.reset()
    second = env.step(np.array([2.0], np.float32))[0]
    policy.reset()
    actions = [policy.act(observed)["action"] for observed in (first, second)]

    def stacked(older, newer):
        images = {
            "images_wrist": [observed["images"]["wrist"] for observed in (older, newer)],
            "images_scene": [np.full((36, 36, 1), observed["images"]["Scene"][0, 0], np.uint8) for observed in (older, newer)],
        }
        gripper = np.eye(2, dtype=np.float32)[newer["gripper"]]
        return {name: np.concatenate(frames, axis=2) for name, frames in images.items()} | {
            "gripper": gripper, "joint": newer["joint"].astype(np.float32),
        }  # fmt: skip

    for action, pair in zip(actions, ((first, first), (first, second)), strict=True):
        np.testing.assert_array_equal(action, policy.of_stacks(stacked(*pair))["action"])
    assert not np.array_equal(*actions)


@pytest.mark.parametrize("part", ["joint", "gripper", "images"])
def test_an_observation_that_lacks_a_part_is_refused_by_name(run, part):
    observation, _ = Reaching().reset()
    del observation[part]
    with pytest.raises(ValueError, match=f"observation '{part}"):
        run.policy(observation)


def test_a_policy_is_evaluated_in_an_object(run):
    found = jr.evaluate(run.policy, Reaching(), episodes=3)
    assert found.returns.shape == found.steps.shape == found.successes.shape == (3,)
    assert found.success == 1.0 and found.mean_return == -found.steps.mean()


def test_an_environment_of_other_parts_is_refused(run):
    class Blind(Reaching):
        observation_space = Reaching.observation_space["joint"]

    with pytest.raises(ConfigError, match=r"train.observe holds 'images_scene'; expected some of state, render"):
        jr.evaluate(run.policy, Blind())
    with pytest.raises(ConfigError, match="expected some of count, render"):
        jr.evaluate(run.policy, Counting())


def test_a_run_has_its_curve_and_is_found_again_by_its_folder(run):
    again = jr.Run(run.folder)
    assert again.episodes == run.episodes
    returns = [episode.episode_return for episode in run.episodes if not episode.evaluation and episode.terminated]
    drawn = again.curve().axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(drawn, returns)


def test_what_cannot_be_filmed_is_named(run):
    with pytest.raises(ConfigError, match="no film: .+"):
        run.video()


def test_choices_choose_their_algorithm_and_can_be_filmed(tmp_path):
    sections = {"agent": {"hidden": (16,)}, "replay": SMALL["replay"], "run": {"folder": str(tmp_path)}}
    run = jr.train("train_cases:Counting-v0", steps=40, progress=False, **sections)
    assert run.config.agent.type == "dqn"
    assert run.policy({"count": np.zeros(1, np.float32)}) in (-1, 0, 1), "a number of the environment's own"
    assert run.video() == run.folder / "video.mp4" and run.video().stat().st_size > 500
    evaluated = jr.evaluate(run.policy, "train_cases:Counting-v0", episodes=2)
    assert evaluated.steps.tolist() == [10, 10]


def test_what_an_environment_draws_is_learned_from(tmp_path):
    sections = SMALL | {"train": SMALL["train"] | {"observe": ("render",)}, "run": {"folder": str(tmp_path)}}
    run = jr.train("train_cases:Counting-v0", steps=30, progress=False, **sections)
    assert list(run.policy.spaces.observation) == ["render"] and run.policy.spaces.images[0].shape == (36, 36, 6)
    assert run.policy({"render": np.zeros((48, 48, 3), np.uint8)}) in (-1, 0, 1)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"task": {}}, "task: does not apply to a training; expected run, agent, replay, learner, train"),
        ({"agent": 3}, "agent is 3; expected the fields of a section"),
        ({"agent": {"type": 3}}, "agent.type is 3"),
        ({"agent": {"hidden": "wide"}, "replay": {"capacity": -1}}, "agent.hidden"),
        ({"steps": 0}, "train.steps is 0"),
    ],
)
def test_wrong_settings_are_named_before_anything_is_written(tmp_path, monkeypatch, sections, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=said):
        jr.train("Pendulum-v1", progress=False, **sections)
    assert not list(tmp_path.iterdir())


def test_the_door_opens_late():
    """`import jsac_ros` imports neither JAX nor Gymnasium: the processes that move a robot begin with it too."""
    early = "import sys, jsac_ros; assert not {'jax', 'gymnasium', 'numpy'} & set(sys.modules)"
    program = f"{early}; print(jsac_ros.train.__module__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == "jsac_ros.api", done.stderr
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        jr.trian  # noqa: B018
    assert {"Policy", "Run", "evaluate", "load", "train"} <= set(dir(jr))
