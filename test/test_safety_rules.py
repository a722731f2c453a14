"""The rules of the gate, with a robot behind it: each brings it to rest, says why, and ends as it should."""

import numpy as np
import pytest
from gate_cases import CONTROL, DT, Cell, full_speed, gated


def lose_joints(cell):
    cell.hears_joints = False


def jump(cell):
    cell.reads = 1.0


def let_go(cell):
    cell.holds_switch = False
    cell.gate.dead_man_held(cell.now, False)


FAULTS = {
    "emergency_stop": lambda cell: cell.gate.emergency_stop("the test"),
    "stale_joints": lose_joints,
    "joint_jump": jump,
    "program_stopped": lambda cell: cell.gate.program_running(False),
    "safety_mode": lambda cell: cell.gate.safety_mode(3),
    "dead_man": let_go,
}


@pytest.mark.parametrize("interface", ["trajectory", "velocity"])
@pytest.mark.parametrize("rule", FAULTS)
def test_a_fault_brakes_to_rest_though_commands_go_on(rule, interface):
    cell = full_speed(interface=interface)
    FAULTS[rule](cell)
    begin = len(cell.qd)
    rules = set()
    for _ in range(11):
        cell.run(CONTROL)
        decision = cell.command([0.3, 0.0, 0.3, 0, 0, 0])
        assert decision.intervened or not decision.rules
        rules.update(decision.rules)
    assert rule in rules
    still = np.abs(cell.qd[begin:]).max(axis=1) < 0.01
    assert still[round(0.3 / DT) :].all()
    assert cell.gate.counts[rule] == 1
    if rule not in ("program_stopped", "safety_mode"):  # the robot's own stop is not ours to ramp
        cell.check()


def test_the_emergency_stop_latches_until_released():
    cell = full_speed()
    cell.gate.emergency_stop("a person")
    cell.run(1.0)
    for _ in range(50):
        assert cell.command([0.3, 0, 0, 0, 0, 0]).motion is None
        cell.run(CONTROL)
    assert cell.gate.state(cell.now) == ("stopped", "emergency stop: a person")
    assert np.abs(cell.sim.qd).max() < 1e-9
    cell.gate.release()
    assert cell.command([0.3, 0, 0, 0, 0, 0]).motion is not None
    cell.check()


@pytest.mark.parametrize("off", [0.25, 0.5])
def test_a_jumped_joint_is_believed_when_it_is_back_or_a_person_says_so(off):
    cell = full_speed()
    cell.reads = off
    cell.run(3.0)  # that it says so for long makes it no truer
    assert cell.command([0.3, 0, 0, 0, 0, 0]).motion is None and "joint_jump" in cell.gate.reasons
    cell.reads = 0.0
    cell.run(CONTROL)
    assert cell.command([-0.3, 0, 0, 0, 0, 0]).motion is not None
    cell.run(1.0)
    cell.check()
    cell.reads = off  # such as after the arm was moved by hand while its driver was gone
    cell.run(3.0)
    assert cell.command([-0.3, 0, 0, 0, 0, 0]).motion is None
    cell.gate.release()
    cell.run(CONTROL)
    assert cell.command([-0.3, 0, 0, 0, 0, 0]).motion is not None


def test_a_robot_that_does_not_move_is_held():
    cell = full_speed()
    cell.sim.step = lambda dt: None  # blocked
    rules = set()
    for _ in range(30):
        rules.update(cell.command([0.3, 0, 0.3, 0, 0, 0]).rules)
        cell.run(CONTROL)
    assert "not_following" in rules
    state, reason = cell.gate.state(cell.now)
    assert state == "holding" and "not where it was commanded" in reason


def test_an_arm_that_came_back_from_silence_is_where_it_was_told_to_go():
    cell = full_speed()
    cell.hears_joints = False
    cell.run(1.0)
    cell.hears_joints = True
    cell.run(CONTROL)
    assert "joint_jump" not in cell.gate.reasons and cell.command([-0.3, 0, 0, 0, 0, 0]).motion is not None


@pytest.mark.parametrize("slow", [lambda k: [0.1, 0, 0, 0, 0, 0], lambda k: [0.3 * (-1) ** (k // 5), 0, 0, 0, 0, 0]])
@pytest.mark.parametrize("interface", ["trajectory", "velocity"])
def test_a_blocked_robot_is_held_however_little_is_asked_of_it(interface, slow):
    blocked, free = Cell(interface), Cell(interface)
    blocked.sim.step = lambda dt: None
    rules = {blocked: set(), free: set()}
    for k in range(100):
        for cell, named in rules.items():
            named.update(cell.command(slow(k)).rules)
            cell.run(CONTROL)
    assert "not_following" in rules[blocked] and "not_following" not in rules[free]


@pytest.mark.parametrize("percent", [0.0, 30.0, np.nan])
def test_a_velocity_controller_is_stopped_whatever_the_robots_speed_scaling_says(percent):
    cell = Cell("velocity")
    for _ in range(10):
        cell.command([0.3, 0, 0.2, 0, 0, 0])
        cell.run(CONTROL)
    cell.gate.speed_scaling(percent)
    assert cell.rest_s(1.5) < 0.3
    cell.check()
    for _ in range(60):
        cell.command([0.3, 0, 0.2, 0, 0, 0])
        cell.run(CONTROL)
    cell.gate.emergency_stop("test")
    assert cell.rest_s() < 0.3
    cell.check()


@pytest.mark.parametrize("percent", [10.0, 25.0, 50.0, 75.0, 100.0])
def test_the_speed_slider_slows_the_arm_and_nothing_else(percent):
    """The driver says percent. Told wrongly, the arm is up to three times as fast and ten times as hard as asked."""
    cell, rng = Cell(scaling=percent), np.random.default_rng(1)
    cell.sim.speed_slider = percent / 100
    rules, velocity = set(), np.zeros(6)
    for k in range(150):
        if k % 12 == 0:
            velocity = np.append(rng.choice([-0.25, 0.25], 5), 0.0)
        rules.update(cell.command(velocity).rules)
        cell.run(CONTROL)
    cell.check()
    assert "not_following" not in rules
    fastest = np.abs(cell.qd).max()
    assert fastest <= percent / 100 * 0.25 * 1.05 and (percent < 50 or fastest > percent / 100 * 0.2)


@pytest.mark.parametrize("percent", [25.0, 60.0])
def test_a_velocity_controller_slowed_by_the_slider_is_not_taken_for_a_blocked_one(percent):
    cell = Cell("velocity", scaling=percent)
    cell.sim.speed_slider = percent / 100
    rules = set()
    for k in range(80):
        rules.update(cell.command([0.3 if k < 40 else -0.3, 0, 0, 0, 0, 0]).rules)
        cell.run(CONTROL)
    assert "not_following" not in rules
    cell.check()


@pytest.mark.parametrize("percent", [np.nan, np.inf, -1.0, 137.0, 10_000.0])
def test_a_speed_scaling_that_cannot_be_holds_and_says_why(percent):
    cell = full_speed()
    cell.gate.speed_scaling(percent)
    assert cell.rest_s() <= 0.3
    assert cell.command([0.3, 0, 0, 0, 0, 0]).rules == ("speed_scaled_to_zero",)
    assert cell.gate.state(cell.now)[1] == f"speed scaling is {percent:g}; expected 0 to 100 percent"
    cell.check()
    cell.gate.speed_scaling(100.0000001)  # rounding
    assert cell.command([0.3, 0, 0, 0, 0, 0]).motion is not None


def test_two_sources_of_a_joint_stop_the_robot_until_a_person_has_looked():
    cell = full_speed()
    cell.gate.second_source("elbow_joint has two sources")
    assert cell.rest_s() <= 0.3
    assert cell.command([0.3, 0, 0, 0, 0, 0]).motion is None
    assert cell.gate.state(cell.now) == ("stopped", "emergency stop: elbow_joint has two sources")
    assert cell.gate.counts["second_source"] == 1
    cell.check()
    cell.gate.release()
    assert cell.command([0.3, 0, 0, 0, 0, 0]).motion is not None


def test_what_the_robot_has_not_said_is_named_with_the_way_out():
    _, robot, gate = gated(**{"safety.dead_man_topic": "", "robot.speed_scaling_topic": ""})
    gate.joints(robot.home, 5.0)
    decision = gate.command(5.0, np.full(6, 0.1))
    assert decision.rules == ("program_stopped",)
    assert "no message on running that" in gate.reasons["program_stopped"]
    assert "robot.program_running_topic=''" in gate.reasons["program_stopped"]


def test_a_command_of_unknown_age_is_none():
    cell = full_speed()
    decision = cell.gate.command(cell.now, None)
    assert decision.rules == ("wrong_stamp",) and decision.intervened and decision.motion is not None


def test_after_a_protective_stop_nothing_is_resumed():
    cell = full_speed()
    cell.sim.protective_stop = True
    cell.gate.program_running(False)
    cell.run(0.5)
    place = cell.sim.q.copy()
    cell.sim.protective_stop = False
    cell.run(0.5)
    np.testing.assert_allclose(cell.sim.q, place, atol=0.002)


@pytest.mark.parametrize("bad, rule", [([0.1] * 5, "wrong_length"), ([np.nan] + [0.1] * 5, "not_finite"), ([], "wrong_length")])
def test_a_command_that_is_none_brakes(bad, rule):
    cell = full_speed()
    decision = cell.command(bad)
    assert rule in decision.rules and decision.intervened and not decision.velocity.any()
    assert cell.rest_s() <= 0.3
    assert cell.gate.counts[rule] == 1


def test_a_command_that_waited_too_long_is_none():
    cell = Cell()
    decision = cell.gate.command(cell.now, np.full(6, 0.1), sent_s=cell.now - 0.2)
    assert decision.motion is None and decision.rules == ("stale_command",)
    decision = cell.gate.command(cell.now, np.full(6, 0.1), sent_s=cell.now, observed_s=cell.now - 1.0)
    assert decision.motion is not None  # this system has no camera


def test_an_old_image_is_no_ground_to_move_on():
    cell = Cell(**{"cameras.wrist.height": 90, "cameras.wrist.width": 160})
    assert cell.gate.command(cell.now, np.full(6, 0.1), observed_s=cell.now - 0.1).motion is not None
    decision = cell.gate.command(cell.now, np.full(6, 0.1), observed_s=cell.now - 0.5)
    assert decision.rules == ("stale_image",) and len(decision.motion.segments) <= 2
    cell.run(1.0)
    assert cell.gate.state(cell.now) == ("ready", "")  # at rest nothing depends on it


def test_joint_states_that_are_not_finite_are_as_good_as_none():
    cell = full_speed()
    cell.hears_joints = False
    for _ in range(20):
        cell.gate.joints(np.full(6, np.nan), cell.now)
        cell.run(DT)
    assert cell.gate.counts["joints_not_finite"] == 20 and "stale_joints" in cell.gate.reasons


def test_nothing_moves_before_the_joints_are_known():
    _, _, gate = gated(**{"safety.dead_man_topic": "", "robot.program_running_topic": ""})
    decision = gate.command(5.0, np.full(6, 0.1))
    assert decision.motion is None and decision.rules == ("stale_joints",)
    assert gate.state(5.0) == ("waiting", "no joint states yet")
