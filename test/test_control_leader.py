"""An arm that a person moves by hand: the other one follows, and does not jump when it begins to."""

import numpy as np
import pytest
from gate_cases import CONTROL, Cell
from lab_cases import LAB
from rig_cases import BASE, HOME, REACHER, rig_of, sensed_of

from jsac_ros.config import ConfigError
from jsac_ros.control import teleop
from jsac_ros.control.leader import Leader, LeaderMapping, LeaderReading
from jsac_ros.rig import Rig

JOINTS = [f"{name}_joint" for name in ("shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3")]
ENABLE, SUCCESS = 9, 6
PEDAL = {"buttons_topic": "joy", "buttons": {"enable": ENABLE, "success": SUCCESS}, "hand_back_s": 0.0}
ARM = {
    "robot.type": "ur5e", "robot.home": (0.0, -1.4822, 1.8725, -1.9611, -1.5708, 1.5708), "task.type": "shadow",
    "actions.arm.type": "twist", "actions.arm.axes": ("x", "y", "z", "roll", "pitch", "yaw"),
    "actions.gripper.type": "gripper", "grippers.gripper.stroke_m": 0.085,
}  # fmt: skip


def mapping(**changes):
    joints = {name: {"joint": f"lead_{name}"} for name in JOINTS}
    return LeaderMapping.model_validate({"source": "leader", "joints": joints} | PEDAL | changes, strict=False)


class Hand:
    """A leader that is heard every 40 ms, and the arm that it leads where `follower` has it."""

    def __init__(self, base=REACHER, first=None, **changes):
        self.rig = rig_of(base)
        self.leader = Leader(mapping(**changes), self.rig)
        self.follower = self.rig.robot.home.copy()
        self.leads = np.zeros(6)
        self.now_s = 10.0
        self.hear(**first or {})

    def hear(self, *buttons, after_s=0.04, **more):
        self.now_s += after_s
        positions = {f"lead_{name}": value for name, value in zip(JOINTS, self.leads)} | more
        return self.leader.hear(LeaderReading(positions, frozenset(buttons), self.follower), self.now_s)


def test_nothing_jumps_where_the_two_stand_differently_and_what_the_leader_does_from_then_on_counts():
    hand = Hand()
    assert np.abs(hand.leads - hand.follower).max() > 1.0
    assert not hand.hear().holds and not hand.hear(ENABLE).action["arm"].any()
    hand.leads[1] += 0.03
    said = hand.hear(ENABLE)
    assert said.holds
    np.testing.assert_allclose(said.action["arm"], [0.0, 5.0 * 0.03 / 0.3, 0.0, 0.0, 0.0], atol=1e-6)
    hand.follower[1] += 0.03
    assert not hand.hear(ENABLE).action["arm"].any(), "it is there"


def test_too_fast_a_hand_is_followed_on_its_own_way_at_the_actions_speed():
    hand = Hand()
    hand.hear(ENABLE)
    hand.leads[:2] += [0.2, -0.1]
    np.testing.assert_allclose(hand.hear(ENABLE).action["arm"], [1.0, -0.5, 0.0, 0.0, 0.0], atol=1e-6)


def test_letting_go_of_enable_rests_and_the_leader_may_be_brought_elsewhere():
    hand = Hand()
    hand.hear(ENABLE)
    hand.leads[0] += 0.1
    assert hand.hear(ENABLE).action["arm"][0] == 1.0
    assert not hand.hear().holds and hand.hear().action == {}
    hand.leads[0] += 1.0
    assert not hand.hear(ENABLE).action["arm"].any()


def test_a_joint_that_turns_the_other_way_has_a_scale_of_minus_one():
    joints = {"shoulder_pan_joint": {"joint": "a", "scale": -1.0}, "elbow_joint": {"joint": "b", "scale": 2.0}}
    hand = Hand(joints=joints, first={"a": 0.0, "b": 0.0})
    at = lambda a, b: hand.hear(ENABLE, a=a, b=b)
    at(0.0, 0.0)
    np.testing.assert_allclose(at(0.01, 0.01).action["arm"], np.array([-0.05, 0.0, 0.1, 0.0, 0.0]) / 0.3, atol=1e-6)


def test_what_the_robot_does_by_itself_is_not_undone():
    hand = Hand()
    hand.hear(ENABLE)
    for _ in range(20):  # the way home, while the person holds enable
        hand.follower[0] += 0.05
        assert not hand.hear(ENABLE).action["arm"].any()
    hand.leads[0] += 0.02
    assert hand.hear(ENABLE).action["arm"][0] == pytest.approx(0.02 * 5 / 0.3, rel=1e-5)


def test_a_robot_that_is_held_up_is_led_by_at_most_so_much():
    hand = Hand(lead_rad=0.1)
    hand.hear(ENABLE)
    for _ in range(10):
        hand.leads[0] += 0.1
        hand.hear(ENABLE)
    hand.leads[0] -= 0.1
    assert not hand.hear(ENABLE).action["arm"].any(), "0.1 back is where it stands, not 0.9 ahead"


def test_followed_absolutely_nothing_moves_until_both_stand_alike():
    led = {"joint": "a", "scale": -1.0, "offset": 0.5}
    hand = Hand(follow="absolute", joints={"shoulder_pan_joint": led}, first={"a": 0.0})
    at = lambda a, *buttons: hand.hear(*buttons, a=a)
    agrees = 0.5 - hand.follower[0]
    at(agrees + 0.3)
    far = at(agrees + 0.3, ENABLE)
    assert far.holds and not far.action["arm"].any()
    assert hand.leader.problem == (
        "leader and robot are 0.30 rad apart at shoulder_pan_joint; expected at most 0.1: bring them together"
    )
    near = at(agrees + 0.05, ENABLE)
    assert near.action["arm"][0] == pytest.approx(-5 * 0.05 / 0.3, rel=1e-4) and hand.leader.problem == ""
    assert at(agrees + 0.25, ENABLE).action["arm"][0] == -1.0, "a lag is no parting"
    hand.follower[0] += 1.0  # the way home
    assert not at(agrees + 0.25, ENABLE).action["arm"].any() and "1.25 rad apart" in hand.leader.problem


def test_a_slide_stands_alike_to_centimetres():
    """5 cm apart: within the tolerance of a joint in rad."""
    hand = Hand(base=LAB, follow="absolute", joints={"x": {"joint": "a"}}, first={"a": 0.2})
    at = lambda a: hand.hear(ENABLE, a=a)
    at(0.25)
    assert not at(0.25).action["arm"].any() and hand.leader.problem.startswith("leader and robot are 0.05 m apart at x;")
    assert at(0.21).action["arm"][0] == pytest.approx(0.5, rel=1e-4) and hand.leader.problem == ""


def test_without_buttons_moving_takes_over_and_rest_hands_back():
    hand = Hand(buttons_topic="", buttons={}, hand_back_s=0.1)
    assert not hand.hear().holds
    hand.leads[2] += 0.02
    assert hand.hear().holds
    hand.leads[2] += 0.004  # noise
    assert [hand.hear().holds for _ in range(4)] == [True, True, False, False]


def test_a_leader_that_comes_back_begins_anew_and_buttons_are_verbs():
    hand = Hand()
    hand.hear(ENABLE)
    hand.leads[0] += 0.5
    said = hand.hear(ENABLE, after_s=1.0)
    assert not said.holds, "enable was held when it came back"
    hand.hear()
    assert not hand.hear(ENABLE).action["arm"].any()
    assert hand.hear(ENABLE, SUCCESS).verbs == ("success",)


def test_without_fresh_joint_states_of_the_robot_it_rests():
    hand = Hand()
    hand.hear(ENABLE)
    hand.leads[0] += 0.1
    hand.follower, known = None, hand.follower
    assert not hand.hear(ENABLE).action["arm"].any() and hand.leader.problem == "no joint states of the robot"
    hand.follower = known
    assert not hand.hear(ENABLE).action["arm"].any(), "it begins anew"


def test_a_twist_is_the_way_of_the_leaders_tool():
    hand = Hand(ARM)
    robot = hand.rig.robot
    hand.hear(ENABLE)
    hand.leads += [0.004, 0.003, -0.002, 0.0, 0.001, 0.002]
    action = hand.hear(ENABLE).action["arm"]
    (p, r), (q, s) = robot.forward(hand.follower, "base_link"), robot.forward(hand.follower + hand.leads, "base_link")
    np.testing.assert_allclose(action[:3], 5 * (q - p) / 0.1, atol=1e-6)
    turned = (s @ r.T - r @ s.T)[[2, 0, 1], [1, 2, 0]] / 2
    np.testing.assert_allclose(action[3:], 5 * turned / 0.5, atol=1e-5)


def test_the_trigger_moves_the_gripper_once_it_is_moved():
    hand = Hand(ARM, gripper={"joint": "trigger", "open": 0.0, "closed": 0.8})
    at = lambda value: hand.hear(ENABLE, trigger=value).action
    hand.hear(trigger=0.4)
    assert "gripper" not in at(0.4) and "gripper" not in at(0.45)
    assert at(0.6)["gripper"] == pytest.approx([-0.5]) and at(0.0)["gripper"] == [1.0]
    assert at(0.4)["gripper"] == pytest.approx([0.0], abs=1e-6)


@pytest.mark.parametrize(
    "base, changes, message",
    [
        (BASE, {}, "diff_drive is a mobile base; expected an arm"),
        (REACHER, {"joints": {"knee_joint": {"joint": "a"}}}, r"person.mapping: joints is \['knee_joint'\]"),
        (ARM | {"actions.arm.frame": "start"}, {}, "actions.arm.frame is 'start', which is unknown to a leader"),
        (REACHER | {"actions.arm.type": "joint_velocity_table", "actions.arm.table": (0.0,) * 10}, {}, "chooses from a table"),
    ],
)
def test_what_a_leader_cannot_lead_is_refused(base, changes, message):
    with pytest.raises(ConfigError, match=message):
        Leader(mapping(**changes), rig_of(base))


def test_a_leader_of_other_joints_is_refused_by_name():
    hand = Hand()
    with pytest.raises(ValueError, match="the leader has joints a; expected lead_shoulder_pan_joint among them"):
        hand.leader.hear(LeaderReading({"a": 0.0}, frozenset(), hand.follower), 11.0)
    hand.leads[3] = np.nan
    with pytest.raises(ValueError, match="joint lead_wrist_1_joint of the leader is nan"):
        hand.hear()


@pytest.mark.parametrize(
    "text, finding",
    [
        ("source: leader\njoints: {}\n", "joints: "),
        ("source: leader\njoints: {a: {joint: b}}\nbuttons: {enable: 1}\n", "buttons_topic is '' and buttons holds 1; expected both or none"),
        ("source: leader\njoints: {a: {joint: b}}\ngripper: {joint: c, open: 1.0, closed: 1.0}\n", "open and closed are both 1.0"),
    ],
)  # fmt: skip
def test_a_wrong_mapping_is_named_in_one_line(tmp_path, text, finding):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        teleop.load(str(tmp_path / "mine.yaml"))
    assert finding in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["joint_velocity", "twist"])
def test_through_the_gate_the_arm_comes_to_where_the_leader_is_without_a_jolt(kind):
    """The leader is 0.4 rad off at the takeover, then moves by 0.15 rad in 0.6 s and stands; enable is let go in between."""
    axes = {"actions.arm.axes": ("x", "y", "z", "roll", "pitch", "yaw")} if kind == "twist" else {}
    cell = Cell(**{"task.type": "shadow", "actions.arm.type": kind, "safety.dead_man_topic": ""}, **axes)
    rig = Rig.of(cell.config)
    leader = Leader(mapping(), rig)
    start, leads = cell.sim.q.copy(), np.array(HOME) + 0.4
    sensed = lambda: sensed_of(rig, cell.now, position=cell.sim.q.copy(), velocity=cell.sim.qd.copy())
    rig.actions.begin(sensed())
    for tick in range(130):
        if 20 <= tick < 35 or 70 <= tick < 85:
            leads[0] += 0.01
            leads[4] -= 0.005
        enabled = {ENABLE} if tick > 2 and not 55 <= tick < 60 else set()
        reading = LeaderReading({f"lead_{n}": v for n, v in zip(JOINTS, leads)}, frozenset(enabled), cell.sim.q.copy())
        said = leader.hear(reading, cell.now)
        action = rig.actions.completed(said.action, sensed())
        cell.command(rig.actions.command(action, sensed()).motion)
        cell.run(CONTROL)
        if tick == 19:
            assert np.abs(cell.sim.q - start).max() < 1e-3, "nothing has jumped"
    np.testing.assert_allclose(cell.sim.q - start, [0.3, 0, 0, 0, -0.15, 0], atol=0.01)
    cell.check(acceleration=1.03 * cell.config.safety.max_joint_acceleration_rad_s2)
