"""The interface of an environment: its spaces and three pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jsac_ros.spaces import ActionSpace, Spaces, VectorSpace
from jsac_ros.training.spaces import ACTION, STATE

State = Any  # a NamedTuple of float32 scalars, defined by each environment


class Outcome(NamedTuple):
    """The result of one step."""

    state: State
    reward: jax.Array  # float32 []
    terminated: jax.Array  # bool []: a terminal state; a time-out is none
    success: jax.Array  # bool []: the episode ended in success; always False if the task has no goal


class Environment(NamedTuple):
    """A task without images. All functions are pure and act on one environment; `jax.vmap` runs many."""

    spaces: Spaces  # one vector and one action part, with the names that a Gymnasium environment gets
    time_limit: int  # steps
    reset: Callable[[jax.Array], State]  # random key -> state
    observe: Callable[[State], jax.Array]  # state -> float32 [V]
    step: Callable[[State, jax.Array], Outcome]  # action float32 [A], in [-1, 1] or the number of a choice


def state_spaces(observation: int, action: int = 1, choices: int = 0) -> Spaces:
    """Spaces of an environment whose observation is one vector of `observation` values."""
    return Spaces.of(vectors=[VectorSpace(STATE, observation)], actions=[ActionSpace(ACTION, action, choices=choices)])
