"""What the gate lets a gripper do: inside its stroke, at its speed, held or opened at rest."""

import importlib.util
import math

import numpy as np
import pytest

from jsac_ros import system
from jsac_ros.config import ConfigError, GripperConfig
from jsac_ros.control.safety.grippers import LEAD_S, GripperGates
from jsac_ros.nodes.gripper_commands import GripperCommands, TopicCommands
from jsac_ros.parameters import load
from jsac_ros.robots.gripper import Gripper

STROKE, SPEED = 0.08, 0.1
REVOLUTE = dict(joint="knuckle", open=0.0, closed=0.8, stroke_m=STROKE, max_speed_m_s=SPEED)
PRISMATIC = dict(joint="finger", open=0.04, closed=0.0, stroke_m=STROKE, max_speed_m_s=SPEED)


def gates(**settings):
    return GripperGates({"gripper": Gripper("gripper", GripperConfig(**(REVOLUTE | settings)))})


def heard(made, joint):
    made.heard(["elbow", "knuckle", "finger"], [1.0, joint, joint])
    return made


def run(made, begin_s, end_s, resting=False, period_s=0.008, joint=REVOLUTE, stop_m=-1.0, speed=math.inf):
    """Openings that are said on the way to fingers that follow at once, or at `speed`, but not further than `stop_m`."""
    said, gripper = [], Gripper("gripper", GripperConfig(**joint))
    for t in np.arange(begin_s, end_s, period_s):
        said.append(opening := made.step(t, resting)["gripper"])
        way = min(max(opening.now - opening.measured, -speed * period_s), speed * period_s)
        heard(made, gripper.joint(max(opening.measured + way, stop_m)))
    return said


@pytest.mark.parametrize("joint", [REVOLUTE, PRISMATIC], ids=["revolute", "prismatic"])
@pytest.mark.parametrize("wanted", [-1.0, 0.0, 0.03, STROKE, 1.0])
def test_it_goes_inside_its_stroke_at_its_speed(joint, wanted):
    made = heard(gates(**joint), joint["open"])
    assert made.command(0.0, {"gripper": [wanted]}, False) == ""
    assert made.step(0.0, False)["gripper"].now == pytest.approx(STROKE)
    said = run(made, 0.0, 2.0, joint=joint)
    target = min(max(wanted, 0.0), STROKE)
    assert said[-1] == (pytest.approx(target), target, pytest.approx(target))
    now = np.array([opening.now for opening in said])
    assert np.all(np.abs(np.diff(now)) <= SPEED * 0.008 + 1e-12)
    assert made.applied()["gripper"] == target


@pytest.mark.parametrize(("on_stop", "then"), [("hold", 0.05), ("open", STROKE)])
def test_a_rule_that_asks_for_rest_holds_or_opens_it(on_stop, then):
    made = heard(gates(on_stop=on_stop), 0.0)
    made.command(0.0, {"gripper": [0.0]}, False)
    assert run(made, 0.0, 0.3 + 1e-9, period_s=0.1)[-1].now == pytest.approx(0.05)
    stopped = run(made, 0.3, 2.0, resting=True)
    assert stopped[0].target == pytest.approx(then) and stopped[-1].now == pytest.approx(then)
    assert made.command(2.0, {"gripper": [0.0]}, True) == ""
    assert made.step(2.1, True)["gripper"].target == pytest.approx(then)  # it is not obeyed
    made.command(2.2, {"gripper": [0.0]}, False)
    assert made.step(2.2, False)["gripper"].target == 0.0


def test_what_it_holds_stays_held_at_rest():
    """The fingers stand on a cube; where they were told to be is further, and stays: that is the grip."""
    made = heard(gates(), 0.0)
    made.command(0.0, {"gripper": [0.0]}, False)
    run(made, 0.0, 1.0, stop_m=0.04)
    held = run(made, 1.0, 2.0, resting=True, stop_m=0.04)[-1]
    assert held == (pytest.approx(0.04 - SPEED * LEAD_S), 0.0, pytest.approx(0.04))


def test_slow_fingers_stop_at_rest_where_they_are():
    """They are slower than they may be, so they are as far behind as fingers that hold something; but they move."""
    made = heard(gates(), 0.0)
    made.command(0.0, {"gripper": [0.0]}, False)
    moving = run(made, 0.0, 1.0, speed=0.03)[-1]
    stopped = run(made, 1.0, 3.0, resting=True, speed=0.03)[-1]
    assert moving.measured - SPEED * LEAD_S - 1e-3 <= stopped.measured < moving.measured and stopped.measured > 0.02


def test_fingers_that_come_free_or_follow_late_are_not_led_far_ahead():
    """Held open for a second, or a controller that starts a second late."""
    made = heard(gates(), 0.0)
    made.command(0.0, {"gripper": [0.0]}, False)
    for opening in (*run(made, 0.0, 1.0, stop_m=STROKE), *run(made, 1.0, 2.0)):
        assert abs(opening.now - opening.measured) <= SPEED * LEAD_S + 1e-12


def test_before_the_first_command_it_keeps_what_it_holds():
    """A node that starts beside closed fingers: an opening that is measured would be a looser grip."""
    made = heard(gates(), 0.4)
    assert made.step(0.0, True) == {} and made.step(0.1, False) == {} and made.step(0.2, True) == {}
    heard(made, 0.6)
    assert made.applied()["gripper"] == pytest.approx(0.02)
    made.command(0.3, {"gripper": [0.0]}, False)
    assert made.step(0.3, False)["gripper"] == (pytest.approx(0.02), 0.0, pytest.approx(0.02))


def test_nothing_is_said_before_its_joint_is_heard():
    made = gates()
    assert made.missing == "gripper: no joint state of knuckle yet" and made.step(0.0, False) == {}
    made.command(0.0, {"gripper": [0.0]}, False)
    made.heard(["elbow"], [0.3])
    made.heard(["knuckle"], [math.nan])
    assert made.missing and np.isnan(made.applied()["gripper"])
    heard(made, 0.4)
    assert made.missing == "" and made.applied()["gripper"] == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("outputs", "why"),
    [
        ({"claw": [0.0]}, "there is no gripper 'claw'"),
        ({"gripper": [0.0, 0.0]}, "gripper is [0.0, 0.0]; expected one opening in m"),
        ({"gripper": []}, "gripper is []; expected one opening in m"),
        ({"gripper": [math.inf]}, "gripper is [inf]; expected one opening in m"),
    ],
)
def test_what_cannot_be_done_is_named_and_changes_nothing(outputs, why):
    made = heard(gates(), 0.4)
    assert made.command(0.0, outputs, False) == why
    assert made.step(0.1, False) == {} and made.applied()["gripper"] == pytest.approx(0.04)


def test_an_opening_that_is_nan_keeps_what_is():
    made = heard(gates(), 0.0)
    made.command(0.0, {"gripper": [0.02]}, False)
    assert made.command(0.1, {"gripper": [math.nan]}, False) == "" and made.command(0.2, {}, False) == ""
    assert made.applied()["gripper"] == 0.02


def test_a_trajectory_that_is_repeated_has_the_time_that_the_fingers_need():
    """Its controller was not active for a second: what it hears then must not be a target at once."""
    said = []

    class Trajectory(TopicCommands):
        def __init__(self, gripper):
            GripperCommands.__init__(self, gripper)

        def say(self, opening, takes_s):
            said.append((opening, takes_s))
            return True

    made, commands = heard(gates(), 0.0), Trajectory(Gripper("gripper", GripperConfig(**REVOLUTE)))
    made.command(0.0, {"gripper": [0.0]}, False)
    for opening, t in zip(run(made, 0.0, 2.5, stop_m=STROKE), np.arange(0.0, 2.5, 0.008)):
        commands.step(t, opening)
    assert said == [(0.0, pytest.approx(STROKE / SPEED))] * 3


@pytest.mark.parametrize(("interface", "package"), [("parallel_gripper_command", "control_msgs"), ("set_io", "ur_msgs")])
def test_an_interface_whose_messages_are_not_installed_is_refused_before_anything_starts(interface, package):
    if importlib.util.find_spec(package):
        pytest.skip(f"{package} is installed here")
    config = load("lift", {"grippers.gripper.interface": interface})
    with pytest.raises(ConfigError, match=rf"what grippers.gripper.interface needs is '{package}/.*{package} is not installed"):
        system.check(config)
