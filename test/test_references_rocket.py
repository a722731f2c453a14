"""The rocket's mechanics against what can be worked out by hand, and the ends of its two phases."""

import math

import jax
import numpy as np
import pytest

from jsac_ros.references.environments import rocket
from jsac_ros.references.environments import rocket_phases as phases
from jsac_ros.references.environments.rocket import GRAVITY, Rocket, fly

OFF = np.array([-1.0, 0.0, 0.0], np.float32)
# Compiled once for all tests: operation by operation, each would be compiled on its own.
LAND, FLIP_OVER = jax.jit(phases.rocket_landing.step), jax.jit(phases.rocket_flip_over.step)
FLY = jax.jit(lambda start, action, steps: jax.lax.fori_loop(0, steps, lambda _, s: fly(s, action, 800_000.0, 0.05), start))


def state(**values) -> Rocket:
    rest = dict(x=0.0, z=1000.0, vx=0.0, vz=0.0, attitude=0.0, rate=0.0, propellant=5000.0)
    return Rocket(**{name: np.float32(value) for name, value in (rest | values).items()})


def after(start: Rocket, action, steps=20) -> Rocket:
    """`steps` times 0.05 s later, 800 kN at full throttle."""
    return FLY(start, np.asarray(action, np.float32), steps)


def test_free_fall():
    """One second without thrust: g t, and g t^2 / 2 to the order of the integration; drag is 0.01 % of it."""
    end = after(state(), OFF)
    assert float(end.vz) == pytest.approx(-GRAVITY, rel=1e-3)
    assert 1000.0 - float(end.z) == pytest.approx(GRAVITY / 2, rel=0.02)
    assert float(end.propellant) == 5000.0


def test_thrust_lifts_and_burns_what_the_rocket_equation_says():
    """Delta-v of a straight burn, without drag: v_e ln(m0 / m1) - g t (Tsiolkovsky)."""
    end = after(state(z=60_000.0), (1.0, 0.0, 0.0))
    burned = 5000.0 - float(end.propellant)
    assert burned == pytest.approx(800_000.0 / rocket.EXHAUST_SPEED, rel=1e-4)
    whole = rocket.DRY_MASS + 5000.0
    gained = rocket.EXHAUST_SPEED * math.log(whole / (whole - burned)) - GRAVITY
    assert float(end.vz) == pytest.approx(gained, rel=2e-3)
    assert float(end.vx) == 0.0 and float(end.attitude) == 0.0


@pytest.mark.parametrize("control", [1, 2])
def test_gimbal_and_side_thrusters_turn_the_nose_to_their_side(control):
    action = np.zeros(3, np.float32)
    action[control] = 0.5
    end = after(state(), action, steps=4)
    assert float(end.attitude) > 0 and float(end.rate) > 0
    mirrored = after(state(), -action, steps=4)
    assert float(mirrored.attitude) == pytest.approx(-float(end.attitude))
    assert float(mirrored.x) == pytest.approx(-float(end.x))


def test_leaning_to_the_right_thrusts_to_the_right():
    end = after(state(attitude=0.2), (1.0, 0.0, 0.0), steps=4)
    assert float(end.vx) > 0


def test_empty_tank_pushes_nothing():
    full = (1.0, 1.0, 1.0)
    end, fallen = after(state(propellant=0.0), full), after(state(propellant=0.0), OFF)
    np.testing.assert_allclose(end, fallen)
    assert float(after(state(propellant=1.0), full).propellant) == 0.0


def test_drag_opposes_the_speed_and_thins_with_height():
    low, high = state(vx=200.0, z=0.0), state(vx=200.0, z=rocket.SCALE_HEIGHT)
    lost = [200.0 - float(after(s, OFF, steps=1).vx) for s in (low, high)]
    expected = 0.5 * rocket.SEA_LEVEL_DENSITY * 200.0**2 * rocket.DRAG_AREA / 30_000.0 * 0.05
    assert lost[0] == pytest.approx(expected, rel=0.01)
    assert lost[0] / lost[1] == pytest.approx(math.e, rel=0.02)
    assert float(rocket.dynamic_pressure(low)) == pytest.approx(24_500.0)


LANDED = dict(z=0.1, vz=-1.0)


@pytest.mark.parametrize(
    "values, success",
    [
        (LANDED, True),
        (LANDED | {"vz": -6.0}, False),
        (LANDED | {"attitude": 0.15}, False),
        (LANDED | {"x": 40.0}, False),
        (LANDED | {"vx": 5.0}, False),
    ],
)
def test_a_landing_is_soft_upright_and_on_the_pad(values, success):
    hover = 2.0 * (rocket.DRY_MASS + 5000.0) * GRAVITY / phases.LANDING_THRUST - 1.0
    action = np.array([hover, 0.0, 0.0], np.float32)
    outcome = LAND(state(**values), action)
    assert bool(outcome.terminated)
    assert bool(outcome.success) == success
    good = LAND(state(**LANDED), action)
    assert success or float(outcome.reward) < float(good.reward) - 1.0


@pytest.mark.parametrize("values", [{"x": 700.0}, {"rate": 2.0}, {"z": 1600.0}, {"attitude": 1.7}])
def test_a_lost_flight_ends_and_costs(values):
    outcome = LAND(state(**values), OFF)
    assert bool(outcome.terminated) and not bool(outcome.success)
    assert float(outcome.reward) < -5.0


def test_too_much_dynamic_pressure_costs():
    slow, fast = state(vz=-100.0), state(vz=-200.0)

    limits = phases.LANDING_MAX_PRESSURE, phases.LANDING_PROPELLANT
    penalty = jax.jit(lambda before, after: phases._constraint_penalty(before, after, *limits))

    assert float(penalty(slow, slow)) == pytest.approx(phases.TIME_PENALTY)
    assert float(penalty(fast, fast)) > 0.5
    half = np.float32(slow.propellant - phases.LANDING_PROPELLANT / 2)
    burned = penalty(slow, slow._replace(propellant=half))
    assert float(burned) == pytest.approx(phases.TIME_PENALTY + phases.PROPELLANT_PENALTY / 2)


def test_flip_over_ends_upright_with_the_speed_that_is_asked_for():
    done = state(z=50_000.0, vx=phases.BOOSTBACK_SPEED)
    assert bool(FLIP_OVER(done, OFF).success)
    for wrong in ({"vx": 0.0}, {"attitude": 0.5}, {"rate": 0.3}):
        outcome = FLIP_OVER(done._replace(**{k: np.float32(v) for k, v in wrong.items()}), OFF)
        assert not bool(outcome.success) and not bool(outcome.terminated)


@pytest.mark.parametrize("environment", [phases.rocket_landing, phases.rocket_flip_over])
def test_observations_are_of_order_one_at_the_starts(environment):
    starts = jax.jit(jax.vmap(environment.reset))(jax.random.split(jax.random.PRNGKey(0), 100))
    observations = np.asarray(jax.jit(jax.vmap(environment.observe))(starts))
    assert observations.shape == (100, environment.spaces.vector_size)
    assert np.abs(observations).max() < 4.0
    assert np.ptp(np.asarray(starts.x)) > 50.0
