"""What an environment is: its shapes and three pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jsac_ros.types import Spec

State = Any  # a NamedTuple of float32 scalars, each environment's own


class Outcome(NamedTuple):
    """What one step leads to."""

    state: State
    reward: jax.Array  # float32 []
    terminated: jax.Array  # bool []: nothing follows; a time-out is not a terminal state
    success: jax.Array  # bool []: ended as it should; only where the task has such an end


class Environment(NamedTuple):
    """A task without images. All functions are pure and take one environment; `jax.vmap` makes many."""

    spec: Spec
    time_limit: int  # steps
    reset: Callable[[jax.Array], State]  # random key -> state
    observe: Callable[[State], jax.Array]  # state -> float32 [P]
    step: Callable[[State, jax.Array], Outcome]  # action float32 [A], in [-1, 1] or the number of a choice


def state_spec(observation: int, action: int = 1, choices: int = 0) -> Spec:
    """Shapes of an environment that is observed as a vector."""
    return Spec(
        height=0, width=0, channels=3, stack=1, proprioception=observation, action=action, choices=choices
    )
