"""What an environment is: its spaces and three pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jsac_ros.spaces import ActionSpace, Spaces, VectorSpace
from jsac_ros.training.spaces import ACTION, STATE

State = Any  # a NamedTuple of float32 scalars, each environment's own


class Outcome(NamedTuple):
    """What one step leads to."""

    state: State
    reward: jax.Array  # float32 []
    terminated: jax.Array  # bool []: nothing follows; a time-out is not a terminal state
    success: jax.Array  # bool []: ended as it should; only where the task has such an end


class Environment(NamedTuple):
    """A task without images. All functions are pure and take one environment; `jax.vmap` makes many."""

    spaces: Spaces  # one vector and one part of an action, named as the same environment of Gymnasium has them
    time_limit: int  # steps
    reset: Callable[[jax.Array], State]  # random key -> state
    observe: Callable[[State], jax.Array]  # state -> float32 [V]
    step: Callable[[State, jax.Array], Outcome]  # action float32 [A], in [-1, 1] or the number of a choice


def state_spaces(observation: int, action: int = 1, choices: int = 0) -> Spaces:
    """Of an environment that is observed as one vector of `observation` values."""
    return Spaces.of(vectors=[VectorSpace(STATE, observation)], actions=[ActionSpace(ACTION, action, choices=choices)])
