"""DQN (Mnih et al., 2015): discrete actions, epsilon-greedy, a target network that is copied every N updates.

The hard copy is `tau` = 1 with `target_period` = N. Epsilon travels with the policy's parameters, so that whoever acts
explores as much as the learner has come to want.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jsac_ros.agent import gradient
from jsac_ros.agent.augment import random_shift
from jsac_ros.agent.critic import bellman_error
from jsac_ros.agent.gradient import Learned, make_optimiser
from jsac_ros.agent.initial import initialise
from jsac_ros.agent.networks import MLP, Encoder, Latent, make_networks
from jsac_ros.agent.target import update_target
from jsac_ros.agent.update import check_batch, stacks
from jsac_ros.config import AgentConfig
from jsac_ros.types import Batch, Spec

Params = Any


class ChoiceValues(nn.Module):
    """(z, p) -> the value of every choice."""

    latent_dim: int
    mlp: dict[str, Any]
    choices: int
    dtype: Any

    @nn.compact
    def __call__(self, z: jax.Array, proprioception: jax.Array) -> jax.Array:
        """z: float32 [B, z]; proprioception: float32 [B, P]; returns float32 [B, choices]."""
        x = Latent(self.latent_dim, self.mlp["layer_norm"], self.dtype, name="latent")(z, proprioception)
        x = MLP(**self.mlp, dtype=self.dtype, name="mlp")(x)
        return nn.Dense(self.choices, dtype=self.dtype, name="values")(x).astype(jnp.float32)


class ValueNetwork(NamedTuple):
    """Encoder and value of the choices; parameters are {"encoder", "values"}."""

    encoder: Encoder
    values: ChoiceValues

    def __call__(self, params: Params, image: jax.Array, proprioception: jax.Array) -> jax.Array:
        z = self.encoder.apply({"params": params["encoder"]}, image)
        return self.values.apply({"params": params["values"]}, z, proprioception)


@flax.struct.dataclass
class DqnState:
    """All that learns. `critic` and `target` hold {"encoder", "values"}."""

    critic: Learned
    target: Params
    step: jax.Array  # int32 [], batches seen
    skipped: jax.Array  # int32 [], of them not finite and left out
    skipped_in_a_row: jax.Array  # int32 [], up to now
    epsilon: jax.Array  # float32 [], share of random actions
    key: jax.Array  # uint32 [2]


def make_network(config: AgentConfig, spec: Spec) -> ValueNetwork:
    """Raises ValueError where the actions are continuous or the networks do not fit the shapes."""
    if spec.choices < 2:
        raise ValueError(f"choices is {spec.choices}; expected at least 2 for dqn (task.action_table lists them)")
    dtype = jnp.bfloat16 if config.bfloat16 else jnp.float32
    mlp = {"hidden": config.hidden, "layer_norm": config.layer_norm, "activation": config.hidden_activation}
    return ValueNetwork(
        make_networks(config, spec).encoder, ChoiceValues(config.latent_dim, mlp, spec.choices, dtype)
    )


def epsilon_at(config: AgentConfig, step: jax.Array) -> jax.Array:
    """Linear from 1 to `epsilon_final` over `epsilon_updates` updates."""
    return jnp.maximum(config.epsilon_final, 1.0 - (1.0 - config.epsilon_final) * step / config.epsilon_updates)


def create(config: AgentConfig, spec: Spec, seed: int) -> DqnState:
    """A fresh state. Raises ValueError where the networks do not fit the shapes."""
    network, rng = make_network(config, spec), np.random.default_rng(seed)
    image = jnp.zeros((1, *spec.image_shape), jnp.uint8)
    encoder = initialise(network.encoder, rng, image)
    z = jax.eval_shape(network.encoder.apply, {"params": encoder}, image)
    values = initialise(network.values, rng, z, jnp.zeros((1, spec.proprioception)))
    return _fresh(config, {"encoder": encoder, "values": values}, jax.random.PRNGKey(seed))


@partial(jax.jit, static_argnums=0)
def _fresh(config: AgentConfig, params: Params, key: jax.Array) -> DqnState:
    return DqnState(
        critic=Learned(params, _optimiser(config).init(params)),
        target=jax.tree.map(jnp.copy, params),
        step=jnp.int32(0),
        skipped=jnp.int32(0),
        skipped_in_a_row=jnp.int32(0),
        epsilon=epsilon_at(config, jnp.int32(0)),
        key=key,
    )


def _optimiser(config: AgentConfig) -> optax.GradientTransformation:
    return make_optimiser(config.learning_rate, config.max_gradient_norm)


def make_update(config: AgentConfig, spec: Spec):
    """The compiled `update(state, batch) -> (state, metrics)`; see `agent.update.make_update`."""
    network, optimiser = make_network(config, spec), _optimiser(config)
    kappa = config.weight_clip_kappa if config.weight_clip else 0.0

    def update(state: DqnState, batch: Batch) -> tuple[DqnState, dict[str, jax.Array]]:
        check_batch(batch, spec, config.n_step)
        key = state.key
        image, next_image = stacks(batch.frames, spec.stack)
        if spec.height:  # without images nothing is random here
            key, shift_key, next_shift_key = jax.random.split(key, 3)
            image = random_shift(shift_key, image, config.shift_pad)
            next_image = random_shift(next_shift_key, next_image, config.shift_pad)
        target = td_target(network, state.target, next_image, batch)
        (loss, q), slope = jax.value_and_grad(value_loss, has_aux=True)(
            state.critic.params, network, image, batch, target
        )
        norm = gradient.norm(slope)
        usable = jnp.isfinite(loss) & jnp.isfinite(norm)
        critic = gradient.step(optimiser, slope, state.critic, usable, kappa)
        due = usable & ((state.step + 1) % config.target_period == 0)
        moved = update_target(critic.params, state.target, config.tau)
        skipped = jnp.where(usable, 0, 1)
        state = DqnState(
            critic=critic,
            target=gradient.keep_unless(due, moved, state.target),
            step=state.step + 1,
            skipped=state.skipped + skipped,
            skipped_in_a_row=(state.skipped_in_a_row + 1) * skipped,
            epsilon=epsilon_at(config, state.step + 1),
            key=key,
        )
        return state, {
            "critic_loss": loss,
            "q_mean": jnp.mean(q),
            "target_mean": jnp.mean(target),
            "critic_gradient_norm": norm,
            "epsilon": state.epsilon,
            "td_error": jnp.abs(q - target),
            "skipped": state.skipped,
            "skipped_in_a_row": state.skipped_in_a_row,
        }

    return jax.jit(update, donate_argnums=0)


def td_target(network: ValueNetwork, target: Params, next_image: jax.Array, batch: Batch) -> jax.Array:
    """y = r + gamma m max_a' Q'(s', a'), float32 [B]; Q' of the target network, m = 0 where the episode ended."""
    return batch.reward + batch.discount * jnp.max(network(target, next_image, batch.next_proprioception), axis=-1)


def value_loss(params, network: ValueNetwork, image, batch: Batch, target) -> tuple[jax.Array, jax.Array]:
    """E[w (Q(s, a) - y)^2], [], and Q(s, a) of the actions taken, [B]."""
    values = network(params, image, batch.proprioception)
    taken = jax.nn.one_hot(batch.action[:, 0].astype(jnp.int32), values.shape[-1])
    q = jnp.sum(values * taken, axis=-1)  # not a gather: its gradient would be a scatter, slow on a CPU
    return bellman_error(q, target, batch.weight), q


def policy_parameters(state: DqnState) -> Params:
    """{"encoder", "values", "epsilon"}: all float32."""
    return state.critic.params | {"epsilon": state.epsilon}


def make_act(config: AgentConfig, spec: Spec):
    """The compiled `act(params, image, proprioception, key, deterministic) -> action`, epsilon-greedy.

    As `agent.policy.make_act`; action: float32 [1], the number of a choice. `deterministic`: greedy.
    """
    network = make_network(config, spec)

    @jax.jit
    def act(params, image, proprioception, key, deterministic):
        values = network(params, image[None], proprioception[None])[0]
        coin, die = jax.random.uniform(key, (2,))
        explore = (coin < params["epsilon"]) & ~jnp.asarray(deterministic)
        choice = jnp.floor(die * spec.choices)
        return jnp.where(explore, choice, jnp.argmax(values)).astype(jnp.float32)[None]

    return act
