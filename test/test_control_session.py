"""The actor's state machine: what is commanded, which transitions come out, and that none is invented."""

import sys

import numpy as np
import pytest
from rig_cases import LINE, Line, TicksHome, rig_of, view_of

from jsac_ros.control.session import Choice, Session
from jsac_ros.tasks.reset import CallService, ResetPart, Then, Together
from jsac_ros.types import Command, Score

ACTION = np.array([0.5, -1.0], np.float32)
JOINTS = np.arange(3.0)


class Served(Line):
    """Home and a service at once, then a rest that it takes."""

    def reset(self):
        return Then(Together(TicksHome(3, 0.5, 3), CallService(self.rig, "new_target")))


def choose(observation, episode, step, deterministic):
    return Choice({"arm": ACTION}, 8)


def session_of(robot="arm", reset=None, **changes):
    return Session(rig_of(LINE, **changes), robot, 42, reset)


@pytest.fixture
def session():
    return session_of()


def view(session, tick, value=1, problem="", events=()):
    return view_of(
        session.rig, tick, problem, frames={"eye": np.full((2, 2, 3), value, np.uint8)}, position=JOINTS, events=events
    )


def run(session, ticks, executed=None, policy=choose):
    """Ticks; each a number, or what `view` takes of one. All outcomes."""
    views = [view(session, **tick) if isinstance(tick, dict) else view(session, tick) for tick in ticks]
    return [session.tick(one, policy, executed) for one in views]


def valued(*ticks):
    return [{"tick": tick, "value": tick} for tick in ticks]


def transitions_of(outcomes):
    return [transition for outcome in outcomes for transition in outcome.transitions]


def finished(outcomes):
    return [outcome.finished for outcome in outcomes if outcome.finished]


def test_waits_at_rest_until_it_is_started(session):
    (outcome,) = run(session, [0])
    assert session.state == "waiting" and not outcome.acted and not outcome.command.motion.any()


def test_an_episode_is_one_frame_a_tick_and_closed_by_its_last_observation(session):
    session.start()
    outcomes = run(session, valued(*range(8)))
    home, acting = outcomes[:3], outcomes[3:7]
    assert all((o.command.motion == 0.5).all() for o in home)
    assert all(o.acted for o in acting)
    np.testing.assert_allclose(acting[0].command.motion, [0.1, -0.2, 0.0])
    steps = transitions_of(outcomes)
    assert [s.step for s in steps] == [0, 1, 2, 3, 4]
    assert [s.sequence for s in steps] == [0, 1, 2, 3, 4]
    assert [s.is_first for s in steps] == [True, False, False, False, False]
    assert [s.is_last for s in steps] == [False, False, False, False, True]
    assert [s.frames["eye"].flat[0] for s in steps] == [3, 4, 5, 6, 7]
    assert [s.reward for s in steps[:4]] == [4, 5, 6, 7], "the reward of a step is what its action led to"
    assert [s.mask for s in steps] == [1] * 5, "a time-out continues in the return"
    assert [s.success for s in steps] == [False] * 4 + [True]
    assert steps[1].source_stamps_ns == {"eye": 504, "joints": 604}, "of the messages that were used"
    assert (steps[1].robot, steps[1].session, steps[1].stamp_ns, steps[1].policy_version) == ("arm", 42, 1004, 8)
    result = outcomes[7].finished
    assert (result.steps, result.episode_return, result.success, result.truncated) == (4, 22, True, True)
    assert session.state == "resetting" and not outcomes[7].acted


def test_a_reset_that_takes_long_says_what_holds_it():
    session = session_of(reset=lambda: TicksHome(10_000, 0.5, 3))
    session.start()
    run(session, [0, 700])
    assert session.reason == "moving home"
    session.held_by = ("acceleration", "box")
    run(session, [800])
    assert session.reason == "moving home for 32 s; safety: acceleration, box"


def test_a_terminal_state_has_mask_zero_and_only_there(session):
    session.start()
    outcomes = run(session, [0, 1, 2, 3, 4, {"tick": 5, "value": 9}])
    assert [s.mask for s in transitions_of(outcomes)] == [1, 0, 1]
    assert outcomes[-1].finished.terminated and not outcomes[-1].finished.truncated
    assert outcomes[-1].finished.reason == "goal"


def test_stale_data_holds_and_closes_the_episode_without_inventing_anything(session):
    session.start()
    outcomes = run(session, valued(*range(6)))
    old = {"problem": "image 0.5 s old"}
    outcomes += run(session, [{"tick": 6} | old, {"tick": 7} | old])
    assert session.state == "holding" and session.reason == "image 0.5 s old"
    assert not outcomes[-1].command.motion.any() and outcomes[-1].command.outputs == {}
    steps = transitions_of(outcomes)
    assert [s.step for s in steps] == [0, 1, 2] and steps[-1].is_last
    assert steps[-1].frames["eye"].flat[0] == 5, "the newest observation closes it"
    assert not steps[-1].action["arm"].any() and np.isnan(steps[-1].executed["arm"]).all()
    (result,) = finished(outcomes)
    assert result.steps == 2 and result.reason == "image 0.5 s old"
    run(session, [8])
    assert session.state == "resetting", "fresh data: the next episode begins with a reset"


def test_waits_for_the_service_that_its_reset_calls():
    session = session_of(task__type="test_control_session:Served")
    session.start()
    run(session, range(10))
    assert session.state == "resetting" and session.service == "new_target"
    assert session.reason == "waiting for the service new_target"
    session.answered(False, "no monitor")
    run(session, [10])
    assert session.service == "" and session.reason == "the service new_target answered: no monitor"
    run(session, [40])
    assert session.service == "new_target", "asked again a second later"
    session.answered(True, "disc at 3, 4")
    assert run(session, [41])[0].acted and session.service == ""


def test_an_answer_that_nobody_waits_for_changes_nothing(session):
    session.answered(True, "late")
    session.start()
    run(session, range(4))
    session.answered(False, "late")
    assert session.state == "acting"


def test_what_safety_sent_is_recorded_beside_the_action(session):
    session.start()
    steps = transitions_of(run(session, range(6), executed=Command(np.array([0.05, 0.0, 0.0]), {})))
    np.testing.assert_array_equal(steps[0].action["arm"], ACTION)
    np.testing.assert_allclose(steps[0].executed["arm"], [0.25, 0.0])


def test_evaluation_is_deterministic_and_not_stored(session):
    asked = []

    def watching(observation, episode, step, deterministic):
        asked.append(deterministic)
        return choose(observation, episode, step, deterministic)

    session.evaluation_left = 1
    session.start()
    outcomes = run(session, range(16), policy=watching)
    assert asked[:4] == [True] * 4 and asked[4:8] == [False] * 4
    assert [f.evaluation for f in finished(outcomes)] == [True, False]
    assert {s.episode for s in transitions_of(outcomes)} == {1}


def test_operator_pause_holds_the_robot_and_resume_resets(session):
    session.start()
    outcomes = run(session, range(6))
    session.pause()
    outcomes += run(session, [6, 7])
    assert session.state == "paused" and not outcomes[-1].command.motion.any()
    assert transitions_of(outcomes)[-1].is_last
    session.start()
    assert run(session, [8])[0].command.motion.any()


def test_end_gives_out_what_was_open(session):
    session.start()
    run(session, range(5))
    last = session.end("actor stopped")
    assert [s.is_last for s in last.transitions] == [True] and last.finished.reason == "actor stopped"
    assert not last.command.motion.any()


def test_the_policy_is_told_its_previous_action_and_the_stack_of_the_episode(session):
    seen = []

    def watching(observation, *rest):
        seen.append(observation)
        return choose(observation, *rest)

    session.start()
    steps = transitions_of(run(session, valued(*range(12)), policy=watching))
    assert not steps[0].vectors["previous_action"].any()
    np.testing.assert_array_equal(steps[1].vectors["previous_action"], ACTION)
    session.rig.spaces.check_observation(seen[0])
    assert [o["eye"][0, 0].tolist() for o in seen[:2]] == [[3] * 6, [3, 3, 3, 4, 4, 4]], "its first frame twice"
    assert seen[4]["eye"][0, 0].tolist() == [11] * 6 and not seen[4]["previous_action"].any(), "the next episode begins anew"


def test_what_an_action_costs_is_taken_from_its_reward(session):
    session.rig.actions.parts["arm"].penalty = 0.5
    session.start()
    outcomes = run(session, valued(*range(8)))
    assert [s.reward for s in transitions_of(outcomes)[:4]] == [3.5, 4.5, 5.5, 6.5]
    assert finished(outcomes)[0].episode_return == 20


# -- what others say ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "earned", "mask", "success", "reason"),
    [
        ("success", 5 + 10.0, 0.0, True, "success (operator)"),
        ("failure", 5 - 2.0, 0.0, False, "failure (operator)"),
        ("discard", 5 + 0.0, 1.0, False, "discarded (operator)"),
        ("contact", 5 - 2.0, 0.0, False, "contact"),
    ],
)
def test_a_person_or_the_contact_rule_ends_an_episode(event, earned, mask, success, reason):
    session = session_of(task__success_reward=10.0, task__failure_reward=-2.0)
    session.start()
    outcomes = run(session, [*valued(*range(5)), {"tick": 5, "value": 5, "events": (event,)}])
    steps = transitions_of(outcomes)
    assert [s.reward for s in steps[:-1]] == [4, earned] and [s.mask for s in steps] == [1, mask, 1]
    assert steps[-1].is_last and steps[-1].success == success and steps[-1].events == (event,)
    (result,) = finished(outcomes)
    assert (result.success, result.terminated, result.reason) == (success, mask == 0, reason)
    assert session.state == "resetting"


def test_what_a_person_says_between_two_episodes_is_not_of_the_next(session):
    session.start()
    outcomes = run(session, [{"tick": 0, "events": ("success",)}, 1, 2, {"tick": 3, "events": ("failure",)}, 4])
    assert session.state == "acting" and not finished(outcomes), "nothing was done yet that could have failed"


def test_other_words_are_the_tasks(session):
    session.start()
    outcomes = run(session, [0, 1, 2, 3, {"tick": 4, "events": ("continue",)}, 5])
    assert session.state == "acting" and transitions_of(outcomes)[1].events == ("continue",)


def test_a_person_may_take_over_an_action(session):
    def person(*_):
        return Choice({"arm": -ACTION}, -1, intervened=True)

    session.start()
    outcomes = run(session, range(4)) + run(session, [4], policy=person) + run(session, [5, 6])
    steps = transitions_of(outcomes)
    assert [s.intervened for s in steps] == [False, True, False] and [s.policy_version for s in steps] == [8, -1, 8]
    np.testing.assert_array_equal(steps[1].action["arm"], -ACTION)
    np.testing.assert_array_equal(steps[2].vectors["previous_action"], -ACTION)


# -- plug-ins that raise -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fails_in", ["reset", "begin", "observe", "score", "size", "nan", "reward"])
def test_a_plugin_that_raises_is_named_the_robot_rests_and_the_episode_is_closed(fails_in):
    session = session_of(task__type="rig_cases:Faulty", task__fails_in=fails_in)
    session.start()
    outcomes = run(session, range(6))
    assert session.state == "stopped" and session.reason == session.failed
    assert session.failed.startswith("task 'rig_cases:Faulty': ") and "\n" not in session.failed
    said = {"size": "observation 'slope' has shape [3]", "nan": "expected finite numbers", "reward": "reward is nan"}
    assert said.get(fails_in, f"KeyError: 'lost in {fails_in}' (") in session.failed
    assert ".py:" in session.failed and (fails_in in said or "rig_cases.py:" in session.failed)
    assert not outcomes[-1].command.motion.any() and not outcomes[-1].acted
    steps = transitions_of(outcomes)
    opened = fails_in in ("score", "reward")  # an observation was taken before it raised
    assert [s.is_last for s in steps] == ([True] if opened else [])
    assert [f.steps for f in finished(outcomes)] == ([0] if opened else [])


def test_after_a_plugin_has_raised_a_person_may_start_again(session, monkeypatch):
    def lost(before, action, after):
        raise KeyError("lost")

    monkeypatch.setattr(session.task, "score", lost)
    session.start()
    run(session, range(6))
    assert session.state == "stopped" and session.failed
    monkeypatch.undo()
    session.start()
    outcomes = run(session, range(6, 15))
    steps = transitions_of(outcomes)
    assert {s.episode for s in steps} == {1} and [s.step for s in steps] == [0, 1, 2, 3, 4]


SCORED = {
    "nothing": (lambda *_: None, "score() returned NoneType; expected Score(reward, terminated, success)"),
    "a tuple": (lambda *_: (1.0, False, False), "score() returned tuple; expected Score("),
    "two rewards": (lambda *_: Score(np.zeros(2)), "TypeError: "),
    "too much": (lambda *_: Score(1e39), "reward is 1e+39; expected a finite number that float32 can hold"),
    "an exit": (lambda *_: sys.exit("gone"), "SystemExit: gone ("),
    "what was sensed": (
        lambda before, action, after: after.position.fill(7.0),
        "ValueError: assignment destination is read-only",
    ),
    "the action": (lambda before, action, after: action["arm"].fill(7.0), "ValueError: assignment destination is read-only"),
}


@pytest.mark.parametrize("given", SCORED)
def test_a_score_that_is_none_or_changes_what_is_stored_ends_the_episode(session, monkeypatch, given):
    score, said = SCORED[given]
    monkeypatch.setattr(session.task, "score", score)
    session.start()
    steps = transitions_of(run(session, range(6)))
    assert session.state == "stopped" and said in session.failed and session.failed.startswith("task 'rig_cases:Line': ")
    assert [step.is_last for step in steps] == [True] and steps[0].frames["eye"].max() == 1
    assert steps[0].vectors["joint_position"].tolist() == [0, 1]


def test_a_score_of_numpys_numbers_is_stored_as_numbers(session, monkeypatch):
    monkeypatch.setattr(session.task, "score", lambda *_: Score(np.float32(0.5), np.array([False]), np.bool_(True)))
    session.start()
    step = transitions_of(run(session, range(6)))[0]
    assert step.reward == 0.5 and type(step.reward) is float and step.mask == 1.0


RESETS = {
    "nothing": (lambda session: None, "reset() returned NoneType; expected a ResetPart"),
    "bare numbers": (lambda session: Says(np.zeros(3)), "step() of the reset's Says returned ndarray; expected Command("),
    "too few": (lambda session: Says(Command(np.zeros(2), {})), "returned a motion of shape [2]; expected [3]"),
}


class Says(ResetPart):
    def __init__(self, command):
        self._command = command

    def step(self, sensed):
        return self._command


@pytest.mark.parametrize("given", RESETS)
def test_a_reset_that_is_none_is_named_and_the_robot_rests(given):
    reset, said = RESETS[given]
    session = session_of(reset=lambda: reset(session))
    session.start()
    (outcome,) = run(session, [0])
    assert session.state == "stopped" and said in session.failed and not outcome.command.motion.any()


def test_a_policy_that_gives_another_action_is_stopped_too(session):
    session.start()
    outcomes = run(session, range(4), policy=lambda *_: Choice({"arm": np.zeros(3, np.float32)}, 8))
    assert session.state == "stopped" and not outcomes[-1].command.motion.any()
    assert session.failed.startswith("action: ValueError: action 'arm' is float32[3]; expected float32[2] (")


def test_a_part_of_the_action_that_raises_is_stopped_too(session, monkeypatch):
    def broken(action, sensed):
        raise ArithmeticError("singular")

    monkeypatch.setattr(session.rig.actions.parts["arm"], "command", broken)
    session.start()
    outcomes = run(session, range(4))
    assert session.failed.startswith("actions.arm: ArithmeticError: singular (") and session.state == "stopped"
    assert not outcomes[-1].command.motion.any() and [s.is_last for s in transitions_of(outcomes)] == [True]


def test_a_reset_that_cannot_take_an_answer_is_named_too():
    class Deaf(CallService):
        def answered(self, success, message):
            raise RuntimeError("deaf")

    session = session_of(reset=lambda: Deaf(session.rig, "new_target"))
    session.start()
    run(session, [0])
    session.answered(True, "")
    assert session.state == "stopped" and "RuntimeError: deaf (" in session.failed


def test_an_episode_counts_how_often_and_for_how_long_a_person_took_over():
    session = session_of(task__episode_s=0.4)
    session.start()
    helped = {1, 2, 5, 8}
    person = lambda observation, episode, step, deterministic: Choice({"arm": ACTION}, 8, step in helped)
    outcomes = run(session, [{"tick": tick} for tick in range(3, 20)], policy=person)
    first, *_ = finished(outcomes)
    assert (first.steps, first.interventions, first.intervened_steps) == (10, 3, 4)
