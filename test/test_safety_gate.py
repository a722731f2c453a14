"""The gate with a robot behind it: limits are never crossed, whatever is commanded and whenever it ends."""

import numpy as np
import pytest
from gate_cases import CONTROL, DT, ROUNDING, Cell, gated
from rig_cases import BASE, HOME

from jsac_ros.config import ConfigError, RobotParameters
from jsac_ros.robots.robot import Robot, links_from_dh
from jsac_ros.robots.rotations import tilt_and_turn
from jsac_ros.sim.kinematic.arm import SimArm


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


ROTATED = {"safety.max_tilt_rad": 0.25, "safety.max_turn_rad": 0.15}


def rotated(cell):
    """Tilt and turn from home along the way, rad [K, 2]."""
    home = cell.arm.forward(cell.arm.home)[1]
    return np.abs(tilt_and_turn(home.T @ cell.arm.tool_rotations(np.array(cell.q))))


@pytest.mark.parametrize("interface", ["trajectory", "velocity"])
def test_no_command_tilts_or_turns_the_tool_too_far(interface):
    leans = [lambda _: np.array((0, 0, 0, 0.3, 0, 0)), lambda _: np.array((0, 0, 0, 0, 0, -0.3))]
    most = []
    for policy in (*leans, *policies(np.random.default_rng(3))):
        cell = Cell(interface, **ROTATED)
        for k in range(50):
            command = policy(k)
            command[5] = command[5] or command[0]
            cell.command(command)
            cell.run(CONTROL)
        cell.run(1.0)
        most.append(rotated(cell).max(axis=0))
        cell.check()
    assert (np.array(most) <= (0.25, 0.15)).all() and most[0][0] > 0.23 and most[1][1] > 0.13, "leaning comes close to both"


def test_a_tool_that_is_tilted_too_far_may_only_come_back():
    start = np.array(HOME) + (0, 0, 0, 0.4, 0, 0)
    cell = Cell(start=start, **ROTATED)
    assert "box" in cell.command([0, 0, 0, 0.3, 0, 0]).rules and rotated(cell)[-1, 0] == pytest.approx(0.4)
    for _ in range(60):
        cell.command([0, 0, 0, -0.3, 0, 0])
        cell.run(CONTROL)
    assert rotated(cell)[-1, 0] < 0.25 and cell.gate.bounds.outside(cell.sim.q) is None
    assert cell.gate.bounds.outside(start).startswith("tool is tilted by 0.4000 rad from its orientation at robot.home; the")


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
        ({"robot.type": "joints", "robot.joints": ["a"], "robot.home": [0.0], "safety.joint_lower": [], "safety.joint_upper": [],
          "safety.box_lower": [], "safety.box_upper": [], "safety.max_turn_rad": 1.0}, "safety.max_turn_rad is set; .* no kinematics"),
        ({"robot.type": "joints", "robot.joints": ["a"], "robot.home": [0.0], "safety.joint_lower": [], "safety.joint_upper": [],
          "safety.box_lower": [], "safety.box_upper": [], "robot.interface": "pose"}, "robot.interface is 'pose'; .* no kinematics"),
        ({"safety.max_tilt_rad": 0.001}, "safety.max_tilt_rad is 0.001: expected 0 .off. or 0.02 to 3.1"),
        ({"robot.interface": "twist"}, "is not a mobile base"),
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
        turned = [two.forward(row, frame)[1] for row in q]
        np.testing.assert_allclose(two.tool_rotations(q, frame), turned, atol=1e-12)
