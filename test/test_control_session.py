"""The actor's state machine: what is commanded, which transitions come out, and that none is invented."""

import numpy as np
import pytest

from jsac_ros.config import TaskConfig
from jsac_ros.control.session import Choice, Session, View
from jsac_ros.control.shaping import ActionShaper
from jsac_ros.tasks.task import Score
from jsac_ros.types import Spec

SPEC = Spec(height=2, width=2, channels=3, stack=2, proprioception=6, action=2)
JOINTS = 3


class Line:
    """A task of three ticks home and four steps; frame value 9 is a terminal state, 7 a success."""

    episode_steps = 4
    needs_new_target = True
    waits_for = ""
    settle_s = 0.0

    def __init__(self):
        self.home_in = 3

    def begin_reset(self, position, now_s):
        self.home_in = 3

    def reset_velocity(self, position, velocity, now_s):
        self.home_in -= 1
        return np.full(JOINTS, 0.5) if self.home_in >= 0 else None

    def begin_episode(self):
        pass

    def proprioception(self, position, velocity, previous_action):
        return np.concatenate((position[:2], velocity[:2], previous_action)).astype(np.float32)

    def score(self, frame):
        value = int(frame.flat[0])
        return Score(float(value), value == 9, value == 7)


def view(tick, value=1, problem=""):
    return View(
        steady_s=tick * 0.04, stamp_ns=1000 + tick, lateness_s=0.001, frame=np.full((2, 2, 3), value, np.uint8),
        frame_stamp_ns=500 + tick, position=np.arange(3.0), velocity=np.zeros(3), joint_stamp_ns=600 + tick,
        frame_age_s=0.01, joint_age_s=0.004, problem=problem,
    )  # fmt: skip


def policy(observation, episode, step, deterministic):
    return Choice(np.array([0.5, -1.0], np.float32), 8)


@pytest.fixture
def session():
    shaper = ActionShaper(TaskConfig(controlled_joints=2, action_scale=(0.2,)))
    return Session(Line(), SPEC, shaper, "arm", 42, JOINTS)


def run(session, views, executed=None):
    """Ticks through the views, answering every wish for a target; all outcomes."""
    outcomes = []
    for one in views:
        outcomes.append(session.tick(one, policy, executed))
        if session.target_wanted:
            session.target_ready()
    return outcomes


def steps_of(outcomes):
    return [step for outcome in outcomes for step in outcome.steps]


def test_waits_at_rest_until_it_is_started(session):
    (outcome,) = run(session, [view(0)])
    assert session.state == "waiting" and not outcome.acted and not outcome.velocity.any()


def test_an_episode_is_one_frame_a_tick_and_closed_by_its_last_observation(session):
    session.start()
    outcomes = run(session, [view(k, value=k) for k in range(8)])
    home, acting = outcomes[:3], outcomes[3:7]
    assert all((o.velocity == 0.5).all() for o in home)
    assert all(o.acted for o in acting)
    np.testing.assert_allclose(acting[0].velocity, [0.1, -0.2, 0.0])
    steps = steps_of(outcomes)
    assert [s.step for s in steps] == [0, 1, 2, 3, 4]
    assert [s.is_first for s in steps] == [True, False, False, False, False]
    assert [s.is_last for s in steps] == [False, False, False, False, True]
    assert [s.frame.flat[0] for s in steps] == [3, 4, 5, 6, 7]
    assert [s.reward for s in steps[:4]] == [4, 5, 6, 7], "the reward of a step is what its action led to"
    assert [s.mask for s in steps] == [1] * 5, "a time-out goes on in the return"
    result = outcomes[7].finished
    assert (result.steps, result.episode_return, result.success, result.truncated) == (4, 22, True, True)
    assert session.state == "resetting" and not outcomes[7].acted


def test_a_reset_that_takes_long_says_what_holds_it(session):
    session.start()
    session.task.begin_reset = lambda position, now_s: setattr(session.task, "home_in", 10_000)
    run(session, [view(0), view(700)])
    assert session.reason == "moving home"
    session.held_by = ("acceleration", "box")
    run(session, [view(800)])
    assert session.reason == "moving home for 32 s; safety: acceleration, box"


def test_a_terminal_state_has_mask_zero_and_only_there(session):
    session.start()
    outcomes = run(session, [view(0), view(1), view(2), view(3), view(4), view(5, value=9)])
    steps = steps_of(outcomes)
    assert [s.mask for s in steps] == [1, 0, 1]
    assert outcomes[-1].finished.terminated and not outcomes[-1].finished.truncated


def test_stale_data_holds_and_closes_the_episode_without_inventing_anything(session):
    session.start()
    outcomes = run(session, [view(k, value=k) for k in range(6)])
    outcomes += run(session, [view(6, problem="image 0.5 s old"), view(7, problem="image 0.5 s old")])
    assert session.state == "holding" and session.reason == "image 0.5 s old"
    assert not outcomes[-1].velocity.any()
    steps = steps_of(outcomes)
    assert [s.step for s in steps] == [0, 1, 2] and steps[-1].is_last
    assert steps[-1].frame.flat[0] == 5, "the newest observation closes it"
    assert not steps[-1].action.any() and np.isnan(steps[-1].executed).all()
    finished = [o.finished for o in outcomes if o.finished]
    assert len(finished) == 1 and finished[0].steps == 2 and finished[0].reason == "image 0.5 s old"
    run(session, [view(8)])
    assert session.state == "resetting", "fresh data: the next episode begins with a reset"


def test_waits_for_the_new_target(session):
    session.start()
    for k in range(10):
        session.tick(view(k), policy, None)
    assert session.state == "resetting" and "new_target" in session.reason
    session.target_ready()
    assert session.tick(view(10), policy, None).acted


def test_what_safety_sent_is_recorded_beside_the_action(session):
    session.start()
    steps = steps_of(run(session, [view(k) for k in range(6)], executed=np.array([0.25, 0.0], np.float32)))
    np.testing.assert_array_equal(steps[0].action, np.array([0.5, -1.0], np.float32))
    np.testing.assert_array_equal(steps[0].executed, np.array([0.25, 0.0], np.float32))


def test_evaluation_is_deterministic_and_not_stored(session):
    asked = []

    def watching(observation, episode, step, deterministic):
        asked.append(deterministic)
        return policy(observation, episode, step, deterministic)

    session.evaluation_left = 1
    session.start()
    finished, stored = [], []
    for k in range(16):
        outcome = session.tick(view(k), watching, None)
        stored += outcome.steps
        finished += [outcome.finished] if outcome.finished else []
        if session.target_wanted:
            session.target_ready()
    assert asked[:4] == [True] * 4 and asked[4:8] == [False] * 4
    assert [f.evaluation for f in finished] == [True, False]
    assert {s.episode for s in stored} == {1}


def test_operator_pause_holds_the_robot_and_resume_resets(session):
    session.start()
    outcomes = run(session, [view(k) for k in range(6)])
    session.pause()
    outcomes += run(session, [view(6), view(7)])
    assert session.state == "paused" and not outcomes[-1].velocity.any()
    assert steps_of(outcomes)[-1].is_last
    session.start()
    assert run(session, [view(8)])[0].velocity.any()


def test_end_gives_out_what_was_open(session):
    session.start()
    run(session, [view(k) for k in range(5)])
    last = session.end("actor stopped")
    assert [s.is_last for s in last.steps] == [True] and last.finished.reason == "actor stopped"
    assert not last.velocity.any()


def test_proprioception_holds_the_previous_action(session):
    session.start()
    steps = steps_of(run(session, [view(k) for k in range(6)]))
    assert not steps[0].proprioception[4:].any()
    np.testing.assert_array_equal(steps[1].proprioception[4:], np.array([0.5, -1.0], np.float32))
