"""The simulated arm executes commands as the real controllers do."""

import numpy as np
import pytest
from rig_cases import HOME, rig_of

from jsac_ros.sim.controller import JointController
from jsac_ros.sim.faults import FAULTS, Faults, parse_fault
from jsac_ros.sim.kinematic.arm import SimArm
from jsac_ros.sim.trajectory import CommandRefused, Trajectory

ROBOT = rig_of().robot
HOME = np.array(HOME)
DT = 0.008
ACCELERATION = 40.0


def make(interface):
    return SimArm(ROBOT, HOME, interface, ACCELERATION)


def straight(seconds, goal):
    return Trajectory(np.array([seconds]), np.array([goal]))


def run(sim, seconds):
    """[(q, qd)] after every step."""
    states = []
    for _ in range(round(seconds / DT)):
        sim.step(DT)
        states.append((sim.q.copy(), sim.qd.copy()))
    return states


def ramp_to_rest(speed, seconds, q=HOME):
    """One joint at `speed`, braking evenly to rest."""
    times = np.linspace(0.0, seconds, 11)[1:]
    velocities = np.outer(1 - times / seconds, np.eye(6)[0] * speed)
    moved = np.outer(times - times**2 / (2 * seconds), np.eye(6)[0] * speed)
    velocities[-1] = 0.0
    return Trajectory(times, q + moved, velocities)


def test_a_velocity_is_repeated_for_ever():
    sim = make("velocity")
    sim.command_velocity([0.1, 0, 0, 0, 0, 0])
    states = run(sim, 3.0)
    assert states[-1][1][0] == pytest.approx(0.1)
    assert states[-1][0][0] - HOME[0] == pytest.approx(0.3, abs=0.002)


def test_velocity_steps_are_limited_by_what_the_arm_can_accelerate():
    sim = make("velocity")
    sim.command_velocity([3.0, 0, 0, 0, 0, 0])
    speeds = np.array([0.0] + [qd[0] for _, qd in run(sim, 0.2)])
    assert np.diff(speeds).max() / DT == pytest.approx(ACCELERATION)


def test_a_wrong_length_fails_the_velocity_controller_until_a_restart():
    sim = make("velocity")
    sim.command_velocity([0.2] * 6)
    with pytest.raises(CommandRefused, match="5 values; expected 6"):
        sim.command_velocity([0.2] * 5)
    assert np.all(run(sim, 0.2)[-1][1] == 0)
    with pytest.raises(CommandRefused, match="restart"):
        sim.command_velocity([0.2] * 6)
    sim.restart()
    sim.command_velocity([0.2] * 6)
    assert run(sim, 0.2)[-1][1][0] == pytest.approx(0.2)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_dropped_and_the_old_velocity_goes_on(wrong):
    sim = make("velocity")
    sim.command_velocity([0.1] * 6)
    with pytest.raises(CommandRefused, match="not finite"):
        sim.command_velocity([wrong, 0, 0, 0, 0, 0])
    assert run(sim, 0.3)[-1][1][0] == pytest.approx(0.1)


def test_a_trajectory_is_followed_and_ends_at_rest_without_another():
    sim = make("trajectory")
    sim.command_trajectory(sim.arm.names, ramp_to_rest(0.3, 0.4))
    states = run(sim, 1.0)
    np.testing.assert_allclose(states[-1][0], HOME + np.eye(6)[0] * 0.06, atol=1e-4)
    np.testing.assert_allclose(states[-1][1], 0, atol=1e-3)
    assert max(q[0] for q, _ in states) < HOME[0] + 0.061


@pytest.mark.parametrize("order", [1, 3, 5])
def test_between_points_is_the_polynomial_that_their_values_determine(order):
    coefficients = np.array((0.3, -0.2, 0.5, 0.1, -0.4, 0.2))[: order + 1]
    polynomial = np.polynomial.Polynomial(coefficients)
    times = np.array((0.0, 0.4, 1.0))
    values = [polynomial.deriv(k)(times)[:, None] if k <= order // 2 else None for k in range(3)]
    trajectory = Trajectory(times, *values)
    for time in (0.1, 0.4, 0.77):
        assert trajectory.at(time)[0] == pytest.approx(polynomial(time), abs=1e-12)


def test_a_new_trajectory_replaces_the_old_one_at_once():
    sim = make("trajectory")
    sim.command_trajectory(sim.arm.names, straight(1.0, HOME + 0.3))
    run(sim, 0.1)
    sim.command_trajectory(sim.arm.names, straight(0.5, HOME))
    np.testing.assert_allclose(run(sim, 1.0)[-1][0], HOME, atol=1e-4)


def test_trajectory_joints_are_taken_by_name():
    sim = make("trajectory")
    names = tuple(reversed(sim.arm.names))
    goal = HOME + np.arange(6) * 0.01
    sim.command_trajectory(names, straight(0.5, goal[::-1]))
    np.testing.assert_allclose(run(sim, 1.0)[-1][0], goal, atol=1e-4)


def test_points_already_past_are_left_out_and_what_has_ended_is_refused():
    sim = make("trajectory")
    trajectory = ramp_to_rest(0.3, 0.4)
    sim.command_trajectory(sim.arm.names, trajectory, starts_in_s=-0.2)
    np.testing.assert_allclose(run(sim, 1.0)[-1][0], trajectory.positions[-1], atol=1e-4)
    for controller in (sim, JointController(ROBOT, "trajectory", ACCELERATION)):
        with pytest.raises(CommandRefused, match="ends 9.600 s in the past"):
            controller.command_trajectory(sim.arm.names, trajectory, starts_in_s=-10.0)


def test_a_first_point_that_is_due_counts_in_the_place_of_the_measured_state():
    sim = make("trajectory")
    sim.command_trajectory(sim.arm.names, ramp_to_rest(0.3, 0.4))
    run(sim, 0.2)
    ahead = Trajectory(np.array((0.0, 0.1)), np.array((sim.q + 0.01, sim.q + 0.02)), np.zeros((2, 6)))
    sim.command_trajectory(sim.arm.names, ahead)
    sim.step(DT)
    assert np.abs(sim._trajectory.at(sim._time) - sim.q - 0.01).max() < 2e-3


@pytest.mark.parametrize("interface", ["trajectory", "velocity"])
def test_the_speed_slider_slows_the_robot(interface):
    sim = make(interface)
    sim.speed_slider = 0.25
    if interface == "velocity":
        sim.command_velocity([0.2] * 6)
    else:
        sim.command_trajectory(sim.arm.names, Trajectory(np.array((5.0,)), np.array((HOME + 1.0,))))
    speed = run(sim, 0.5)[-1][1][0]
    assert speed == pytest.approx(0.05, abs=0.001) and sim.speed_scaling == 25.0


@pytest.mark.parametrize(
    ("names", "times", "points", "speeds", "reason"),
    [
        (("a",) * 6, [0.1], [HOME], None, "expected shoulder_pan_joint"),
        (None, [0.2, 0.1], [HOME, HOME], None, "do not increase"),
        (None, [0.1], [HOME[:5]], None, "not 1 points of 6"),
        (None, [0.1], [HOME * np.nan], None, "not finite"),
        (None, [0.1], [HOME], [np.full(6, 0.1)], "end at rest"),
    ],
)
def test_a_trajectory_that_the_controller_would_not_take(names, times, points, speeds, reason):
    sim = make("trajectory")
    with pytest.raises(CommandRefused, match=reason):
        sim.command_trajectory(names or sim.arm.names, Trajectory(np.array(times), np.array(points), speeds))
    assert np.all(run(sim, 0.1)[-1][0] == HOME)


@pytest.mark.parametrize("interface", ["trajectory", "velocity"])
def test_after_a_protective_stop_the_old_motion_goes_on(interface):
    sim = make(interface)
    if interface == "velocity":
        sim.command_velocity([0.1] * 6)
    else:
        sim.command_trajectory(sim.arm.names, straight(10.0, HOME + 1.0))
    run(sim, 0.5)
    sim.protective_stop = True
    stopped = run(sim, 0.5)[-1][0]
    assert np.all(sim.qd == 0)
    assert np.all(run(sim, 0.5)[-1][0] == stopped)
    assert sim.speed_scaling == 0.0
    sim.protective_stop = False
    speeds = [qd[0] for _, qd in run(sim, 1.0)]  # the driver goes up by a hundredth a cycle
    assert speeds[40] == pytest.approx(0.04, abs=0.01) and speeds[-1] == pytest.approx(0.1, abs=0.01)


def test_the_driver_forgets_its_command_in_a_restart():
    sim = make("velocity")
    sim.command_velocity([0.3] * 6)
    run(sim, 0.2)
    sim.restart()
    assert np.all(run(sim, 0.3)[-1][1] == 0)


def test_the_arm_stands_still_at_its_hard_stop():
    sim = make("velocity")
    sim.command_velocity([0, 0, 3.0, 0, 0, 0])
    q, qd = run(sim, 2.0)[-1]
    assert q[2] == np.pi and qd[2] == 0


def test_faults_last_as_long_as_asked():
    faults = Faults()
    faults.request("camera_freeze 2.0", 10.0)
    faults.request("nan_joints", 10.0)
    assert faults.active("camera_freeze", 11.9) and not faults.active("camera_freeze", 12.0)
    assert faults.active("nan_joints", 1e6)
    faults.request("none", 13.0)
    assert not any(faults.active(name, 13.0) for name in FAULTS)


@pytest.mark.parametrize("text", ["bogus", "restart -1", "restart x", "restart 1 2", "restart nan"])
def test_a_fault_that_is_not_known_is_refused(text):
    with pytest.raises(ValueError, match="expected"):
        parse_fault(text)
