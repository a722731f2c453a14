"""DQN (Mnih et al., 2015): discrete actions, epsilon-greedy, a target network that is copied every N updates.

The hard copy is `tau` = 1 with `target_period` = N. Epsilon is published with the policy's parameters, so that an actor
explores according to the learner's progress.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jsac_ros.agent.agent import Agent, Outcome, Params, Sample, TrainState
from jsac_ros.agent.dqn.losses import td_target, value_loss
from jsac_ros.agent.dqn.networks import ChoiceValues, ValueNetwork
from jsac_ros.agent.dqn.parameters import DqnParameters
from jsac_ros.agent.gradient import differentiate, make_optimiser
from jsac_ros.agent.initial import shapes_of
from jsac_ros.agent.networks import settings_of, shapes_for
from jsac_ros.agent.observation import Inputs
from jsac_ros.spaces import Spaces


class DqnAgent(Agent):
    """`params`: "critic" {"encoder", "values"}."""

    followed = "critic"
    forward_fields = (
        "encoder", "conv_strides", "conv_activation", "pixel_limit", "vector_limit", "hidden_activation", "bfloat16",
    )  # fmt: skip

    def __init__(self, parameters: DqnParameters, spaces: Spaces):
        super().__init__(parameters, spaces)
        p, settings = parameters, settings_of(parameters, spaces)
        self.network = ValueNetwork(settings.encoder, ChoiceValues(settings.latent, settings.mlp, spaces.choices))
        kappa = p.weight_clip_kappa if p.weight_clip else 0.0
        self.optimisers = {"critic": make_optimiser(p.learning_rate, p.max_gradient_norm, kappa)}
        self.head_scale = p.head_scale

    def init_params(self, draw: Callable[[Any], Params]) -> dict[str, Params]:
        inputs = shapes_for(self.network.encoder, self.spaces)
        values = shapes_of(self.network.values, inputs.z, inputs.vector)
        return {"critic": {"encoder": draw(inputs.encoder), "values": draw(values)}}

    def learn(self, state: TrainState, sample: Sample, key: jax.Array) -> tuple[TrainState, Outcome]:
        target = td_target(self.network, state.target, sample)
        critic = differentiate(value_loss, state.params["critic"], self.network, sample, target)
        return self.step(state, "critic", critic.grads, critic.is_finite), Outcome(
            critic.is_finite,
            td_error=jnp.abs(critic.aux - target),
            metrics={
                "critic_loss": critic.loss,
                "q_mean": jnp.mean(critic.aux),
                "target_mean": jnp.mean(target),
                "critic_gradient_norm": critic.norm,
                "epsilon": self.epsilon(state.step + 1),
            },
        )

    def epsilon(self, step: jax.Array) -> jax.Array:
        """Share of random actions after the given number of updates, float32 []: linear from 1 to `epsilon_final`."""
        final, updates = self.parameters.epsilon_final, self.parameters.epsilon_updates
        return jnp.maximum(jnp.float32(final), 1.0 - (1.0 - final) * step / updates)

    def policy_params(self, state: TrainState) -> Params:
        """{"encoder", "values", "epsilon"}."""
        return state.params["critic"] | {"epsilon": self.epsilon(state.step)}

    def act(self, params: Params, observation: Inputs, key: jax.Array, deterministic: jax.Array) -> jax.Array:
        """Indices of choices, float32 [B, 1], epsilon-greedy. deterministic: greedy."""
        values = self.network(params, observation)
        coin, die = jax.random.uniform(key, (2, len(values)))
        explore = (coin < params["epsilon"]) & ~jnp.asarray(deterministic)
        choice = jnp.floor(die * self.spaces.choices)
        return jnp.where(explore, choice, jnp.argmax(values, axis=-1)).astype(jnp.float32)[:, None]

    def state_value(self, state: TrainState, observation: Inputs) -> jax.Array:
        """max_a Q(o, a)."""
        return jnp.max(self.network(state.params["critic"], observation), axis=-1)
