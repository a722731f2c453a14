"""Pendulum swing-up with the dynamics of Gymnasium's Pendulum-v1; the test compares every step with Gymnasium's."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jsac_ros.references.environments.environment import Environment, Outcome, state_spaces

GRAVITY = 10.0  # m/s^2
MASS = 1.0  # kg
LENGTH = 1.0  # m
MAX_TORQUE = 2.0  # N m, at |action| = 1
MAX_RATE = 8.0  # rad/s
TIME_STEP = 0.05  # s
TIME_LIMIT = 200  # steps


class Pendulum(NamedTuple):
    angle: jax.Array  # rad from upright
    rate: jax.Array  # rad/s


def reset(key: jax.Array) -> Pendulum:
    angle, rate = jax.random.uniform(key, (2,), minval=-1.0, maxval=1.0)
    return Pendulum(math.pi * angle, rate)


def observe(state: Pendulum) -> jax.Array:
    return jnp.stack([jnp.cos(state.angle), jnp.sin(state.angle), state.rate])


def step(state: Pendulum, action: jax.Array) -> Outcome:
    """action: [1] in [-1, 1], times MAX_TORQUE. The reward is minus a quadratic cost of angle, rate and torque."""
    torque = MAX_TORQUE * jnp.clip(action[0], -1.0, 1.0)
    wrapped = jnp.mod(state.angle + math.pi, 2 * math.pi) - math.pi
    cost = jnp.square(wrapped) + 0.1 * jnp.square(state.rate) + 0.001 * jnp.square(torque)
    acceleration = 1.5 * GRAVITY / LENGTH * jnp.sin(state.angle) + 3.0 / (MASS * LENGTH**2) * torque
    rate = jnp.clip(state.rate + TIME_STEP * acceleration, -MAX_RATE, MAX_RATE)
    state = Pendulum(state.angle + TIME_STEP * rate, rate)
    return Outcome(state, -cost, jnp.bool_(False), jnp.bool_(False))


pendulum = Environment(state_spaces(observation=3), TIME_LIMIT, reset, observe, step)
