"""The gate with a robot behind it: limits are never crossed, whatever is commanded and whenever it ends."""

import numpy as np
import pytest
from rig_cases import BASE, HOME

from jsac_ros import plugins
from jsac_ros.config import ConfigError, RobotParameters
from jsac_ros.control.safety import gate_of
from jsac_ros.parameters import from_parameters
from jsac_ros.robots.robot import Robot, links_from_dh
from jsac_ros.sim.kinematic.arm import SimArm
from jsac_ros.sim.trajectory import Trajectory

DT = 0.008  # a cycle of the robot's controller, which says its joints in each
CONTROL = 0.04
ROUNDING = 1e-6

REACHER = {
    "robot.home": HOME,
    "actions.arm.type": "joint_velocity",
    "safety.joint_lower": [0.95993, -2.0944, 0.0, -3.75246, -2.35619, 2.9],
    "safety.joint_upper": [2.18166, -0.5236, 2.35619, -2.35619, -0.7854, 3.4],
    "safety.box_lower": [-0.4, 0.17, 0.37],
    "safety.box_upper": [0.15, 0.7, 0.63],
    "safety.max_joint_speed_rad_s": 0.3,
    "robot.program_running_topic": "running",
    "robot.speed_scaling_topic": "scaling",
    "safety.dead_man_topic": "dead_man",
}


def gated(base=REACHER, /, **changes):
    """Configuration, robot and gate."""
    config = from_parameters(base | changes)
    robot = plugins.make("robot", config.robot.type, config.robot)
    return config, robot, gate_of(config, robot)


class Cell:
    """A UR5 behind its gate: commands go in, the simulated arm moves, what it did is kept."""

    def __init__(self, interface="trajectory", start=None, scaling=100.0, sim=SimArm, **changes):
        self.config, self.arm, self.gate = gated(**{"robot.interface": interface} | changes)
        self.sim = sim(self.arm, self.arm.home if start is None else np.array(start), interface, 40.0)
        self.interface = interface
        self.now = 100.0
        self.hears_joints = True
        self.reads = 0.0  # rad that the joint states are off
        self.holds_switch = True
        self.q, self.qd = [self.sim.q], [self.sim.qd]
        self.gate.program_running(True)
        self.gate.speed_scaling(scaling)
        self.run(3 * DT)

    def listen(self):
        if self.hears_joints:
            self.gate.joints(self.sim.q + self.reads, self.now)
        if self.holds_switch:
            self.gate.dead_man_held(self.now, True)

    def drive(self, decision):
        motion, begins_s = decision.motion, decision.begins_s
        if self.interface == "trajectory" and motion is not None:
            times, q, qd, qdd = map(np.array, zip(*motion.points(begins_s is not None)))
            smooth = self.config.safety.max_joint_jerk_rad_s3 > 0
            # The arm takes it at the end of its next step.
            starts_in_s = 0.0 if begins_s is None else begins_s - (self.now + DT)
            self.sim.command_trajectory(self.arm.names, Trajectory(times, q, qd, qdd if smooth else None), starts_in_s)
        elif self.interface == "velocity":
            self.sim.command_velocity(self.gate.velocity(self.now + DT))

    def command(self, velocity):
        decision = self.gate.command(self.now, np.asarray(velocity, float))
        self.drive(decision)
        return decision

    def run(self, seconds, watch=True):
        """Time passes without a new command; `watch=False`: the safety node is dead as well."""
        decision = None
        for _ in range(round(seconds / DT)):
            if watch:
                self.listen()
                decision = self.gate.watch(self.now)
                self.drive(decision)
            self.sim.step(DT)
            self.now += DT
            self.q.append(self.sim.q.copy())
            self.qd.append(self.sim.qd.copy())
        return decision

    def rest_s(self, seconds=1.0, **how):
        """Seconds until the arm is at rest and stays there."""
        begin = len(self.qd)
        self.run(seconds, **how)
        moving = np.flatnonzero(np.abs(self.qd[begin:]).max(axis=1) > 0.01)
        return 0.0 if len(moving) == 0 else (moving[-1] + 1) * DT

    def check(self, acceleration=1.4):
        q, qd = np.array(self.q), np.array(self.qd)
        bounds = self.gate.bounds
        assert (q <= bounds.joint_upper + ROUNDING).all() and (q >= bounds.joint_lower - ROUNDING).all()
        place = self.arm.tool_positions(q, "base_link")
        assert (place <= bounds.box[1] + ROUNDING).all() and (place >= bounds.box[0] - ROUNDING).all()
        assert np.abs(qd).max() <= 0.3 * 1.01
        steps = 2 if self.interface == "velocity" else 1  # the velocity controller executes steps raw
        changed = np.abs(qd[steps:] - qd[:-steps]).max() / (steps * DT)
        assert changed <= acceleration * 1.06  # the simulated controller steps over a corner


def policies(rng):
    """Ways to command: noise, saturated noise, and leaning on every limit."""
    direction = rng.uniform(-1, 1, 6)
    direction[5] = 0
    yield lambda k: np.append(rng.uniform(-0.3, 0.3, 5), 0)
    yield lambda k: np.append(rng.choice([-0.3, 0.3], 5), 0)
    yield lambda k: direction / np.abs(direction).max() * 0.3
    yield lambda k: np.sign(direction) * 3.0
    yield lambda k: direction * 0.3 * np.sign(np.sin(k / 20))


@pytest.mark.parametrize("interface", ["trajectory", "velocity"])
@pytest.mark.parametrize("seed", range(3))
def test_no_command_leads_outside_and_every_death_ends_at_rest(interface, seed):
    rng = np.random.default_rng(seed)
    for policy in policies(rng):
        cell = Cell(interface)
        for k in range(int(rng.integers(60, 150))):
            cell.command(policy(k))
            cell.run(CONTROL)
        # The actor dies; with the trajectory interface the safety node may die with it.
        assert cell.rest_s(watch=interface == "velocity") <= 0.3
        cell.check()


@pytest.mark.parametrize("interface", ["trajectory", "velocity"])
def test_with_a_jerk_limit_acceleration_never_steps(interface):
    jerk = 60.0
    for policy in policies(np.random.default_rng(5)):
        cell = Cell(interface, **{"safety.max_joint_jerk_rad_s3": jerk})
        motions = []
        for k in range(80):
            decision = cell.command(policy(k))
            if decision.motion is not None:
                motions.append(decision.motion)
            cell.run(CONTROL)
        cell.run(1.0)
        cell.check(acceleration=1.4)
        for motion in motions:
            acceleration = np.array([motion.at(motion.start_s + t)[2] for t in np.arange(0, motion.duration_s, 0.001)])
            assert np.abs(acceleration).max() <= 1.4 * 1.02
            assert np.abs(np.diff(acceleration, axis=0)).max() <= jerk * 0.001 * 1.05


@pytest.mark.parametrize("interface, jerk", [("trajectory", 5.0), ("trajectory", 60.0), ("velocity", 20.0)])
def test_with_a_jerk_limit_no_command_leads_outside(interface, jerk):
    """A brake planned anew at each command grows longer: what was judged once is kept."""
    for policy in policies(np.random.default_rng(1)):
        cell = Cell(interface, **{"safety.max_joint_jerk_rad_s3": jerk})
        for k in range(100):
            cell.command(policy(k))
            cell.run(CONTROL)
        assert cell.rest_s(2.0) <= cell.gate.rest_s + 2 * DT
        cell.check(acceleration=1.5)


@pytest.mark.parametrize("jerk", [0.0, 20.0])
def test_leaning_on_a_limit_comes_close_to_it(jerk):
    """A gate that stops everything would pass the tests above."""
    cell = Cell(**{"safety.max_joint_jerk_rad_s3": jerk})
    rules = set()
    for _ in range(100 if not jerk else 300):
        rules.update(cell.command([0, 0, 0, 0, 0.3, 0]).rules)
        cell.run(CONTROL)
    assert 0 <= cell.gate.bounds.joint_upper[4] - cell.sim.q[4] < 0.02
    assert "joint_limit" in rules
    away = cell.command([0, 0, 0, 0, -0.3, 0])
    assert away.velocity[4] < (-0.01 if jerk else -0.05) and "joint_limit" not in away.rules


def test_at_a_joint_limit_the_other_joints_go_on():
    cell = Cell()
    for _ in range(100):
        cell.command([0, 0, 0, 0, 0.3, 0])
        cell.run(CONTROL)
    before = cell.sim.q.copy()
    for _ in range(20):
        cell.command([0.2, 0, 0, 0, 0.3, 0])
        cell.run(CONTROL)
    assert cell.sim.q[0] - before[0] > 0.1


def test_the_box_is_judged_by_the_tool():
    cell = Cell()
    rules = set()
    for _ in range(150):  # lifting the shoulder takes the tool out of the box long before a joint limit
        rules.update(cell.command([0, 0.3, 0, 0, 0, 0]).rules)
        cell.run(CONTROL)
    place = cell.arm.tool_positions(cell.sim.q[None], "base_link")[0]
    gap = np.min([cell.gate.bounds.box[1] - place, place - cell.gate.bounds.box[0]])
    assert "box" in rules and "joint_limit" not in rules and 0 <= gap < 0.02
    cell.check()


def test_a_start_outside_may_only_go_back_inside():
    start = [1.5707, -2.0, 2.17, -3.0415, -0.70, 3.1415]  # wrist 2 is 0.085 rad above its limit
    cell = Cell(start=start)
    out = cell.command([0, 0, 0, 0, 0.3, 0])
    assert out.motion is None and "joint_limit" in out.rules
    assert cell.command([0, 0, 0, 0, -0.3, 0]).velocity[4] < 0
    for _ in range(60):
        cell.command([0, 0, 0, 0, -0.3, 0])
        cell.run(CONTROL)
    assert cell.sim.q[4] < cell.gate.bounds.joint_upper[4]
    assert max(q[4] for q in cell.q) <= start[4] + ROUNDING


def full_speed(**changes):
    cell = Cell(**changes)
    for _ in range(12):
        cell.command([0.3, 0.0, 0.3, 0, 0, 0])
        cell.run(CONTROL)
    assert np.abs(cell.sim.qd).max() > 0.29
    return cell


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
    assert "has not said on running" in gate.reasons["program_stopped"]
    assert "robot.program_running_topic=''" in gate.reasons["program_stopped"]


def test_a_command_of_unknown_age_is_none():
    cell = full_speed()
    decision = cell.gate.command(cell.now, None)
    assert decision.rules == ("wrong_stamp",) and decision.intervened and decision.motion is not None


class LaggingArm(SimArm):
    """Follows its commanded position with a first-order lag, as a position servo does; its controller reads the measured."""

    LAG_S = 0.04

    def _move(self, dt):
        commanded = self.q if self._trajectory is None else self._trajectory.at(self._time + dt)
        qd = (1 - np.exp(-dt / self.LAG_S)) * (commanded - self.q) / dt
        self.acceleration, self.q, self.qd = (qd - self.qd) / dt, self.q + qd * dt, qd


def test_an_arm_that_lags_behind_its_controller_is_moved_as_smoothly():
    """A motion that began from its measured state would take the lag back at every command: 40 rad/s^2."""
    cell, rng = Cell(sim=LaggingArm), np.random.default_rng(2)
    velocity = np.zeros(6)
    for k in range(150):
        if k % 12 == 0:
            velocity = np.append(rng.uniform(-0.3, 0.3, 5), 0.0)
        cell.command(velocity)
        cell.run(CONTROL)
    cell.run(1.0)
    cell.check(acceleration=2.5)


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


def test_a_command_that_needs_no_change_passes_as_it_is():
    cell = Cell()
    slow = np.array([0.02, -0.03, 0.01, 0.0, 0.02, 0.0])
    assert cell.gate.rest_s == pytest.approx(0.07 + 0.3 / 1.4)
    decision = cell.command(slow)
    assert decision.rules == () and not decision.intervened
    np.testing.assert_allclose(decision.velocity, slow)


def test_speed_is_scaled_as_a_whole():
    cell = Cell()
    for _ in range(15):
        decision = cell.command([2.0, 0.0, 1.0, 0, 0, 0])
        cell.run(CONTROL)
    assert "speed" in decision.rules
    np.testing.assert_allclose(decision.velocity, [0.3, 0, 0.15, 0, 0, 0], atol=1e-6)


def test_a_base_is_limited_in_speed_and_acceleration():
    _, _, gate = gated(BASE)
    now, before = 10.0, np.zeros(2)
    for _ in range(60):
        gate.command(now, np.array([2.0, -1.0]))
        for _ in range(5):
            now += DT
            gate.watch(now)
            velocity = gate.velocity(now)
            assert (np.abs(velocity - before) <= np.array([0.5, 3.0]) * DT + 1e-9).all()
            before = velocity
    np.testing.assert_allclose(before, [0.3, -0.15], atol=1e-6)
    for _ in range(120):
        now += DT
        gate.watch(now)
    assert not gate.velocity(now).any()


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"safety.joint_upper": [1.0, 0, 0, 0, 0, 0]}, "safety.joint_lower"),
        ({"safety.joint_upper": [1.5, -0.5236, 2.35619, -2.35619, -0.7854, 3.4]}, "robot.home: shoulder_pan_joint is at"),
        ({"safety.box_frame": "base"}, "robot.home: tool"),
        ({"safety.box_lower": [0.0, 0.0]}, "safety.box_lower"),
        ({"safety.box_lower": [-0.4, 0.17, 0.70]}, "no room"),
        ({"safety.command_max_age_s": 0.04}, "expected more than control.period_s"),
        ({"robot.home": [0.0]}, "robot.home has 1 values"),
        ({"safety.max_joint_speed_rad_s": 1.0, "safety.max_joint_acceleration_rad_s2": 0.05}, "20.1 s to rest; expected at most 8 s"),
        ({"safety.max_joint_jerk_rad_s3": 0.001}, "safety.max_joint_jerk_rad_s3"),
        ({"robot.type": "joints", "robot.joints": ["a"], "robot.home": [0.0], "safety.joint_lower": [], "safety.joint_upper": []}, "kinematics"),
        ({"robot.interface": "twist"}, "is no mobile base"),
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_be_kept_is_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        gated(**changes)


def test_many_tool_positions_at_once_are_those_of_forward():
    dh = links_from_dh((0.5, 0.4), (0.0, 0.1), (0.3, 0.0))
    limits = (np.full(2, x) for x in (-3.0, 3.0, 1.0))
    two = Robot(RobotParameters(type="two"), ("a", "b"), *limits, links=dh, base_turned=True)
    q = np.random.default_rng(0).uniform(-3, 3, (50, 2))
    for frame in ("base", "base_link"):
        expected = [two.forward(row, frame)[0] for row in q]
        np.testing.assert_allclose(two.tool_positions(q, frame), expected, atol=1e-12)
