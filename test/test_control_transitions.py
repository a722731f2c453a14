"""The one maker of transitions: each once, complete, in order."""

import numpy as np
import pytest
from replay_cases import SPACES, VARIANTS

from jsac_ros.control.transitions import TransitionMaker
from jsac_ros.types import Score


def frames_of(spaces, value):
    return {image.name: np.full(image.frame_shape, value, np.uint8) for image in spaces.images}


def vectors_of(spaces, value):
    return {vector.name: np.full(vector.size, value, np.float32) for vector in spaces.vectors}


def action_of(spaces, value=0.5):
    return {part.name: np.full(part.size, value, np.float32) for part in spaces.actions}


def episode(maker, spaces, steps, terminated=False):
    """All transitions of an episode of so many actions; observation k is filled with k."""
    maker.observe(frames_of(spaces, 0), vectors_of(spaces, 0), stamp_ns=100)
    made = []
    for k in range(1, steps + 1):
        maker.act(action_of(spaces, k / 10), policy_version=k)
        score = Score(float(k), terminated and k == steps, k == 2)
        made.append(maker.observe(frames_of(spaces, k), vectors_of(spaces, k), score, stamp_ns=100 + k))
    return [*made, maker.close()]


@pytest.mark.parametrize("spaces", [SPACES, *VARIANTS.values()], ids=["usual", *VARIANTS])
def test_a_transition_is_complete_when_its_next_observation_is_known(spaces):
    made = episode(TransitionMaker(spaces, "arm", 7), spaces, 3)
    assert [t.step for t in made] == [0, 1, 2, 3] and [t.sequence for t in made] == [0, 1, 2, 3]
    assert [t.reward for t in made] == [1, 2, 3, 0] and [t.mask for t in made] == [1, 1, 1, 1]
    assert [t.is_first for t in made] == [True, False, False, False]
    assert [t.is_last for t in made] == [False, False, False, True]
    assert [t.success for t in made] == [False, False, True, False], "where it was seen"
    assert [t.policy_version for t in made] == [1, 2, 3, -1] and [t.stamp_ns for t in made] == [100, 101, 102, 103]
    for k, transition in enumerate(made):
        assert all((frame == k).all() for frame in transition.frames.values()) and len(transition.frames) == len(spaces.images)
        assert all((vector == k).all() for vector in transition.vectors.values())
        value = np.float32((k + 1) / 10) if k < 3 else 0
        assert all((action == value).all() for action in transition.action.values())
        assert all(np.isnan(executed).all() for executed in transition.executed.values())
        assert transition.source_stamps_ns == dict.fromkeys(spaces.sources, 0)


def test_sequences_go_on_over_episodes_and_steps_begin_again():
    maker = TransitionMaker(SPACES, "arm", 7)
    made = episode(maker, SPACES, 2, terminated=True) + episode(maker, SPACES, 1)
    assert [t.sequence for t in made] == list(range(5)) and [t.episode for t in made] == [0, 0, 0, 1, 1]
    assert [t.step for t in made] == [0, 1, 2, 0, 1] and [t.mask for t in made] == [1, 0, 1, 1, 1]
    assert maker.episode == 2 and not maker.is_open


def test_what_is_known_of_a_tick_is_kept_with_it():
    maker = TransitionMaker(SPACES, "arm", 7)
    maker.observe(frames_of(SPACES, 0), vectors_of(SPACES, 0), stamp_ns=5, source_stamps_ns={"joints": 3, "wrist": 4},
                  lateness_s=0.002, events=("continue",))  # fmt: skip
    maker.act(action_of(SPACES), intervened=True)
    executed = {"arm": np.array([0.1, 0.2], np.float32)}
    made = maker.observe(frames_of(SPACES, 1), vectors_of(SPACES, 1), Score(1.0), executed)
    assert made.source_stamps_ns == {"joints": 3, "wrist": 4} and made.lateness_s == 0.002 and made.events == ("continue",)
    assert made.intervened and made.executed is executed
    closing = maker.close()
    assert not closing.intervened and np.isnan(closing.executed["arm"]).all() and closing.events == ()


def test_an_action_whose_observation_never_came_is_not_counted():
    maker = TransitionMaker(SPACES, "arm", 7)
    maker.observe(frames_of(SPACES, 0), vectors_of(SPACES, 0))
    maker.act(action_of(SPACES, 0.9), policy_version=3)
    closing = maker.close()
    assert closing.is_first and closing.is_last and not closing.action["arm"].any() and closing.policy_version == -1


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ({"arm": np.zeros(3, np.float32)}, r"action 'arm' is float32\[3\]; expected float32\[2\]"),
        ({"arm": np.zeros(2)}, r"action 'arm' is float64\[2\]; expected float32\[2\]"),
        ({}, "action has parts ; expected arm"),
    ],
)
def test_an_action_of_another_size_is_refused_where_it_enters(action, said):
    maker = TransitionMaker(SPACES, "arm", 7)
    maker.observe(frames_of(SPACES, 0), vectors_of(SPACES, 0))
    with pytest.raises(ValueError, match=said):
        maker.act(action)


def test_calls_in_another_order_are_refused():
    maker = TransitionMaker(SPACES, "arm", 7)
    with pytest.raises(RuntimeError, match="act: no observation to act on"):
        maker.act(action_of(SPACES))
    with pytest.raises(RuntimeError, match="close: no episode is open"):
        maker.close()
    maker.observe(frames_of(SPACES, 0), vectors_of(SPACES, 0))
    for score in (None, Score(1.0)):
        with pytest.raises(RuntimeError, match="observe: an action and its score come between two observations"):
            maker.observe(frames_of(SPACES, 1), vectors_of(SPACES, 1), score)


def test_an_episode_that_is_made_goes_through_the_message_and_the_store_as_it_is():
    from replay_cases import same

    from jsac_ros.messages import from_message, to_message
    from jsac_ros.nodes.transitions import CLASSES

    for made in episode(TransitionMaker(SPACES, "arm", 7), SPACES, 3):
        assert same(from_message(to_message(made, CLASSES), SPACES), made)
