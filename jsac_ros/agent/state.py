"""All that learns, as one immutable struct: what is saved, restored and published is it or a part of it."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jsac_ros.agent.gradient import Learned, make_optimiser
from jsac_ros.agent.initial import initialise
from jsac_ros.agent.networks import make_networks
from jsac_ros.config import AgentConfig
from jsac_ros.types import Spec

Params = Any


@flax.struct.dataclass
class TrainState:
    """Parameters are float32 trees. `critic` and `target` hold {"encoder", "critic"}: the critic's loss trains both."""

    critic: Learned
    actor: Learned
    log_alpha: Learned  # float32 []
    target: Params
    step: jax.Array  # int32 [], batches seen
    skipped: jax.Array  # int32 [], of them not finite and left out
    skipped_in_a_row: jax.Array  # int32 [], up to now
    key: jax.Array  # uint32 [2]


class Optimisers(NamedTuple):
    critic: optax.GradientTransformation
    actor: optax.GradientTransformation
    temperature: optax.GradientTransformation


def make_optimisers(config: AgentConfig) -> Optimisers:
    return Optimisers(
        critic=make_optimiser(config.learning_rate, config.max_gradient_norm),
        actor=make_optimiser(config.learning_rate, config.actor_max_gradient_norm or config.max_gradient_norm),
        temperature=make_optimiser(config.temperature_learning_rate, config.temperature_max_gradient_norm),
    )


def create(config: AgentConfig, spec: Spec, seed: int) -> TrainState:
    """A fresh state. Raises ValueError where the networks do not fit the shapes."""
    networks, rng = make_networks(config, spec), np.random.default_rng(seed)
    image = jnp.zeros((1, *spec.image_shape), jnp.uint8)
    proprioception, action = jnp.zeros((1, spec.proprioception)), jnp.zeros((1, spec.action))
    encoder = initialise(networks.encoder, rng, image)
    z = jax.eval_shape(networks.encoder.apply, {"params": encoder}, image)
    actor = initialise(networks.actor, rng, z, proprioception)
    critic = {"encoder": encoder, "critic": initialise(networks.critic, rng, z, proprioception, action)}
    return _fresh(config, critic, actor, jax.random.PRNGKey(seed))


@partial(jax.jit, static_argnums=0)
def _fresh(config: AgentConfig, critic: Params, actor: Params, key: jax.Array) -> TrainState:
    log_alpha = jnp.log(jnp.float32(config.initial_temperature))
    optimisers = make_optimisers(config)
    return TrainState(
        critic=Learned(critic, optimisers.critic.init(critic)),
        actor=Learned(actor, optimisers.actor.init(actor)),
        log_alpha=Learned(log_alpha, optimisers.temperature.init(log_alpha)),
        target=jax.tree.map(jnp.copy, critic),
        step=jnp.int32(0),
        skipped=jnp.int32(0),
        skipped_in_a_row=jnp.int32(0),
        key=key,
    )


def with_encoder(state: TrainState, encoder: Params) -> TrainState:
    """`state` with an encoder learned elsewhere, in the target too (`export.load(...).params["encoder"]`).

    Raises ValueError naming the first array whose shape differs.
    """
    ours = state.critic.params["encoder"]
    described = [
        {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (encoder, ours)
    ]
    for name in [*described[1], *described[0]]:
        found, expected = (tree.get(name, "missing") for tree in described)
        if found != expected:
            raise ValueError(f"encoder{name} is {found}; expected {expected}")
    # Arrays of their own each: an update gives both away.
    critic, target = ({**tree, "encoder": jax.tree.map(jnp.array, encoder)} for tree in (state.critic.params, state.target))
    return state.replace(critic=state.critic._replace(params=critic), target=target)
