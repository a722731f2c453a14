"""Two phases of a rocket's return, one environment each: flip-over with boostback, and the landing burn.

The reward is the difference of a potential (Ng, Harada and Russell, 1999: shaping that leaves the optimal policy
unchanged), plus a terminal reward, minus penalties for dynamic pressure, propellant, touchdown speed and tilt.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jsac_ros.references.environments import rocket
from jsac_ros.references.environments.environment import Environment, Outcome, state_spaces
from jsac_ros.references.environments.rocket import Rocket

SUCCESS_REWARD = 10.0
FAILURE_REWARD = -10.0
PRESSURE_PENALTY = 1.0  # per step and unit of q / limit - 1
PROPELLANT_PENALTY = 2.0  # in total, for burning all of it
TIME_PENALTY = 0.02  # per step
MAX_RATE = 1.5  # rad/s; beyond it the rocket tumbles and the episode fails

# Landing burn
LANDING_THRUST = 845_000.0  # N, one engine
LANDING_PERIOD_S = 0.25
LANDING_STEPS = 160
LANDING_PROPELLANT = 4_500.0  # kg
LANDING_MAX_PRESSURE = 12_000.0  # Pa
MAX_TOUCHDOWN_SPEED = 2.0  # m/s
MAX_TOUCHDOWN_TILT = math.radians(5.0)
PAD_HALF_WIDTH = 10.0  # m
CORRIDOR = 600.0  # m to either side; beyond it the episode fails
APPROACH_DECELERATION = 5.0  # m/s^2, of the reference approach in the potential

# Flip-over and boostback
FLIP_THRUST = 2_535_000.0  # N, three engines
FLIP_PERIOD_S = 0.5
FLIP_STEPS = 120
FLIP_PROPELLANT = 25_000.0  # kg
FLIP_MAX_PRESSURE = 3_000.0  # Pa
BOOSTBACK_SPEED = -60.0  # m/s, target horizontal speed, back towards the pad
MAX_SPEED_ERROR = 10.0  # m/s
MAX_ATTITUDE_ERROR = math.radians(10.0)
MAX_END_RATE = math.radians(5.0)  # per s


def _uniform(key: jax.Array, lower: tuple[float, ...], upper: tuple[float, ...]) -> Rocket:
    lower, upper = jnp.array(lower), jnp.array(upper)
    return Rocket(*jax.random.uniform(key, lower.shape, minval=lower, maxval=upper))


def _constraint_penalty(before: Rocket, after: Rocket, max_pressure: float, propellant: float) -> jax.Array:
    """>= 0: for excess dynamic pressure, burned propellant and time."""
    excess = jnp.maximum(rocket.dynamic_pressure(after) / max_pressure - 1.0, 0.0)
    burned = (before.propellant - after.propellant) / propellant
    return PRESSURE_PENALTY * excess + PROPELLANT_PENALTY * burned + TIME_PENALTY


# -- landing burn ----------------------------------------------------------------------------------------------------


def landing_reset(key: jax.Array) -> Rocket:
    degree = math.radians(1.0)
    return _uniform(
        key,
        (-100.0, 900.0, -15.0, -110.0, -8 * degree, -3 * degree, LANDING_PROPELLANT),
        (100.0, 1100.0, 15.0, -90.0, 8 * degree, 3 * degree, LANDING_PROPELLANT),
    )


def landing_observe(state: Rocket) -> jax.Array:
    """float32 [9], each of the order of one."""
    fall = approach_speed(state.z)
    return jnp.stack(
        [
            state.x / 100.0,
            state.z / 500.0,
            jnp.log1p(jnp.maximum(state.z, 0.0) / 5.0) / 3.0,
            state.vx / 15.0,
            state.vz / 50.0,
            (state.vz + fall) / 10.0,
            state.attitude / 0.3,
            state.rate / 0.2,
            state.propellant / LANDING_PROPELLANT,
        ]
    )


def approach_speed(z: jax.Array) -> jax.Array:
    """Downward speed in m/s at height z under constant braking that ends with 1 m/s at touchdown."""
    return jnp.sqrt(1.0 + 2.0 * APPROACH_DECELERATION * jnp.maximum(z, 0.0))


def landing_potential(state: Rocket) -> jax.Array:
    """<= 0: minus the distance from a good approach. The reference horizontal speed reaches the pad in time."""
    sideways = -state.x / jnp.maximum(0.03 * state.z, 4.0)
    lean = jnp.clip(0.02 * (sideways - state.vx), -0.25, 0.25)  # the attitude that corrects the horizontal speed
    return -(
        jnp.abs(state.vz + approach_speed(state.z)) / 10.0
        + jnp.abs(state.vx - sideways) / 10.0
        + jnp.abs(state.x) / 100.0
        + jnp.abs(state.attitude - lean) / 0.2
        + jnp.abs(state.rate) / 0.2
        + state.z / 300.0
    )


def landing_step(state: Rocket, action: jax.Array) -> Outcome:
    before, state = state, rocket.fly(state, action, LANDING_THRUST, LANDING_PERIOD_S)
    down = state.z <= 0.0
    speed, tilt = jnp.hypot(state.vx, state.vz), jnp.abs(state.attitude)
    on_pad = jnp.abs(state.x) <= PAD_HALF_WIDTH
    success = down & on_pad & (speed <= MAX_TOUCHDOWN_SPEED) & (tilt <= MAX_TOUCHDOWN_TILT)
    lost = (jnp.abs(state.x) > CORRIDOR) | (state.z > 1500.0) | (jnp.abs(state.rate) > MAX_RATE) | (tilt > 1.5)
    violation = (
        jnp.maximum(speed - MAX_TOUCHDOWN_SPEED, 0.0) / 20.0
        + jnp.maximum(tilt - MAX_TOUCHDOWN_TILT, 0.0) / 0.5
        + jnp.maximum(jnp.abs(state.x) - PAD_HALF_WIDTH, 0.0) / 50.0
    )
    touchdown = jnp.maximum(SUCCESS_REWARD * (1.0 - 2.0 * violation), FAILURE_REWARD)
    softness = jnp.where(success, 5.0 * (1.0 - speed / MAX_TOUCHDOWN_SPEED), 0.0)
    end = jnp.where(lost, FAILURE_REWARD, jnp.where(down, touchdown + softness, 0.0))
    reward = landing_potential(state) - landing_potential(before) + end
    reward -= _constraint_penalty(before, state, LANDING_MAX_PRESSURE, LANDING_PROPELLANT)
    return Outcome(state, reward, down | lost, success)


# -- flip-over and boostback -----------------------------------------------------------------------------------------


def flip_over_reset(key: jax.Array) -> Rocket:
    """After separation: the rocket climbs away from the pad with its nose along the flight path."""
    degree = math.radians(1.0)
    return _uniform(
        key,
        (10_000.0, 45_000.0, 300.0, 250.0, 50 * degree, -1 * degree, FLIP_PROPELLANT),
        (15_000.0, 55_000.0, 400.0, 350.0, 70 * degree, 1 * degree, FLIP_PROPELLANT),
    )


def flip_over_observe(state: Rocket) -> jax.Array:
    """float32 [9], each of the order of one."""
    return jnp.stack(
        [
            (state.vx - BOOSTBACK_SPEED) / 200.0,
            jnp.clip((state.vx - BOOSTBACK_SPEED) / 20.0, -3.0, 3.0),
            state.vz / 300.0,
            state.z / 50_000.0,
            jnp.sin(state.attitude),
            jnp.cos(state.attitude),
            state.attitude,
            state.rate / 0.3,
            state.propellant / FLIP_PROPELLANT,
        ]
    )


def flip_over_potential(state: Rocket) -> jax.Array:
    """<= 0: minus the speed error, and minus the distance from the attitude that reduces it (to the left, then upright)."""
    error = jnp.abs(state.vx - BOOSTBACK_SPEED)
    wanted = -0.5 * math.pi * jnp.clip((state.vx - BOOSTBACK_SPEED) / 40.0, -1.0, 1.0)
    return -(error / 50.0 + jnp.abs(state.attitude - wanted) + jnp.abs(state.rate) * jnp.where(error < 40.0, 4.0, 0.5))


def flip_over_step(state: Rocket, action: jax.Array) -> Outcome:
    before, state = state, rocket.fly(state, action, FLIP_THRUST, FLIP_PERIOD_S)
    success = (
        (jnp.abs(state.vx - BOOSTBACK_SPEED) <= MAX_SPEED_ERROR)
        & (jnp.abs(state.attitude) <= MAX_ATTITUDE_ERROR)
        & (jnp.abs(state.rate) <= MAX_END_RATE)
    )
    lost = (jnp.abs(state.rate) > MAX_RATE) | (jnp.abs(state.attitude) > 1.5 * math.pi) | (state.propellant <= 0.0)
    end = jnp.where(success, SUCCESS_REWARD, jnp.where(lost, FAILURE_REWARD, 0.0))
    reward = flip_over_potential(state) - flip_over_potential(before) + end
    reward -= _constraint_penalty(before, state, FLIP_MAX_PRESSURE, FLIP_PROPELLANT)
    return Outcome(state, reward, success | lost, success)


_spaces = state_spaces(observation=9, action=rocket.CONTROLS)
rocket_landing = Environment(_spaces, LANDING_STEPS, landing_reset, landing_observe, landing_step)
rocket_flip_over = Environment(_spaces, FLIP_STEPS, flip_over_reset, flip_over_observe, flip_over_step)
