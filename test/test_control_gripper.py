"""A gripper as a part of the action: two states with a dead band and a dwell, three ways, or its opening; what a switch costs."""

import numpy as np
import pytest
from rig_cases import REACHER, rig_of, sensed_of

from jsac_ros.config import ConfigError
from jsac_ros.control.ending import Ending

STROKE, SPEED = 0.08, 0.1
FIELDS = {
    "grippers.gripper.joint": "knuckle", "grippers.gripper.stroke_m": STROKE, "grippers.gripper.max_speed_m_s": SPEED,
    "actions.gripper.type": "gripper",
}  # fmt: skip


class Hand:
    """One in an episode that began with its fingers at `opening`, m."""

    def __init__(self, mode, opening=STROKE, **fields):
        self.rig = rig_of(
            REACHER | FIELDS | {"actions.gripper.mode": mode} | {f"actions.gripper.{k}": v for k, v in fields.items()}
        )
        self.part, self.now = self.rig.actions.parts["gripper"], 0.0
        self.part.begin(self.sensed(opening))

    def sensed(self, opening=STROKE):
        return sensed_of(self.rig, self.now, outputs={"gripper": np.array([opening])})

    def says(self, *values, period_s=0.1):
        """The opening commanded for each action in turn, m."""
        said = []
        for value in values:
            self.now += period_s
            said.append(round(float(self.part.command(np.array([value], np.float32), self.sensed())[0]), 4))
        return said


def test_two_states_switch_outside_the_dead_band_only():
    hand = Hand("binary", dead_band=0.3, dwell_s=0.0)
    assert hand.says(-0.29, 0.0, -0.31, 0.2, -0.2, 0.31, 5.0, -5.0) == [STROKE, STROKE, 0, 0, 0, STROKE, STROKE, 0]


def test_after_a_switch_others_wait_for_the_dwell():
    hand = Hand("binary", dwell_s=0.3)
    assert hand.says(-1, 1, 1, 1, -1, -1) == [0, 0, 0, STROKE, STROKE, STROKE]
    assert hand.says(-1) == [0]


@pytest.mark.parametrize(("opening", "state"), [(0.081, STROKE), (0.05, STROKE), (0.03, 0.0), (-0.001, 0.0)])
def test_an_episode_begins_with_the_state_that_is_nearest(opening, state):
    assert Hand("binary", opening).says(0.0) == [state]


def test_three_ways_close_keep_and_open_at_its_speed():
    hand = Hand("three_way", 0.04)
    assert hand.says(0.1, -1, -1, 0.0, 0.5, period_s=0.1) == [0.04, 0.03, 0.02, 0.02, 0.03]
    assert hand.says(-1, period_s=5.0) == [0.01], "a pause is one long tick at most"
    assert hand.says(*[-1] * 3) == [0, 0, 0] and hand.says(*[1] * 9)[-1] == STROKE


def test_an_opening_is_what_the_action_says():
    assert Hand("continuous").says(-1, -0.5, 0, 1, 2) == [0, 0.02, 0.04, STROKE, STROKE]


@pytest.mark.parametrize("mode", ["binary", "three_way", "continuous"])
def test_a_command_and_its_action_are_inverse(mode):
    hand = Hand(mode, 0.04, dwell_s=0.0)
    for value in (-1.0, 1.0, -1.0):
        hand.says(value)
        assert hand.part.action(np.array([hand.part.commanded]), None) == (
            pytest.approx(value) if mode != "three_way" else value
        )
    hand.says(0.0)
    kept = hand.part.commanded
    assert hand.says(float(hand.part.kept()[0])) == [kept], "what keeps it keeps it"
    assert np.isnan(hand.part.action(np.array([np.nan]), None)).all()
    assert np.isnan(hand.says(np.nan)).all() and hand.part.commanded == kept


@pytest.mark.parametrize(
    ("mode", "actions", "costs"),
    [
        ("binary", (-1, -1, 0, 1, -0.2), (0.1, 0, 0, 0.1, 0)),
        ("three_way", (-1, -1, 0, 1, -1), (0, 0, 0, 0.1, 0.1)),  # closing further is none, the other way is one
        ("continuous", (-0.5, -1, 0.5), (0, 0, 0.1)),
    ],
)
def test_a_switch_costs_what_is_configured(mode, actions, costs):
    hand = Hand(mode, switch_penalty=0.1, dwell_s=0.0)
    for action, cost in zip(actions, costs, strict=True):
        hand.says(action)
        assert hand.part.penalty == hand.rig.actions.penalty == cost


def test_the_cost_is_part_of_the_reward():
    hand = Hand("binary", switch_penalty=0.1)
    ending, sensed = Ending(hand.rig), hand.sensed()
    rewards = []
    for action in (1.0, -1.0):
        hand.says(action)
        rewards.append(ending.score(sensed, {}, sensed)[0].reward)
    assert rewards[1] - rewards[0] == pytest.approx(-0.1)


def test_it_needs_a_gripper_of_that_name():
    with pytest.raises(ConfigError, match="actions.gripper.device is 'claw'; expected one of gripper"):
        Hand("binary", device="claw")


def test_its_opening_and_command_are_observed_as_shares_of_its_stroke():
    hand = Hand("binary", dwell_s=0.0)
    senses = hand.rig.senses.senses
    hand.says(-1)
    sensed = hand.sensed(0.06)
    assert senses["gripper_opening"].read(sensed, {}) == pytest.approx(0.5)
    assert senses["gripper_command"].read(sensed, {}) == pytest.approx(-1.0)
