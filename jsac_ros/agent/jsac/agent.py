"""JSAC's update in the order of the write-up's section 3: critic, actor, temperature; `agent/update.py` updates the target."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jsac_ros.agent.actor_critic import ActorCritic
from jsac_ros.agent.agent import Metrics, Outcome, Sample, TrainState
from jsac_ros.agent.critic import critic_loss
from jsac_ros.agent.gradient import differentiate
from jsac_ros.agent.jsac.actor import actor_loss
from jsac_ros.agent.jsac.critic import critic_target
from jsac_ros.agent.temperature import temperature_loss

_ACTOR_METRICS = ("actor_loss", "temperature_loss", "entropy", "actor_gradient_norm")


class JsacAgent(ActorCritic):
    def learn(self, state: TrainState, sample: Sample, key: jax.Array) -> tuple[TrainState, Outcome]:
        p, (target_key, actor_key) = self.parameters, jax.random.split(key)
        alpha = jnp.exp(state.params["log_alpha"])

        # Critic and encoder, towards eq. 2 with the next action from the current policy
        target = critic_target(state, self.networks, sample, alpha, p.q_subset, target_key)
        critic = differentiate(critic_loss, state.params["critic"], self.networks, sample, target)
        state, is_finite, q = self.step(state, "critic", critic.grads, critic.is_finite), critic.is_finite, critic.aux

        # Actor and temperature, against the updated critic
        if p.actor_period == 1 and p.critic_warmup_updates == 0:
            state, is_finite, actor_metrics = self._update_actor(state, sample, alpha, is_finite, actor_key)
        else:
            state, is_finite, actor_metrics = self._update_actor_when_due(state, sample, alpha, is_finite, actor_key)
        return state, Outcome(
            is_finite,
            td_error=jnp.mean(jnp.abs(q - target), axis=0),
            metrics={
                "critic_loss": critic.loss,
                "q_mean": jnp.mean(q),
                "target_mean": jnp.mean(target),
                "critic_gradient_norm": critic.norm,
                "temperature": jnp.exp(state.params["log_alpha"]),
            }
            | actor_metrics,
        )

    def _update_actor(
        self, state: TrainState, sample: Sample, alpha: jax.Array, is_finite: jax.Array, key: jax.Array
    ) -> tuple[TrainState, jax.Array, Metrics]:
        critic, vector = state.params["critic"], sample.observation.vector
        z = self.networks.encode(critic, sample.observation)
        actor = differentiate(actor_loss, state.params["actor"], self.networks, critic, alpha, z, vector, key)
        is_finite, log_prob = is_finite & actor.is_finite, actor.aux
        state = self.step(state, "actor", actor.grads, is_finite)
        loss, grad = jax.value_and_grad(temperature_loss)(state.params["log_alpha"], log_prob, self.target_entropy)
        state = self.step(state, "log_alpha", grad, is_finite)
        return state, is_finite, dict(zip(_ACTOR_METRICS, (actor.loss, loss, -jnp.mean(log_prob), actor.norm), strict=True))

    def _update_actor_when_due(self, state, sample, alpha, is_finite, key):
        """As `_update_actor` every `actor_period` updates after the warm-up; in between nothing changes."""
        moved = ("actor", "log_alpha")  # only these pass through the branches; anything else would be copied

        def part_of(state: TrainState):
            return {name: (state.params[name], state.opt_state[name]) for name in moved}

        def update_actor():
            updated, finite, metrics = self._update_actor(state, sample, alpha, is_finite, key)
            return part_of(updated), finite, metrics

        def skip_actor():
            return part_of(state), is_finite, dict.fromkeys(_ACTOR_METRICS, jnp.float32(jnp.nan))

        p = self.parameters
        due = (state.step >= p.critic_warmup_updates) & (state.step % p.actor_period == 0)
        part, is_finite, metrics = jax.lax.cond(due, update_actor, skip_actor)
        params, opt_state = ({name: pair[k] for name, pair in part.items()} for k in (0, 1))
        state = state.replace(params=state.params | params, opt_state=state.opt_state | opt_state)
        return state, is_finite, metrics
