"""Environments as pure JAX functions: they compile into a training loop, and `vmap` runs many at once."""

from jsac_ros.references.environments.cartpole import cartpole
from jsac_ros.references.environments.environment import Environment, Outcome
from jsac_ros.references.environments.pendulum import pendulum
from jsac_ros.references.environments.rocket_phases import rocket_flip_over, rocket_landing

ENVIRONMENTS = {
    "cartpole": cartpole,
    "pendulum": pendulum,
    "rocket_flip_over": rocket_flip_over,
    "rocket_landing": rocket_landing,
}

__all__ = ["ENVIRONMENTS", "Environment", "Outcome"]
