"""The update that all algorithms share: batch check, stacks, DrQ shifts, the algorithm's `learn`, target and counters."""

from __future__ import annotations

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jsac_ros.agent.agent import Agent, Metrics, Sample, TrainState
from jsac_ros.agent.augment import shift_images
from jsac_ros.agent.devices import Devices
from jsac_ros.agent.gradient import select
from jsac_ros.agent.observation import Inputs, joined, observations_of
from jsac_ros.agent.target import update_target
from jsac_ros.spaces import Spaces
from jsac_ros.types import Batch, batch_layout, empty_batch

Update = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def make_update(agent: Agent, devices: Devices | None = None) -> Update:
    """The compiled `update(state, batch) -> (state, metrics)`. The input state is donated.

    devices: placement of state and batches; the output state has that of the input.
    metrics: float32 scalars, and "td_error" float32 [B], |Q - y| averaged over the ensemble.
    Calling it raises ValueError if the batch differs from `batch_layout` in dtype, rank or size.
    """
    shardings = (devices.state, None) if devices and devices.state else None
    return jax.jit(_update_of(agent), donate_argnums=0, out_shardings=shardings)


def make_updates(agent: Agent) -> Update:
    """As `make_update`, but for n batches in one call, stacked along a new first axis, as are the metrics.

    One `lax.scan`: useful if an update is shorter than its dispatch, as on a GPU.
    """
    return jax.jit(lambda state, batches: jax.lax.scan(_update_of(agent), state, batches), donate_argnums=0)


def compile_update(update: Update, state: TrainState, agent: Agent, batch_size: int, devices: Devices) -> float:
    """Compiles for the one shape in use, on a copy of the state that is then discarded; returns seconds."""
    began = time.monotonic()
    batch = devices.put_batch(empty_batch(agent.spaces, batch_size, agent.parameters.n_step))
    jax.block_until_ready(update(jax.tree.map(jnp.copy, state), batch))
    return time.monotonic() - began


def check_batch(batch: Batch, spaces: Spaces, n_step: int) -> None:
    """Raises ValueError naming the field, its value and what was expected. Costs nothing once compiled."""
    fields, layout = batch.fields, batch_layout(spaces, len(batch.reward), n_step)
    for path in [*layout, *fields]:
        if path == "index":  # stays on the host
            continue
        if path not in layout or path not in fields:
            state = "unknown" if path in fields else "missing"
            raise ValueError(f"batch.{path} is {state}; expected {', '.join(layout)}")
        (shape, dtype), found = layout[path], fields[path]
        if found.shape != shape or found.dtype != dtype:
            raise ValueError(f"batch.{path} is {found.dtype}{list(found.shape)}; expected {dtype}{list(shape)}")


def _update_of(agent: Agent) -> Update:
    p = agent.parameters

    def update(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_batch(batch, agent.spaces, p.n_step)
        key, shift_key, next_shift_key, learn_key = jax.random.split(state.key, 4)
        sample = sample_of(agent, batch, shift_key, next_shift_key)
        state, outcome = agent.learn(state, sample, learn_key)

        due = outcome.is_finite & ((state.step + 1) % p.target_period == 0)
        moved = update_target(state.params[agent.followed], state.target, p.tau)
        skipped = jnp.where(outcome.is_finite, 0, 1)
        state = state.replace(
            target=select(due, moved, state.target),
            step=state.step + 1,
            skipped=state.skipped + skipped,
            skipped_in_a_row=(state.skipped_in_a_row + 1) * skipped,
            key=key,
        )
        counters = {"skipped": state.skipped, "skipped_in_a_row": state.skipped_in_a_row}
        return state, outcome.metrics | counters | {"td_error": outcome.td_error}

    return update


def sample_of(agent: Agent, batch: Batch, shift_key: jax.Array, next_shift_key: jax.Array) -> Sample:
    """Shifted stacks of frames, and the concatenated parts of vectors and action."""
    p, spaces = agent.parameters, agent.spaces

    def shifted(key: jax.Array, inputs: Inputs) -> Inputs:
        return inputs._replace(images=shift_images(key, inputs.images, p.shift_pad, p.encoder == "joined"))

    observation, next_observation = observations_of(spaces, batch)
    return Sample(
        shifted(shift_key, observation),
        joined([batch.action[part.name] for part in spaces.actions], batch.action),
        batch.reward,
        batch.discount,
        batch.weight,
        shifted(next_shift_key, next_observation),
    )
