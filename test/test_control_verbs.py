"""What an operator is answered: it will happen, or nothing will and why. The product of verbs and situations."""

import itertools

import pytest

from jsac_ros.control.verbs import EVENTS, MOVING, VERBS, Situation, answer

STATES = ("waiting", "resetting", "acting", "holding", "paused", "stopped")


@pytest.mark.parametrize("verb", (*VERBS, *EVENTS))
def test_before_the_first_tick_nothing_is_promised(verb):
    """A start that is taken now would move the arm minutes later."""
    said = answer(verb, Situation("waiting", waits_for="the learner's first policy"))
    assert not said.success and "the learner's first policy" in said.message


@pytest.mark.parametrize("verb, state", list(itertools.product(MOVING, STATES)))
def test_under_a_stop_nothing_that_moves_is_promised(verb, state):
    said = answer(verb, Situation(state, stopped="emergency stop: topic"))
    assert not said.success and "jsac-ros release" in said.message and "emergency stop: topic" in said.message


@pytest.mark.parametrize("verb, state", list(itertools.product((*VERBS, *EVENTS), STATES)))
def test_what_is_promised_can_happen(verb, state):
    said = answer(verb, Situation(state))
    can = {
        "resume": state == "paused", "pause": state in ("resetting", "acting", "holding"), "continue": False,
    } | dict.fromkeys(("success", "failure", "discard"), state == "acting")  # fmt: skip
    assert said.success == can.get(verb, True) and said.message.startswith(f"{verb}: ")
    if not said.success:
        assert state in said.message or "waits for a person" in said.message


def test_a_reset_that_asks_a_person_takes_continue():
    said = answer("continue", Situation("resetting", asks="put the cube back"))
    assert said.success and "put the cube back" in said.message


@pytest.mark.parametrize("verb, state", list(itertools.product(MOVING, ("waiting", "paused", "stopped"))))
@pytest.mark.parametrize("holds", ["the safety node is silent", "safety holding: the dead man's switch is not held"])
def test_what_holds_refuses_a_beginning(verb, state, holds):
    """It would begin when that ends, whenever a person closes the switch or a camera comes back."""
    said = answer(verb, Situation(state, holds=holds))
    assert not said.success and holds in said.message and "try again" in said.message


def test_what_holds_an_open_system_is_said():
    said = answer("start", Situation("holding", holds="wrist is 0.31 s old, limit 0.20 s"))
    assert said.success and "wrist is 0.31 s old" in said.message
