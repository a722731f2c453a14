"""Commands of another system as actions of ours: of every kind of message, and what is said where they do not fit."""

from types import SimpleNamespace

import numpy as np
import pytest
from rig_cases import BASE, LINE, rig_of, sensed_of

from jsac_ros.control.recorded_actions import CommandReader, RecordedActions
from jsac_ros.types import Command

ARRAY, JOINTS = "std_msgs/msg/Float64MultiArray", "sensor_msgs/msg/JointState"
GRIPPER = LINE | {
    "grippers.hand.joint": "finger", "grippers.hand.open": 0.0, "grippers.hand.closed": 0.8, "grippers.hand.stroke_m": 0.08,
    "actions.grip.type": "gripper", "actions.grip.device": "hand", "actions.grip.mode": "continuous",
}  # fmt: skip


def array(*values):
    return SimpleNamespace(data=np.array(values))


def states(**joints):
    return SimpleNamespace(name=list(joints), position=np.array(list(joints.values())))


def test_an_array_is_the_robots_motion_and_its_grippers_behind_it():
    read = CommandReader(rig_of(GRIPPER))
    command = read(array(0.1, 0.2, 0.3), ARRAY)
    assert command.motion.tolist() == [0.1, 0.2, 0.3] and command.outputs == {}
    assert read(array(0.0, 0.0, 0.0, 0.4), ARRAY).outputs["hand"] == pytest.approx([0.04]), "m between the fingers"


def test_joint_states_come_in_any_order_and_in_parts():
    read = CommandReader(rig_of(GRIPPER))
    assert read(states(c=3.0, finger=0.8), JOINTS) is None, "not all joints have been commanded"
    command = read(states(b=2.0, other=7.0, a=1.0), JOINTS)
    assert command.motion.tolist() == [1.0, 2.0, 3.0] and command.outputs["hand"] == [0.0]
    assert read(states(finger=0.0), JOINTS).outputs["hand"] == pytest.approx([0.08])


def test_a_base_is_commanded_by_a_twist():
    read = CommandReader(rig_of(BASE))
    twist = SimpleNamespace(linear=SimpleNamespace(x=0.2), angular=SimpleNamespace(z=-1.0))
    assert read(twist, "geometry_msgs/msg/Twist").motion.tolist() == [0.2, -1.0]
    assert read(SimpleNamespace(twist=twist), "geometry_msgs/msg/TwistStamped").motion.tolist() == [0.2, -1.0]
    assert read(array(0.1, 0.5), ARRAY).motion.tolist() == [0.1, 0.5] and JOINTS not in read.types


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        (array(0.0), ARRAY, "command has 1 values; expected 3 or 4"),
        (array(0.0, 0.0, np.nan), ARRAY, "not finite"),
        (states(a=1.0, b=np.inf, c=0.0), JOINTS, "not finite"),
        (SimpleNamespace(name=["a", "b", "c"], position=np.zeros(2)), JOINTS, "3 names, 2 positions"),
    ],
)
def test_what_is_no_command_is_refused_in_one_line(message, kind, words):
    with pytest.raises(ValueError, match=words):
        CommandReader(rig_of(GRIPPER))(message, kind)


def taken(rig, commands, positions):
    recorded = RecordedActions(rig)
    for command, position in zip(commands, positions):
        choice = recorded.choice(Command(command, {}), sensed_of(rig, position=position))
    return recorded, choice


def test_the_nearest_action_stands_for_a_command_and_no_policy():
    rig = rig_of(GRIPPER)
    recorded, choice = taken(rig, [np.array([0.1, 0.5, 9.0])], [np.zeros(3)])
    np.testing.assert_allclose(choice.action["arm"], [0.5, 1.0])
    assert choice.action["grip"] == [0.0], "a device that is not commanded is left as it is"
    assert choice.version == -1 and not choice.intervened and (recorded.count, recorded.clipped) == (1, 1)


def test_commands_that_fit_are_no_finding():
    rig = rig_of(LINE)
    recorded, _ = taken(rig, np.full((50, 3), 0.1), np.zeros((50, 3)))
    assert recorded.finding == ""


@pytest.mark.parametrize(
    ("unit", "words"),
    [(180 / np.pi, "degrees"), (1.0, "positions of the joints"), (1000.0, "mm"), (17.0, "were clipped")],
)
def test_the_share_that_is_clipped_is_said_with_the_likely_unit(unit, words):
    rig, positions = rig_of(LINE), np.sin(np.linspace(0, 6, 200))[:, None] * (1.0, 0.5, 0.3)
    recorded, _ = taken(rig, unit * positions + 0.3, positions)
    assert recorded.finding.startswith(f"{recorded.clipped / 200:.0%} of 200 recorded commands lie outside actions.arm")
    assert words in recorded.finding and recorded.clipped > 100
