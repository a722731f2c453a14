"""Motions begin when the robot's controller begins them."""

import numpy as np
import pytest
from rig_cases import rig_of

from jsac_ros.control.safety import gate_of
from jsac_ros.control.safety.cycle import ControllerCycle
from jsac_ros.sim.kinematic.arm import SimArm
from jsac_ros.sim.trajectory import Trajectory


def heard(period_s, cycles=100, jitter_s=0.0, begin_s=50.0, missing=()):
    cycle, rng = ControllerCycle(), np.random.default_rng(0)
    for k in range(cycles):
        if k not in missing:
            cycle.heard(begin_s + k * period_s + rng.uniform(0, jitter_s))
    return cycle, begin_s + (cycles - 1) * period_s


@pytest.mark.parametrize("period_s", [0.008, 0.002])
@pytest.mark.parametrize("missing", [(), (1, 2, 50, 51)])
def test_the_next_cycle_is_known(period_s, missing):
    cycle, last_s = heard(period_s, missing=missing, jitter_s=0.0)
    for later_s in (0.0001, 0.3 * period_s, 0.0014, 10.2 * period_s):
        next_s = cycle.next_s(last_s + later_s)
        assert (next_s - last_s) / period_s == pytest.approx(round((next_s - last_s) / period_s), abs=1e-3)
        assert 0.0005 <= next_s - last_s - later_s <= 0.0005 + period_s


def test_late_stamps_are_evened_out():
    cycle, last_s = heard(0.008, jitter_s=0.002)
    assert cycle.next_s(last_s + 0.003) == pytest.approx(last_s + 0.009, abs=0.0007)  # a millisecond late on average


@pytest.mark.parametrize("stamps", [[], [1.0], [1.0, 1.0], [1.0, 1.5, 2.0]])
def test_without_a_clock_it_is_now(stamps):
    cycle = ControllerCycle()
    for stamp_s in stamps:
        cycle.heard(stamp_s)
    assert cycle.next_s(2.1) == 2.1 and cycle.wait_s(2.1) == 0.0


def test_what_might_miss_a_cycle_waits_for_it_to_pass():
    cycle, last_s = heard(0.008)
    assert cycle.wait_s(last_s + 0.001) == 0.0
    shortly_before_s = last_s + 0.008 - 0.0009
    wait_s = cycle.wait_s(shortly_before_s)
    assert 0.0009 < wait_s < 0.002
    assert cycle.next_s(shortly_before_s + wait_s) == pytest.approx(last_s + 0.016, abs=1e-4)
    assert heard(0.002)[0].wait_s(50.0015) == 0.0  # a cycle of 2 ms is not worth it


def accelerations(knows_the_cycle):
    """Peak of a UR5 commanded at times that have nothing to do with its controller's cycles, rad/s^2."""
    rig, rng, period = rig_of(safety__max_joint_speed_rad_s=0.3), np.random.default_rng(3), 0.008
    gate, sim = gate_of(rig.config, rig.robot), SimArm(rig.robot, rig.robot.home, "trajectory", 40.0)
    if not knows_the_cycle:
        gate._last.cycle = None
    now, due, qd, mail = 10.0, 10.1, [], []
    for k in range(2000):
        cycle_s = 10.0 + k * period
        while due < cycle_s:  # commands of before this cycle
            sent_s = due + gate.wait_s(due)
            decision = gate.command(sent_s, np.append(rng.uniform(-0.3, 0.3, 5), 0.0))
            if decision.motion is not None:
                mail.append((sent_s + rng.uniform(0.0001, 0.0009), decision.motion))
            due += 0.0411  # drifts through all phases
        while mail and mail[0][0] < cycle_s:
            times, q, v, _ = map(np.array, zip(*mail.pop(0)[1].points()))
            sim.command_trajectory(rig.robot.names, Trajectory(times, q, v))
        sim.step(period)
        gate.joints(sim.q, cycle_s)
        qd.append(sim.qd.copy())
        now = cycle_s
    assert now > 20 and np.abs(qd).max() > 0.25
    return np.abs(np.diff(qd, axis=0)).max() / period


def test_acceleration_stays_within_its_limit_whenever_commands_come():
    assert accelerations(knows_the_cycle=True) <= 1.4 * 1.06
    assert accelerations(knows_the_cycle=False) > 1.4 * 1.5  # else this test could not fail
