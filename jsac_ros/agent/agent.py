"""The interface of an algorithm: one class for its networks, its update and its policy, and one struct of all that learns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from jsac_ros.agent import gradient
from jsac_ros.agent.gradient import Optimiser
from jsac_ros.agent.initial import ORTHOGONAL_SCALE, initialise
from jsac_ros.agent.observation import Inputs
from jsac_ros.agent.parameters import ScaffoldParameters, check_spaces
from jsac_ros.spaces import Spaces

Params = Any
Metrics = dict[str, jax.Array]


@flax.struct.dataclass
class TrainState:
    """All that learns. Parameters are float32 trees."""

    params: dict[str, Params]  # {"critic": ..., "actor": ..., ...}
    opt_state: dict[str, Any]  # by the same names
    target: Params  # follows `params[agent.followed]`
    step: jax.Array  # int32 [], batches seen
    skipped: jax.Array  # int32 [], updates skipped because they were not finite
    skipped_in_a_row: jax.Array  # int32 [], up to the latest update
    key: jax.Array  # uint32 [2]


class Sample(NamedTuple):
    """A batch as the input of an algorithm: images stacked and shifted, parts joined to vectors."""

    observation: Inputs
    action: jax.Array  # float32 [B, A]
    reward: jax.Array  # float32 [B]
    discount: jax.Array  # float32 [B], factor of the bootstrap: gamma^n m
    weight: jax.Array  # float32 [B]
    next_observation: Inputs


class Outcome(NamedTuple):
    """The results of `learn` besides the next state."""

    is_finite: jax.Array  # bool []; if false, the target stays too and the update counts as skipped
    td_error: jax.Array  # float32 [B]
    metrics: Metrics  # float32 scalars


class Agent(ABC):
    """An algorithm with parameters and spaces; holds no array. `agent/update.py` compiles its update.

    A new algorithm fills in the abstract methods; `agent/dqn/agent.py` is the shortest example.
    """

    followed: ClassVar[str]  # name of the parameters that `state.target` follows
    # Fields that change what the same parameters compute; the others show in the shapes or matter only in learning.
    # None: all fields.
    forward_fields: ClassVar[tuple[str, ...] | None] = None
    head_scale = ORTHOGONAL_SCALE  # of the initial kernels of the last layers
    optimisers: dict[str, Optimiser]  # name in `state.params` -> its optimiser

    def __init__(self, parameters: ScaffoldParameters, spaces: Spaces):
        """Raises ConfigError with a line for each part of `spaces` that does not fit."""
        check_spaces(parameters, spaces)
        self.parameters, self.spaces = parameters, spaces

    @abstractmethod
    def init_params(self, draw: Callable[[Any], Params]) -> dict[str, Params]:
        """Initial parameters by name. draw: tree of shapes (jax.ShapeDtypeStruct) -> tree of arrays."""

    @abstractmethod
    def learn(self, state: TrainState, sample: Sample, key: jax.Array) -> tuple[TrainState, Outcome]:
        """One update of `state.params` and `state.opt_state`, pure; `agent/update.py` updates the rest of the state."""

    @abstractmethod
    def policy_params(self, state: TrainState) -> Params:
        """The tree of parameters that acting needs, all float32."""

    @abstractmethod
    def act(self, params: Params, observation: Inputs, key: jax.Array, deterministic: jax.Array) -> jax.Array:
        """Actions float32 [B, A] for a batch of observations, pure. params: from `policy_params`."""

    def state_value(self, state: TrainState, observation: Inputs) -> jax.Array:
        """The value of the policy's best action, float32 [B]; pure, differentiable by the images, which may be float32 in
        [0, 255]. For an algorithm without a critic: the magnitude of that action.
        """
        action = self.act(self.policy_params(state), observation, jax.random.PRNGKey(0), jnp.bool_(True))
        return jnp.linalg.norm(action, axis=-1)

    def init(self, seed: int) -> TrainState:
        """A fresh state."""
        rng = np.random.default_rng(seed)
        params = self.init_params(lambda shapes: initialise(shapes, rng, self.head_scale))
        return self._fresh(params, jax.random.PRNGKey(seed))

    @cached_property
    def template(self) -> TrainState:
        """The shapes and dtypes of a state; allocates nothing."""
        zeros = lambda shapes: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        return jax.eval_shape(lambda: self._fresh(self.init_params(zeros), jax.random.PRNGKey(0)))

    @cached_property
    def policy_template(self) -> Params:
        """The shapes and dtypes of `policy_params`."""
        return jax.eval_shape(self.policy_params, self.template)

    def step(self, state: TrainState, name: str, grads: Params, is_finite: jax.Array) -> TrainState:
        """`state` after one guarded optimiser step of `params[name]`."""
        params, opt_state = gradient.step(self.optimisers[name], grads, state.params[name], state.opt_state[name], is_finite)
        return state.replace(params=state.params | {name: params}, opt_state=state.opt_state | {name: opt_state})

    def _fresh(self, params: dict[str, Params], key: jax.Array) -> TrainState:
        params = jax.tree.map(jnp.array, params)
        return TrainState(
            params=params,
            opt_state={name: optimiser.init(params[name]) for name, optimiser in self.optimisers.items()},
            target=jax.tree.map(jnp.array, params[self.followed]),  # a copy, because an update donates both
            step=jnp.int32(0),
            skipped=jnp.int32(0),
            skipped_in_a_row=jnp.int32(0),
            key=key,
        )


def with_encoder(state: TrainState, encoder: Params) -> TrainState:
    """`state` with an encoder learned elsewhere, in the target too (`export.load(...).params["encoder"]`).

    Raises ValueError naming the first array whose shape differs.
    """
    ours = state.params["critic"]["encoder"]
    found, expected = ({jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
                       for tree in (encoder, ours))  # fmt: skip
    for name in [*expected, *found]:
        if found.get(name) != expected.get(name):
            raise ValueError(f"encoder{name} is {found.get(name, 'missing')}; expected {expected.get(name, 'no such array')}")

    def replaced(tree):
        return tree | {"encoder": jax.tree.map(jnp.array, encoder)} if "encoder" in tree else tree

    params = state.params | {"critic": replaced(state.params["critic"])}
    return state.replace(params=params, target=replaced(state.target))
