"""Environments as pure functions of JAX: they compile into a training loop and run many at once under `vmap`."""

from jsac_ros.envs.cartpole import cartpole
from jsac_ros.envs.environment import Environment, Outcome
from jsac_ros.envs.pendulum import pendulum
from jsac_ros.envs.rocket_phases import rocket_flip_over, rocket_landing

ENVIRONMENTS = {
    "cartpole": cartpole,
    "pendulum": pendulum,
    "rocket_flip_over": rocket_flip_over,
    "rocket_landing": rocket_landing,
}

__all__ = ["ENVIRONMENTS", "Environment", "Outcome"]
