"""A Gymnasium environment by named parts: its spaces, its observations, actions in its bounds, its transitions."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary
from train_cases import Broken, Counting, Reaching

from jsac_ros.config import ConfigError, TrainConfig
from jsac_ros.replay.store import FrameStore
from jsac_ros.spaces import ActionSpace, ImageSpace
from jsac_ros.training.demonstrations import record
from jsac_ros.training.environment import Environment, make
from jsac_ros.training.episodic import play
from jsac_ros.training.setup import place_for, setup
from jsac_ros.training.spaces import card_of, native, of_native, read, space_of_card, spaces_of

SMALL = TrainConfig(image_height=36, image_width=36, stack=2)


class Spaced:
    """Spaces alone."""

    def __init__(self, observation_space, action_space=None):
        self.observation_space, self.action_space = observation_space, action_space or Discrete(2)


def reaching(seed=0):
    env = Reaching()
    return Environment(env, spaces_of(env, SMALL), seed)


def action(value):
    return {"action": np.array([value], np.float32)}


def test_every_part_of_an_observation_space_has_its_name_and_size():
    spaces = spaces_of(Reaching(), SMALL)
    assert spaces.images == (ImageSpace("images_scene", 36, 36, 1, 2), ImageSpace("images_wrist", 36, 36, 3, 2))
    assert {vector.name: vector.size for vector in spaces.vectors} == {"gripper": 2, "joint": 2}
    assert spaces.vectors[1].high == (100.0, 100.0)
    assert spaces.actions == (ActionSpace("action", 1, "of the environment's bounds", low=(1.0,), high=(3.0,)),)
    assert spaces_of(Counting(), SMALL).choices == 3


@pytest.mark.parametrize(
    ("space", "names"),
    [(Box(-1, 1, (3, 2)), ["state"]), (Box(0, 255, (40, 40, 3), np.uint8), ["image"]), (Discrete(5), ["state"])],
)
def test_an_observation_without_names_gets_one(space, names):
    spaces = spaces_of(Spaced(space), SMALL)
    assert list(spaces.observation) == names and spaces.vector_size in (0, 5, 6)


def test_some_parts_may_be_chosen_and_what_is_drawn_added():
    spaces = spaces_of(Reaching(), SMALL.model_copy(update={"observe": ("joint", "render")}))
    assert list(spaces.observation) == ["render", "joint"]


@pytest.mark.parametrize(
    ("env", "observe", "said"),
    [
        (Spaced(MultiBinary(3)), (), "observation 'state' is MultiBinary(3); expected a Box, or Discrete from 0 on"),
        (Spaced(Discrete(3, start=-1)), (), "observation 'state' is Discrete(3, start=-1); expected"),
        (Spaced(Dict({"a": MultiBinary(3), "b": Discrete(2)})), ("a",), "observation 'a' is MultiBinary"),
        (Spaced(Discrete(2), MultiBinary(3)), (), "action space is MultiBinary(3)"),
        (Spaced(Discrete(2), Box(-np.inf, 1.0, (2,))), (), "expected finite bounds"),
        (Counting(), ("counts",), "train.observe holds 'counts'; expected some of count, render"),
        (Spaced(Dict({"A": Discrete(2), "a": Discrete(2)})), (), "several parts that are called 'a'"),
    ],
)
def test_what_cannot_be_learned_in_is_named(env, observe, said):
    with pytest.raises(ConfigError) as raised:
        spaces_of(env, SMALL.model_copy(update={"observe": observe}))
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_what_is_no_environment_is_refused():
    with pytest.raises(ConfigError, match=r"builtins:dict has no observation_space; expected an id or a gymnasium.Env"):
        make({}, SMALL)
    with pytest.raises(ConfigError, match=r"environment is the class Counting; expected an object, such as Counting\(\)"):
        make(Counting, SMALL)


@pytest.mark.parametrize(
    "space", [Discrete(3, start=-1), Box(np.float32([[-2.0, 0.0]]), np.float32([[2.0, 8.0]])), Box(0.0, 1.0, (2,), np.float64)]
)
def test_actions_reach_their_bounds_also_from_a_card(space):
    for taken in (space.sample() for _ in range(5)):
        np.testing.assert_allclose(native(of_native(taken, space), space), taken, rtol=1e-5)
    for found in (space, space_of_card(card_of(space))):
        if isinstance(space, Discrete):
            assert [native(np.array([k], np.float32), found) for k in (0, 2)] == [-1, 1]
            continue
        for end, bound in ((-1.0, space.low), (1.0, space.high), (5.0, space.high)):
            taken = native(np.full(2, end, np.float32), found)
            np.testing.assert_array_equal(taken, bound)
            assert taken.dtype == space.dtype and taken.shape == space.shape


@pytest.mark.parametrize("card", [{}, {"n": "x", "start": 0}, {"low": [0], "high": [1], "dtype": "what"}])
def test_a_card_that_describes_no_action_space_is_refused(card):
    with pytest.raises(ValueError, match="expected that of a training"):
        space_of_card(card)


def test_observations_are_stacked_resized_and_named():
    environment = reaching()
    first = environment.reset()
    environment.spaces.check_observation(first)
    environment.act(action(1.0))
    second = environment.observation
    environment.spaces.check_observation(second)
    assert second["images_wrist"][0, 0].tolist() == [0, 0, 0, 75, 75, 75], "oldest frame first"
    assert second["images_scene"][35, 35].tolist() == [255, 180]
    np.testing.assert_array_equal(second["joint"], np.array([3.0, -3.0], np.float32))
    assert first["gripper"].tolist() == [1.0, 0.0]


def test_an_episode_to_the_goal_is_whole_transitions_and_one_that_closes_it():
    environment, transitions, over = reaching(), [], False
    environment.reset()
    while not over:
        complete, over = environment.act(action(1.0), version=7)
        transitions += complete
    assert [t.is_last for t in transitions] == [False] * 4 + [True]
    assert [t.step for t in transitions] == [t.sequence for t in transitions] == [0, 1, 2, 3, 4]
    assert [t.mask for t in transitions[:4]] == [1.0, 1.0, 1.0, 0.0], "a terminal state"
    assert [t.reward for t in transitions[:4]] == [-1.0] * 4 and transitions[0].policy_version == 7
    np.testing.assert_array_equal(transitions[0].executed["action"], [1.0])
    assert transitions[-1].success and environment.success and environment.terminated
    assert (environment.episode_return, environment.length, environment.episode) == (-4.0, 4, 1)
    environment.reset()
    assert not environment.success and environment.stop()[0].is_last and environment.stop() == []


def test_a_time_limit_is_no_terminal_state():
    env = Counting()
    environment = Environment(env, spaces_of(env, SMALL), 0)
    play(environment, lambda observation: action(2.0))
    assert environment.length == environment.episode_return == 10 and not environment.terminated


def test_the_same_seed_gives_the_same_episodes():
    def starts(seed):
        env = make("Pendulum-v1", SMALL)
        environment = Environment(env, spaces_of(env, SMALL), seed)
        found = []
        for _ in range(2):
            found.append(environment.reset()["state"].tolist())
            environment.stop()
        return found

    assert starts(3) == starts(3) != starts(4) and starts(3)[0] != starts(3)[1]


def test_code_that_fails_is_named_with_file_and_line():
    env = Broken()
    environment = Environment(env, spaces_of(env, SMALL), 0)
    said = r"environment train_cases:Broken: step\(\) raised KeyError: 'gripper' \(.*train_cases.py:\d+\)"
    with pytest.raises(ConfigError, match=said):
        play(environment, lambda observation: action(0.0))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((0, None, False, False, {}), "step() gave the reward None: float() argument"),
        ((0, np.zeros(2), False, False, {}), "step() gave the reward array([0., 0.]): only "),
        ((0, 1.0, False, False, None), "step() gave an info of NoneType; expected a dict"),
        ((0, 1.0, False, {}), "step() gave tuple; expected a tuple of 5"),
    ],
)
def test_what_is_no_step_is_named(monkeypatch, given, said):
    env = Counting()
    environment = Environment(env, spaces_of(env, SMALL), 0)
    environment.reset()
    monkeypatch.setattr(env, "step", lambda action: given)
    with pytest.raises(ConfigError) as raised:
        environment.act(action(0.0))
    assert str(raised.value).startswith(f"environment train_cases:Counting: {said}") and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("observed", "said"),
    [
        ({"joint": np.zeros(2)}, "observation 'images_scene' is missing"),
        ({"joint": np.zeros(3), "gripper": 1}, "observation 'joint' has 3 values; expected 2"),
        ({"gripper": 1, "images": {"scene": np.zeros((36, 36, 3), np.uint8)}}, "is uint8[36, 36, 3]; expected uint8[H, W, 1]"),
        ({"gripper": 1, "images": {"scene": np.zeros((36, 36))}}, "is float64[36, 36]; expected uint8"),
    ],
)
def test_another_part_than_declared_is_refused_where_it_enters(observed, said):
    whole = {"images": {"scene": np.zeros((36, 36), np.uint8), "wrist": np.zeros((36, 36, 3), np.uint8)}, "joint": np.zeros(2)}
    if "images" in observed:
        whole["images"] |= observed["images"]
    given = observed if len(observed) == 1 else whole | observed | {"images": whole["images"]}
    with pytest.raises(ValueError) as raised:
        read(given, spaces_of(Reaching(), SMALL))
    assert said in str(raised.value)


def test_a_number_out_of_its_range_is_refused():
    spaces = spaces_of(Spaced(Discrete(3)), SMALL)
    assert read(2, spaces)[1]["state"].tolist() == [0.0, 0.0, 1.0]
    for number in (3, -1):
        with pytest.raises(ValueError, match=rf"observation 'state' is {number}; expected 0 to 2"):
            read(number, spaces)


def shown_by(expert, env=None):
    env = env or Reaching()
    return Environment(env, spaces_of(env, SMALL), 0, expert=expert)


def test_an_expert_for_an_environment_demonstrates():
    environment = shown_by("train_cases:striding")
    transitions = environment.demonstration()
    assert [t.is_last for t in transitions] == [False] * 5 + [True] and environment.success
    assert environment.env.taken == [2.0] * 5 and [t.action["action"].tolist() for t in transitions[:5]] == [[0.0]] * 5
    assert all(t.intervened and t.policy_version == -1 for t in transitions[:5])


@pytest.mark.parametrize(
    ("expert", "said"),
    [
        ("", "has no scripted expert; expected train.expert, or a configuration whose task has one"),
        ("nowhere:Expert", "'nowhere:Expert': no module 'nowhere' on PYTHONPATH"),
        ("train_cases:stridin", "has no 'stridin' .did you mean 'striding'"),
        ("train_cases:falling", r"train.expert 'train_cases:falling': KeyError: 'arm' \(.*train_cases.py:\d+\)"),
        ("builtins:str", "train.expert 'builtins:str': TypeError: 'str' object is not callable"),
    ],
)
def test_an_expert_that_cannot_show_anything_is_one_line(expert, said):
    with pytest.raises(ConfigError, match=said) as raised:
        shown_by(expert).demonstration()
    assert "\n" not in str(raised.value)


def test_an_action_that_the_environment_does_not_have_is_refused():
    for taken in (None, [1.0, 2.0], [np.nan]):
        with pytest.raises(ValueError, match="expected one of Box"):
            of_native(taken, Reaching.action_space)


def test_an_environment_is_made_with_its_options_and_shows_before_it_is_learned_in(tmp_path):
    """Several images and a state in a Dict, by its id; demonstrations and evaluations have environments of their own."""
    train = {"options": ("goal=6.0",), "expert": "train_cases:striding", "image_height": 36, "image_width": 36, "stack": 1}
    made = setup("train_cases:Reaching-v0", {"train": train})
    learning, shows = made.places.learning(1, 1), made.places.learning(2, 1)
    assert learning.env is not shows.env and not made.places.alone
    assert record(shows, 2, tmp_path / "shown", made.spaces) == 6
    store = FrameStore.read(tmp_path / "shown")
    assert store.rows["is_last"][store.live_slots()].sum() == 2 and len(store.live_slots()) == 2 * (3 + 1)
    tried = place_for(made.spaces, "train_cases:Reaching-v0", 0, options=made.config.train.options)
    play(tried, lambda observation: action(0.0))
    assert tried.length == 3 and tried.success


@pytest.mark.parametrize(
    ("option", "said"),
    [("goal", "train.options holds 'goal'; expected name=value"), ("gaol=1", "unexpected keyword argument 'gaol'")],
)
def test_an_option_that_is_none_is_one_line(option, said):
    with pytest.raises(ConfigError, match=said) as raised:
        make("train_cases:Reaching-v0", SMALL.model_copy(update={"options": (option,)}))
    assert "\n" not in str(raised.value)
