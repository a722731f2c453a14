"""The simulated differential-drive base and the arena's image."""

import math

import numpy as np
import pytest
from rig_cases import BASE, rig_of

from jsac_ros.sim.kinematic.base import COMMAND_TIMEOUT_S, RADIUS_M, SimBase
from jsac_ros.sim.kinematic.plugin import Kinematic
from jsac_ros.tasks.create_reacher.arena import LENGTH, WIDTH, BaseCamera
from jsac_ros.tasks.create_reacher.task import green_mask

DT = 0.01
RIG = rig_of(BASE)
ROBOT = RIG.robot


def make():
    return SimBase(ROBOT, (LENGTH, WIDTH), np.random.default_rng(0))


def drive(base, forward, turn, seconds):
    for _ in range(round(seconds / DT)):
        base.command_twist(forward, turn)
        base.step(DT)


def test_forward_and_turn_reach_the_wheels():
    base = make()
    drive(base, 0.1, 0.5, 1.0)
    wheels = base.qd * ROBOT.wheel_radius_m
    assert wheels.mean() == pytest.approx(0.1) and (wheels[1] - wheels[0]) / ROBOT.track_m == pytest.approx(0.5)


def test_turning_left_looks_left_and_driving_moves_along_the_heading():
    base = make()
    drive(base, 0.0, 1.0, 1.0)
    assert base.heading == pytest.approx(0.95, abs=0.06)
    x, y = base.x, base.y
    drive(base, 0.0, 0.0, 0.5)
    drive(base, 0.2, 0.0, 0.5)
    assert math.atan2(base.y - y, base.x - x) == pytest.approx(base.heading, abs=1e-6)


def test_it_stops_by_itself_when_it_hears_nothing():
    base = make()
    drive(base, 0.2, 0.0, 0.5)
    for _ in range(round((COMMAND_TIMEOUT_S + 0.2) / DT)):
        base.step(DT)
    assert np.all(base.qd == 0)


def test_too_fast_a_command_keeps_its_curve():
    base = make()
    drive(base, 1.0, 2.0, 0.8)
    wheels = base.qd * ROBOT.wheel_radius_m
    assert np.abs(wheels).max() == pytest.approx(0.5)
    assert (wheels[1] - wheels[0]) / ROBOT.track_m / wheels.mean() == pytest.approx(2.0)


def test_a_value_that_is_not_finite_is_dropped():
    base = make()
    base.command_twist(0.1, 0.0)
    base.command_twist(math.nan, 0.0)
    base.step(DT)
    assert np.isfinite(base.qd).all() and base.x > LENGTH / 2


def test_a_wall_stops_it_and_presses_the_bumper_until_it_backs_off():
    base = make()
    drive(base, 0.4, 0.0, 4.0)
    assert base.x == pytest.approx(LENGTH - RADIUS_M) and base.contact
    drive(base, 0.0, 0.0, 0.5)
    assert base.contact
    drive(base, -0.1, 0.0, 0.3)
    assert not base.contact and base.x < LENGTH - RADIUS_M


def test_the_battery_drains_and_a_protective_stop_stops():
    base = make()
    drive(base, 0.1, 0.0, 1.0)
    assert base.battery == pytest.approx(1 - 1 / 7200)
    base.protective_stop = True
    drive(base, 0.1, 0.0, 0.5)
    assert np.all(base.qd == 0)
    sim = Kinematic(RIG.config.sim, RIG, 0)
    sim.protective_stop = True
    assert not sim.program_running and sim.sensors["battery"] == [1.0]


def test_resets_are_anywhere_inside():
    base = make()
    poses = []
    for _ in range(200):
        base.reset()
        poses.append((base.x, base.y, base.heading))
    x, y, heading = np.array(poses).T
    assert x.min() > RADIUS_M and x.max() < LENGTH - RADIUS_M and y.max() < WIDTH - RADIUS_M
    assert heading.min() < -2.5 and heading.max() > 2.5


def test_the_sign_is_seen_where_it_is_and_only_from_the_front():
    camera = BaseCamera(96, 128)
    ahead = green_mask(camera.render(0.8, 0.75, 0.0, 0.75))
    rows, columns = np.nonzero(ahead)
    assert columns.mean() + 0.5 == pytest.approx(64, abs=0.6)
    # 0.2 m at 1.1 m, 1.3 m across at 1 m: 17.9 pixels; those cut by the edge are not green.
    assert np.sqrt(ahead.sum()) == pytest.approx(128 * 0.2 / 1.1 / 1.3, abs=1.6)
    left_of_it = np.nonzero(green_mask(camera.render(0.8, 0.75, 0.3, 0.75)))[1]
    assert left_of_it.mean() > 64 + 10
    assert not green_mask(camera.render(0.8, 0.75, math.pi, 0.75)).any()
