"""A planar rocket: rigid body, one gimballed engine, side thrusters, drag in an exponential atmosphere.

Frame: x to the right, z up, both m; attitude: angle of the nose from up, rad, positive towards +x (clockwise).
Masses and sizes are those of a reusable first stage; `docs/references.md` lists what the model leaves out.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

GRAVITY = 9.81  # m/s^2
DRY_MASS = 25_000.0  # kg
LENGTH = 40.0  # m; modelled as a uniform rod: the centre of mass is in the middle
DRAG_AREA = 10.0  # m^2, drag coefficient times cross-section
EXHAUST_SPEED = 2_770.0  # m/s, of the engine
MAX_GIMBAL = math.radians(7.0)
SIDE_THRUST = 40_000.0  # N, at the nose, perpendicular to the body
SIDE_EXHAUST_SPEED = 700.0  # m/s, of the side thrusters
SEA_LEVEL_DENSITY = 1.225  # kg/m^3
SCALE_HEIGHT = 8_500.0  # m
SUBSTEPS = 4  # of the integration, per action

CONTROLS = 3  # throttle, gimbal, side thrusters


class Rocket(NamedTuple):
    x: jax.Array  # m
    z: jax.Array  # m, height of the lower end above ground
    vx: jax.Array  # m/s
    vz: jax.Array  # m/s
    attitude: jax.Array  # rad
    rate: jax.Array  # rad/s
    propellant: jax.Array  # kg


def air_density(z: jax.Array) -> jax.Array:
    """kg/m^3"""
    return SEA_LEVEL_DENSITY * jnp.exp(-jnp.maximum(z, 0.0) / SCALE_HEIGHT)


def dynamic_pressure(state: Rocket) -> jax.Array:
    """q = rho v^2 / 2, Pa"""
    return 0.5 * air_density(state.z) * (jnp.square(state.vx) + jnp.square(state.vz))


def throttle_of(action: jax.Array) -> jax.Array:
    """Maps action[0] in [-1, 1] to a throttle of 0..1."""
    return 0.5 * (jnp.clip(action[0], -1.0, 1.0) + 1.0)


def fly(state: Rocket, action: jax.Array, thrust_n: float, period_s: float) -> Rocket:
    """The state `period_s` later under a constant action; semi-implicit Euler integration.

    action: float32 [3] in [-1, 1]: throttle, gimbal and side thrusters (positive turns the nose towards +x).
    thrust_n: at full throttle. Engine and thrusters are off once the propellant is used up.
    """
    dt = period_s / SUBSTEPS
    gimbal = MAX_GIMBAL * jnp.clip(action[1], -1.0, 1.0)

    def substep(state: Rocket) -> Rocket:
        burning = state.propellant > 0.0
        thrust = jnp.where(burning, thrust_n * throttle_of(action), 0.0)
        side = jnp.where(burning, SIDE_THRUST * jnp.clip(action[2], -1.0, 1.0), 0.0)
        mass = DRY_MASS + state.propellant
        sin, cos = jnp.sin(state.attitude), jnp.cos(state.attitude)
        along, across = thrust * jnp.cos(gimbal), side - thrust * jnp.sin(gimbal)  # body frame: to the nose, to the +x side
        drag = 0.5 * air_density(state.z) * DRAG_AREA * jnp.hypot(state.vx, state.vz)  # N per m/s
        vx = state.vx + dt * (along * sin + across * cos - drag * state.vx) / mass
        vz = state.vz + dt * ((along * cos - across * sin - drag * state.vz) / mass - GRAVITY)
        torque = 0.5 * LENGTH * (side + thrust * jnp.sin(gimbal))
        rate = state.rate + dt * torque / (mass * LENGTH**2 / 12.0)
        burned = dt * (thrust / EXHAUST_SPEED + jnp.abs(side) / SIDE_EXHAUST_SPEED)
        return Rocket(
            x=state.x + dt * vx,
            z=state.z + dt * vz,
            vx=vx,
            vz=vz,
            attitude=state.attitude + dt * rate,
            rate=rate,
            propellant=jnp.maximum(state.propellant - burned, 0.0),
        )

    # fori_loop instead of unrolling: XLA fuses unrolled substeps and recomputes them for every output.
    return jax.lax.fori_loop(0, SUBSTEPS, lambda _, state: substep(state), state)
