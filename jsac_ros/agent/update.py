"""One update, in the order of the write-up's section 3: critic, actor, temperature, target."""

from __future__ import annotations

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jsac_ros.agent import gradient
from jsac_ros.agent.actor import actor_loss
from jsac_ros.agent.augment import random_shift
from jsac_ros.agent.critic import bellman_target, critic_loss, encode_and_value, random_subset
from jsac_ros.agent.distributions import sample_tanh_gaussian
from jsac_ros.agent.networks import Networks, make_networks
from jsac_ros.agent.state import Optimisers, TrainState, make_optimisers
from jsac_ros.agent.target import update_target
from jsac_ros.agent.temperature import target_entropy, temperature_loss
from jsac_ros.config import AgentConfig
from jsac_ros.types import Batch, Spec, batch_layout

Metrics = dict[str, jax.Array]
Update = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def make_update(config: AgentConfig, spec: Spec) -> Update:
    """The compiled `update(state, batch) -> (state, metrics)`. The state that went in is used up (donated).

    metrics: float32 scalars, and "td_error" float32 [B], |Q - y| averaged over the ensemble.
    Calling it raises ValueError where the batch has another dtype, rank or size than `batch_layout` says.
    Raises ValueError where the networks do not fit the shapes.
    """
    return jax.jit(_checked_update(config, spec), donate_argnums=0)


def make_updates(config: AgentConfig, spec: Spec) -> Update:
    """As `make_update`, but for n batches in one call, stacked on a new first axis; so are the metrics.

    One `lax.scan`: worth it where an update is shorter than the time to dispatch it, as on a GPU.
    """
    update = _checked_update(config, spec)
    return jax.jit(lambda state, batches: jax.lax.scan(update, state, batches), donate_argnums=0)


def _checked_update(config: AgentConfig, spec: Spec) -> Update:
    networks, optimisers = make_networks(config, spec), make_optimisers(config)

    def update(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_batch(batch, spec, config.n_step)
        return _update(state, batch, config, spec, networks, optimisers)

    return update


def compile_update(update: Update, state: TrainState, spec: Spec, batch_size: int, n_step: int) -> float:
    """Compiles for the one shape there will be, on a copy of the state that is then thrown away. -> seconds."""
    began = time.monotonic()
    layout = batch_layout(spec, batch_size, n_step)
    nothing = Batch(**{name: np.zeros(shape, dtype) for name, (shape, dtype) in layout.items()})
    jax.block_until_ready(update(jax.tree.map(lambda leaf: leaf.copy(), state), jax.device_put(nothing)))
    return time.monotonic() - began


def refuse_to_go_on(state: TrainState, batch: Batch, limit: int) -> None:
    """Raises ValueError where the last `limit` updates were all skipped. Waits for the device."""
    skipped = int(state.skipped_in_a_row)
    if skipped >= limit:
        rows = np.asarray(batch.index)[:4].tolist()
        raise ValueError(f"{skipped} updates in a row were not finite and learned nothing, the last on rows {rows} and more")


def check_batch(batch: Batch, spec: Spec, n_step: int) -> None:
    """Raises ValueError naming the field, what came and what was expected. Costs nothing once compiled."""
    layout = batch_layout(spec, len(batch.reward), n_step)
    for name, (shape, dtype) in layout.items():
        if name == "index":  # never leaves the host's side of the update
            continue
        field = getattr(batch, name)
        if field.shape != shape or field.dtype != dtype:
            raise ValueError(f"batch.{name} is {field.dtype}{list(field.shape)}; expected {dtype}{list(shape)}")


def stacks(frames: jax.Array, stack: int) -> tuple[jax.Array, jax.Array]:
    """Frames uint8 [B, F, H, W, C] -> observation and next observation, uint8 [B, H, W, S*C], oldest frame first."""

    def join(part):
        batch, count, height, width, channels = part.shape
        return part.transpose(0, 2, 3, 1, 4).reshape(batch, height, width, count * channels)

    return join(frames[:, :stack]), join(frames[:, -stack:])


def _update(state, batch, config: AgentConfig, spec: Spec, networks: Networks, optimisers: Optimisers):
    key, shift_key, next_shift_key, next_action_key, subset_key, action_key = jax.random.split(state.key, 6)
    image, next_image = stacks(batch.frames, spec.stack)
    image = random_shift(shift_key, image, config.shift_pad)
    next_image = random_shift(next_shift_key, next_image, config.shift_pad)
    alpha = jnp.exp(state.log_alpha.params)
    kappa = config.weight_clip_kappa if config.weight_clip else 0.0

    # Critic and encoder, towards eq. 2 with the next action from the current policy
    target = _target(state, batch, next_image, alpha, networks, config, next_action_key, subset_key)
    (loss, q), slope = jax.value_and_grad(critic_loss, has_aux=True)(
        state.critic.params, networks, image, batch, target
    )
    critic_norm = gradient.norm(slope)
    usable = jnp.isfinite(loss) & jnp.isfinite(critic_norm)
    critic = gradient.step(optimisers.critic, slope, state.critic, usable, kappa)
    metrics = {
        "critic_loss": loss,
        "q_mean": jnp.mean(q),
        "target_mean": jnp.mean(target),
        "critic_gradient_norm": critic_norm,
        "td_error": jnp.mean(jnp.abs(q - target), axis=0),
    }

    # Actor and temperature, against the critic just updated
    def improve(actor, log_alpha):
        z = networks.encoder.apply({"params": critic.params["encoder"]}, image)
        (loss, log_prob), slope = jax.value_and_grad(actor_loss, has_aux=True)(
            actor.params, networks, critic.params, alpha, z, batch.proprioception, action_key
        )
        norm = gradient.norm(slope)
        fine = usable & jnp.isfinite(loss) & jnp.isfinite(norm)
        actor = gradient.step(optimisers.actor, slope, actor, fine, kappa)
        entropy = target_entropy(config, spec.action)
        alpha_loss, slope = jax.value_and_grad(temperature_loss)(log_alpha.params, log_prob, entropy)
        log_alpha = gradient.step(optimisers.temperature, slope, log_alpha, fine)
        return actor, log_alpha, fine, (loss, alpha_loss, -jnp.mean(log_prob), norm)

    def wait(actor, log_alpha):
        return actor, log_alpha, usable, (jnp.float32(jnp.nan),) * 4

    if config.actor_period == 1 and config.critic_warmup_updates == 0:
        actor, log_alpha, usable, scalars = improve(state.actor, state.log_alpha)
    else:
        due = (state.step >= config.critic_warmup_updates) & (state.step % config.actor_period == 0)
        actor, log_alpha, usable, scalars = jax.lax.cond(due, improve, wait, state.actor, state.log_alpha)
    metrics |= zip(("actor_loss", "temperature_loss", "entropy", "actor_gradient_norm"), scalars, strict=True)
    metrics["temperature"] = jnp.exp(log_alpha.params)

    moved = usable & ((state.step + 1) % config.target_period == 0)
    target_params = gradient.keep_unless(
        moved, update_target(critic.params, state.target, config.tau), state.target
    )
    skipped = jnp.where(usable, 0, 1)
    state = TrainState(
        critic=critic,
        actor=actor,
        log_alpha=log_alpha,
        target=target_params,
        step=state.step + 1,
        skipped=state.skipped + skipped,
        skipped_in_a_row=(state.skipped_in_a_row + 1) * skipped,
        key=key,
    )
    return state, metrics | {"skipped": state.skipped, "skipped_in_a_row": state.skipped_in_a_row}


def _target(state, batch, next_image, alpha, networks, config, action_key, subset_key) -> jax.Array:
    """y of eq. 2, [B]; a' from the current encoder and actor, Q' from the target's."""
    next_z = networks.encoder.apply({"params": state.critic.params["encoder"]}, next_image)
    mean, log_std = networks.actor.apply({"params": state.actor.params}, next_z, batch.next_proprioception)
    next_action, next_log_prob = sample_tanh_gaussian(action_key, mean, log_std)
    next_q = encode_and_value(networks, state.target, next_image, batch.next_proprioception, next_action)
    if config.q_subset:
        next_q = random_subset(subset_key, next_q, config.q_subset)
    return bellman_target(next_q, next_log_prob, alpha, batch.reward, batch.discount)
