"""SAC with a value function (Haarnoja et al., 2018a), its temperature learned (Haarnoja et al., 2018b).

Two Qs learn towards a target value network, V towards the smaller Q less the entropy term, the actor from the advantage
Q - V, every `actor_period` updates; the target of V follows every `target_period`. Networks, losses of actor's
temperature and critic, optimiser and target rule are those of the main agent. The encoder learns from the Qs alone.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from jsac_ros.agent import gradient
from jsac_ros.agent.augment import random_shift
from jsac_ros.agent.critic import critic_loss
from jsac_ros.agent.distributions import sample_tanh_gaussian
from jsac_ros.agent.gradient import Learned
from jsac_ros.agent.initial import initialise
from jsac_ros.agent.networks import Latent, Networks, QFunction, make_networks
from jsac_ros.agent.state import TrainState, make_optimisers
from jsac_ros.agent.state import create as create_main
from jsac_ros.agent.target import update_target
from jsac_ros.agent.temperature import target_entropy, temperature_loss
from jsac_ros.agent.update import check_batch, stacks
from jsac_ros.config import AgentConfig
from jsac_ros.types import Batch, Spec


class Value(nn.Module):
    """(z, p) -> V."""

    latent_dim: int
    mlp: dict[str, Any]
    dtype: Any

    @nn.compact
    def __call__(self, z: jax.Array, proprioception: jax.Array) -> jax.Array:
        """z: float32 [B, z]; proprioception: float32 [B, P]; returns float32 [B]."""
        x = Latent(self.latent_dim, self.mlp["layer_norm"], self.dtype, name="latent")(z, proprioception)
        return QFunction(self.mlp, self.dtype, name="value")(x)


@flax.struct.dataclass
class ValueTrainState(TrainState):
    """That of the main agent, with V; `target` holds the parameters of V's target."""

    value: Learned


def make_value(config: AgentConfig) -> Value:
    mlp = {"hidden": config.hidden, "layer_norm": config.layer_norm, "activation": config.hidden_activation}
    return Value(config.latent_dim, mlp, jnp.bfloat16 if config.bfloat16 else jnp.float32)


def create(config: AgentConfig, spec: Spec, seed: int) -> ValueTrainState:
    """A fresh state. Raises ValueError where the networks do not fit the shapes."""
    state, rng = create_main(config, spec, seed), np.random.default_rng((seed, 1))
    image = jnp.zeros((1, *spec.image_shape), jnp.uint8)
    z = jax.eval_shape(make_networks(config, spec).encoder.apply, {"params": state.critic.params["encoder"]}, image)
    params = initialise(make_value(config), rng, z, jnp.zeros((1, spec.proprioception)))
    return _with_value(config, state, params)


@partial(jax.jit, static_argnums=0)
def _with_value(config: AgentConfig, state: TrainState, params) -> ValueTrainState:
    fields = vars(state) | {"target": jax.tree.map(jnp.copy, params)}
    return ValueTrainState(**fields, value=Learned(params, make_optimisers(config).critic.init(params)))


def value_loss(params, value: Value, z, proprioception, target) -> jax.Array:
    """J_V: E[(V(s) - y)^2] with y = min_i Q_i(s, a) - alpha log pi(a|s), a constant [B]."""
    return jnp.mean(jnp.square(value.apply({"params": params}, z, proprioception) - target))


def advantage_loss(params, networks: Networks, critic, baseline, alpha, z, proprioception, key):
    """J_pi: E[alpha log pi(a|s) - (min_i Q_i(s, a) - V(s))], a ~ pi reparameterised; V(s), [B], is a constant.

    Returns the loss, [], and (log pi(a|s), min_i Q_i(s, a)), each [B].
    """
    mean, log_std = networks.actor.apply({"params": params}, z, proprioception)
    action, log_prob = sample_tanh_gaussian(key, mean, log_std)
    q = jnp.min(networks.critic.apply({"params": critic}, z, proprioception, action), axis=0)
    return jnp.mean(alpha * log_prob - (q - baseline)), (log_prob, q)


def make_update(config: AgentConfig, spec: Spec):
    """The compiled `update(state, batch) -> (state, metrics)`; see `agent.update.make_update`."""
    networks, value, optimisers = make_networks(config, spec), make_value(config), make_optimisers(config)
    entropy = target_entropy(config, spec.action)
    kappa = config.weight_clip_kappa if config.weight_clip else 0.0

    def update(state: ValueTrainState, batch: Batch) -> tuple[ValueTrainState, dict[str, jax.Array]]:
        check_batch(batch, spec, config.n_step)
        key, shift_key, next_shift_key, action_key = jax.random.split(state.key, 4)
        image, next_image = stacks(batch.frames, spec.stack)
        image = random_shift(shift_key, image, config.shift_pad)
        next_image = random_shift(next_shift_key, next_image, config.shift_pad)
        encoder = {"params": state.critic.params["encoder"]}
        z, next_z = networks.encoder.apply(encoder, image), networks.encoder.apply(encoder, next_image)
        proprioception = batch.proprioception
        baseline = value.apply({"params": state.value.params}, z, proprioception)

        # All slopes at the networks as they were; one sampled action serves temperature, V and actor
        alpha = jnp.exp(state.log_alpha.params)
        next_value = value.apply({"params": state.target}, next_z, batch.next_proprioception)
        target = batch.reward + batch.discount * next_value
        (q_loss, q), q_slope = jax.value_and_grad(critic_loss, has_aux=True)(
            state.critic.params, networks, image, batch, target
        )
        (actor_loss, (log_prob, new_q)), actor_slope = jax.value_and_grad(advantage_loss, has_aux=True)(
            state.actor.params, networks, state.critic.params["critic"], baseline, alpha, z, proprioception, action_key
        )
        v_loss, v_slope = jax.value_and_grad(value_loss)(
            state.value.params, value, z, proprioception, new_q - alpha * log_prob
        )
        alpha_loss, alpha_slope = jax.value_and_grad(temperature_loss)(state.log_alpha.params, log_prob, entropy)

        norms = [gradient.norm(slope) for slope in (q_slope, actor_slope, v_slope)]
        usable = jnp.all(jnp.isfinite(jnp.stack([q_loss, actor_loss, v_loss, *norms])))
        acting = usable & (state.step >= config.critic_warmup_updates) & (state.step % config.actor_period == 0)
        critic = gradient.step(optimisers.critic, q_slope, state.critic, usable, kappa)
        new_value = gradient.step(optimisers.critic, v_slope, state.value, usable, kappa)
        moved = usable & ((state.step + 1) % config.target_period == 0)
        skipped = jnp.where(usable, 0, 1)
        state = state.replace(
            critic=critic,
            value=new_value,
            actor=gradient.step(optimisers.actor, actor_slope, state.actor, acting, kappa),
            log_alpha=gradient.step(
                optimisers.temperature, alpha_slope, state.log_alpha,
                usable & (state.step >= config.critic_warmup_updates),
            ),
            target=gradient.keep_unless(
                moved, update_target(new_value.params, state.target, config.tau), state.target
            ),
            step=state.step + 1,
            skipped=state.skipped + skipped,
            skipped_in_a_row=(state.skipped_in_a_row + 1) * skipped,
            key=key,
        )  # fmt: skip
        return state, {
            "critic_loss": q_loss,
            "value_loss": v_loss,
            "actor_loss": actor_loss,
            "temperature_loss": alpha_loss,
            "q_mean": jnp.mean(q),
            "entropy": -jnp.mean(log_prob),
            "temperature": jnp.exp(state.log_alpha.params),
            "td_error": jnp.mean(jnp.abs(q - target), axis=0),
            "skipped": state.skipped,
            "skipped_in_a_row": state.skipped_in_a_row,
        }

    return jax.jit(update, donate_argnums=0)
