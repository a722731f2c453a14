"""The common part of JSAC and SAC with a value function: networks, optimisers, initial parameters, acting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jsac_ros.agent.agent import Agent, Params, TrainState
from jsac_ros.agent.distributions import sample_tanh_gaussian
from jsac_ros.agent.gradient import make_optimiser
from jsac_ros.agent.initial import shapes_of
from jsac_ros.agent.networks import Actor, Critic, Networks, settings_of, shapes_for
from jsac_ros.agent.observation import Inputs
from jsac_ros.agent.parameters import ActorCriticParameters
from jsac_ros.agent.temperature import target_entropy
from jsac_ros.spaces import Spaces


class ActorCritic(Agent):
    """`params`: "critic" {"encoder", "critic"}, "actor", and "log_alpha", float32 []."""

    followed = "critic"
    forward_fields = (
        "encoder", "conv_strides", "conv_activation", "pixel_limit", "vector_limit", "hidden_activation",
        "log_std_min", "log_std_max", "bfloat16",
    )  # fmt: skip

    def __init__(self, parameters: ActorCriticParameters, spaces: Spaces):
        super().__init__(parameters, spaces)
        p, self.settings = parameters, settings_of(parameters, spaces)
        encoder, latent, mlp = self.settings
        self.networks = Networks(
            encoder,
            Actor(latent, mlp, spaces.action_size, p.log_std_min, p.log_std_max),
            Critic(latent, mlp, p.q_count),
        )
        kappa = p.weight_clip_kappa if p.weight_clip else 0.0
        self.optimisers = {
            "critic": make_optimiser(p.learning_rate, p.max_gradient_norm, kappa),
            "actor": make_optimiser(p.learning_rate, p.actor_max_gradient_norm or p.max_gradient_norm, kappa),
            "log_alpha": make_optimiser(p.temperature_learning_rate, p.temperature_max_gradient_norm),
        }
        self.head_scale = p.head_scale
        self.target_entropy = target_entropy(p, spaces.action_size)

    def init_params(self, draw: Callable[[Any], Params]) -> dict[str, Params]:
        inputs = shapes_for(self.networks.encoder, self.spaces)
        critic = shapes_of(self.networks.critic, inputs.z, inputs.vector, inputs.action)
        return {
            "critic": {"encoder": draw(inputs.encoder), "critic": draw(critic)},
            "actor": draw(shapes_of(self.networks.actor, inputs.z, inputs.vector)),
            "log_alpha": jnp.log(jnp.float32(self.parameters.initial_temperature)),
        }

    def policy_params(self, state: TrainState) -> Params:
        """{"encoder", "actor"}; the encoder is the critic's."""
        return {"encoder": state.params["critic"]["encoder"], "actor": state.params["actor"]}

    def act(self, params: Params, observation: Inputs, key: jax.Array, deterministic: jax.Array) -> jax.Array:
        """In [-1, 1]. deterministic: tanh of the mean instead of a sample."""
        z = self.networks.encode(params, observation)
        mean, log_std = self.networks.actor.apply({"params": params["actor"]}, z, observation.vector)
        action, _ = sample_tanh_gaussian(key, mean, log_std)
        return jnp.where(deterministic, jnp.tanh(mean), action)

    def state_value(self, state: TrainState, observation: Inputs) -> jax.Array:
        """min_i Q_i(o, tanh of the mean), the action taken as a constant."""
        critic = state.params["critic"]
        z = self.networks.encode(critic, observation)
        mean, _ = self.networks.actor.apply({"params": state.params["actor"]}, z, observation.vector)
        action = jax.lax.stop_gradient(jnp.tanh(mean))
        q = self.networks.critic.apply({"params": critic["critic"]}, z, observation.vector, action)
        return jnp.min(q, axis=0)
