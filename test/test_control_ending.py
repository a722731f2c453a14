"""How an episode ends: with a classifier's word in the place of the task's, later than its success, and what is said of it."""

import numpy as np
import pytest
from rig_cases import LINE, Line, rig_of, sensed_of, view_of

from jsac_ros.control.ending import Ending
from jsac_ros.control.session import Choice, Session
from jsac_ros.types import Score

JOINTS = np.arange(3.0)


class Seen(Line):
    """Pixel values 9 and more are the goal, which ends the episode; 1 a failure that does."""

    def score(self, before, action, after):
        value = int(after.frames["eye"].flat[0])
        return Score(5.0, value >= 9 or value == 1, value >= 9)


class Blind(Seen):
    knows_success = False


class Word:
    """A classifier that takes 8 for success too, and does not know 10."""

    def __init__(self):
        self.begun = 0

    def begin(self):
        self.begun += 1

    def is_success(self, frames):
        return frames["eye"].flat[0] in (8, 9)


def play(values, judge=None, events=(), task="Seen", **changes):
    """An episode whose images have these values; -> its transitions and how it ended. events: (step, what a person said)."""
    rig = rig_of(LINE, task__type=f"test_control_ending:{task}", task__episode_s=0.16, **changes)
    rig.__dict__["judge"] = judge
    session, found = Session(rig, "arm", 1), []
    session.start()
    for tick, value in enumerate([0] * Line.home_ticks + list(values)):
        said = tuple(word for step, word in events if step == tick - Line.home_ticks)
        view = view_of(rig, tick, frames={"eye": np.full((2, 2, 3), value, np.uint8)}, position=JOINTS, events=said)
        outcome = session.tick(view, lambda *_: Choice({"arm": np.zeros(2, np.float32)}, 1), None)
        found += outcome.transitions
        if outcome.finished:
            return found, outcome.finished
    raise AssertionError("the episode did not end")


def test_without_a_classifier_the_task_says_what_was_earned():
    transitions, ended = play([0, 2, 9])
    assert [t.reward for t in transitions[:-1]] == [5.0, 5.0] and transitions[-1].success
    assert (ended.reason, ended.success, ended.terminated) == ("goal", True, True)


@pytest.mark.parametrize(
    ("values", "reason", "success", "total"),
    [
        ([0, 2, 9], "goal", True, 1.0),
        ([0, 2, 8], "goal (the classifier's alone)", True, 1.0),
        ([0, 10, 8], "goal", True, 1.0),  # it was true before
        ([0, 2, 10, 2, 2], "time limit (the classifier missed the goal)", False, 0.0),
        ([0, 2, 2, 2, 2], "time limit", False, 0.0),
        ([0, 2, 1], "goal", False, 0.0),  # the task's failure, which ends it under the same word
    ],
)
def test_a_classifier_takes_the_place_of_the_score_and_the_truth_is_told_beside_it(values, reason, success, total):
    judge = Word()
    transitions, ended = play(values, judge)
    assert (ended.reason, ended.success, ended.episode_return) == (reason, success, total)
    assert sum(t.reward for t in transitions[:-1]) == total and judge.begun > 0
    assert transitions[-1].success == success and ended.terminated == (not reason.startswith("time limit"))


@pytest.mark.parametrize(("task", "judge", "expected"), [("Seen", Word(), True), ("Seen", None, None), ("Blind", Word(), None)])
def test_the_truth_is_known_where_the_task_knows_it_and_a_classifier_is_believed(task, judge, expected):
    rig = rig_of(LINE, task__type=f"test_control_ending:{task}")
    rig.__dict__["judge"] = judge
    ending, sensed = Ending(rig), sensed_of(rig)
    ending.score(sensed, {}, sensed._replace(frames={"eye": np.full((2, 2, 3), 10, np.uint8)}))
    assert ending.true_success is expected


def test_where_the_task_does_not_know_the_classifier_is_not_contradicted():
    assert play([0, 2, 8], Word(), task="Blind")[1].reason == "goal"
    assert play([0, 2, 10, 2, 2], Word(), task="Blind")[1].reason == "time limit"


def test_a_person_overrules_the_classifier():
    _, ended = play([0, 2, 9], Word(), events=[(2, "failure")])
    assert (ended.reason, ended.success) == ("failure (operator)", False)


def test_an_episode_goes_on_behind_its_success_and_every_image_of_success_is_marked():
    transitions, ended = play([0, 9, 9, 2, 9], task__after_success_s=0.08)
    assert [t.success for t in transitions] == [False, True, True, False]  # two steps more: the goal was lost in the last
    assert [t.mask for t in transitions[:-1]] == [0.0, 0.0, 1.0] and (ended.reason, ended.success) == ("goal", True)


def test_what_a_person_calls_success_stays_one_until_the_episode_ends():
    transitions, ended = play([0, 2, 2, 2, 2], events=[(1, "success")], task__after_success_s=0.08)
    assert [t.success for t in transitions] == [False, True, True, True] and ended.reason == "success (operator)"
    transitions, ended = play([0, 2, 2, 2, 2], events=[(1, "success"), (2, "discard")], task__after_success_s=0.08)
    assert len(transitions) == 3 and ended.reason == "discarded (operator)"
