"""SAC with a value function (Haarnoja et al., 2018a) and a learned temperature (Haarnoja et al., 2018b).

Two Qs learn towards a target value network, V towards the smaller Q minus the entropy term, the actor from the advantage
Q - V, every `actor_period` updates; the target of V follows every `target_period`. Networks, losses of critic and
temperature, optimisers and target rule are those of JSAC. The encoder learns only from the Qs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jsac_ros.agent.actor_critic import ActorCritic
from jsac_ros.agent.agent import Outcome, Params, Sample, TrainState
from jsac_ros.agent.critic import critic_loss
from jsac_ros.agent.gradient import differentiate
from jsac_ros.agent.initial import shapes_of
from jsac_ros.agent.networks import shapes_for
from jsac_ros.agent.sac_v.losses import advantage_loss, value_loss
from jsac_ros.agent.sac_v.networks import StateValue
from jsac_ros.agent.sac_v.parameters import SacVParameters
from jsac_ros.agent.temperature import temperature_loss
from jsac_ros.spaces import Spaces


class SacVAgent(ActorCritic):
    """`params`: those of `ActorCritic`, and "value"."""

    followed = "value"

    def __init__(self, parameters: SacVParameters, spaces: Spaces):
        super().__init__(parameters, spaces)
        self.value = StateValue(self.settings.latent, self.settings.mlp)
        self.optimisers["value"] = self.optimisers["critic"]

    def init_params(self, draw: Callable[[Any], Params]) -> dict[str, Params]:
        inputs = shapes_for(self.networks.encoder, self.spaces)
        return super().init_params(draw) | {"value": draw(shapes_of(self.value, inputs.z, inputs.vector))}

    def learn(self, state: TrainState, sample: Sample, key: jax.Array) -> tuple[TrainState, Outcome]:
        p, params, networks = self.parameters, state.params, self.networks
        vector, next_vector = sample.observation.vector, sample.next_observation.vector
        z, next_z = (networks.encode(params["critic"], o) for o in (sample.observation, sample.next_observation))
        baseline = self.value.apply({"params": params["value"]}, z, vector)
        alpha = jnp.exp(params["log_alpha"])

        # All gradients use the old networks; one sampled action serves temperature, V and actor
        target = sample.reward + sample.discount * self.value.apply({"params": state.target}, next_z, next_vector)
        critic = differentiate(critic_loss, params["critic"], networks, sample, target)
        actor = differentiate(
            advantage_loss, params["actor"], networks, params["critic"]["critic"], baseline, alpha, z, vector, key
        )
        log_prob, new_q = actor.aux
        value = differentiate(value_loss, params["value"], self.value, z, vector, new_q - alpha * log_prob)
        alpha_loss, alpha_grad = jax.value_and_grad(temperature_loss)(params["log_alpha"], log_prob, self.target_entropy)

        is_finite = critic.is_finite & actor.is_finite & value.is_finite
        warm = is_finite & (state.step >= p.critic_warmup_updates)
        state = self.step(state, "critic", critic.grads, is_finite)
        state = self.step(state, "value", value.grads, is_finite)
        state = self.step(state, "actor", actor.grads, warm & (state.step % p.actor_period == 0))
        state = self.step(state, "log_alpha", alpha_grad, warm)
        return state, Outcome(
            is_finite,
            td_error=jnp.mean(jnp.abs(critic.aux - target), axis=0),
            metrics={
                "critic_loss": critic.loss,
                "value_loss": value.loss,
                "actor_loss": actor.loss,
                "temperature_loss": alpha_loss,
                "q_mean": jnp.mean(critic.aux),
                "target_mean": jnp.mean(target),
                "critic_gradient_norm": critic.norm,
                "actor_gradient_norm": actor.norm,
                "entropy": -jnp.mean(log_prob),
                "temperature": jnp.exp(state.params["log_alpha"]),
            },
        )
