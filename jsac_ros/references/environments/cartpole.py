"""Cart-pole (Barto, Sutton and Anderson, 1983) with the dynamics of Gymnasium's CartPole-v1.

Equations: Florian, "Correct equations for the dynamics of the cart-pole system", 2007, without friction. The test
compares every step with Gymnasium's.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jsac_ros.references.environments.environment import Environment, Outcome, state_spaces

GRAVITY = 9.8  # m/s^2
CART_MASS = 1.0  # kg
POLE_MASS = 0.1  # kg
HALF_LENGTH = 0.5  # m, of the pole
FORCE = 10.0  # N
TIME_STEP = 0.02  # s
MAX_POSITION = 2.4  # m
MAX_ANGLE = 12 * 2 * math.pi / 360  # rad
TIME_LIMIT = 500  # steps


class CartPole(NamedTuple):
    position: jax.Array  # m
    speed: jax.Array  # m/s
    angle: jax.Array  # rad from upright
    rate: jax.Array  # rad/s


def reset(key: jax.Array) -> CartPole:
    return CartPole(*jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05))


def observe(state: CartPole) -> jax.Array:
    return jnp.stack(state)


def step(state: CartPole, action: jax.Array) -> Outcome:
    """action: [1], 1 pushes right and 0 left. The reward is 1 for every step, including the one in which the pole falls."""
    total_mass = CART_MASS + POLE_MASS
    moment = POLE_MASS * HALF_LENGTH
    force = jnp.where(action[0] == 1, FORCE, -FORCE)
    sin, cos = jnp.sin(state.angle), jnp.cos(state.angle)
    pushed = (force + moment * jnp.square(state.rate) * sin) / total_mass
    angular = (GRAVITY * sin - cos * pushed) / (HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * jnp.square(cos) / total_mass))
    linear = pushed - moment * angular * cos / total_mass
    state = CartPole(
        position=state.position + TIME_STEP * state.speed,
        speed=state.speed + TIME_STEP * linear,
        angle=state.angle + TIME_STEP * state.rate,
        rate=state.rate + TIME_STEP * angular,
    )
    terminated = (jnp.abs(state.position) > MAX_POSITION) | (jnp.abs(state.angle) > MAX_ANGLE)
    return Outcome(state, jnp.float32(1.0), terminated, jnp.bool_(False))


cartpole = Environment(state_spaces(observation=4, choices=2), TIME_LIMIT, reset, observe, step)
