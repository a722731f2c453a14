"""A replay buffer as a pytree of arrays, for use inside the compiled training loop.

Sampling is uniform or prioritised (Schaul et al., 2016). The store of the live system (`jsac_ros.replay`) keeps frames on
disk and serves another process, so it cannot run inside a compiled loop. Axes: N capacity, E environments, B batch,
V values of the observation, A values of the action.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jsac_ros.config import ReplayConfig
from jsac_ros.spaces import Spaces
from jsac_ros.types import Batch

COLUMNS = 64  # priorities are kept in rows of this length: a draw finds the row by the row sums, then reads only that row
PRIORITY_FLOOR = 1e-3  # added to |TD error|, so that a transition with no error is still sampled occasionally


class Buffer(NamedTuple):
    """One row is one transition: observation, action, reward, mask, next observation."""

    rows: jax.Array  # float32 [N, V + A + 2 + V]
    added: jax.Array  # int32 [], transitions added so far, overwritten ones included
    priority: jax.Array  # float32 [N / COLUMNS, COLUMNS], (|TD error| + floor)^alpha; [0, 0] if sampling is uniform
    priority_sum: jax.Array  # float32 [N / COLUMNS], sum of each row
    priority_max: jax.Array  # float32 [], largest priority so far; a new transition starts with it


def create(config: ReplayConfig, spaces: Spaces, environments: int) -> Buffer:
    """An empty buffer. Raises ValueError if the capacity is not a multiple of `environments` and of COLUMNS."""
    unit = COLUMNS if config.sampler == "prioritised" else 1
    if config.capacity % environments or config.capacity % unit:
        raise ValueError(
            f"replay.capacity is {config.capacity}; expected a multiple of {environments} environments and of {unit}"
        )
    columns = COLUMNS if config.sampler == "prioritised" else 0
    lines = config.capacity // COLUMNS if columns else 0
    return Buffer(
        rows=jnp.zeros((config.capacity, 2 * spaces.vector_size + spaces.action_size + 2)),
        added=jnp.int32(0),
        priority=jnp.zeros((lines, columns)),
        priority_sum=jnp.zeros(lines),
        priority_max=jnp.float32(1.0),
    )


def add(buffer: Buffer, observation, action, reward, mask, next_observation) -> Buffer:
    """Adds E transitions; a full buffer overwrites its oldest ones.

    observation, next_observation: float32 [E, V]; action: [E, A]; reward, mask: [E]; mask is 0 at a terminal state.
    """
    rows = jnp.concatenate([observation, action, reward[:, None], mask[:, None], next_observation], axis=1)
    at = buffer.added % len(buffer.rows)
    index = at + jnp.arange(len(rows))
    buffer = buffer._replace(rows=jax.lax.dynamic_update_slice(buffer.rows, rows, (at, 0)), added=buffer.added + len(rows))
    if buffer.priority.size == 0:
        return buffer
    return _set_priority(buffer, index, jnp.full(len(rows), buffer.priority_max))


def sample(buffer: Buffer, key: jax.Array, config: ReplayConfig, spaces: Spaces, discount: float, drawn: jax.Array) -> Batch:
    """A batch of stored transitions. drawn: int32 [], batches sampled before; beta grows to 1 with it."""
    filled = jnp.minimum(buffer.added, len(buffer.rows))
    if buffer.priority.size:
        beta = jnp.minimum(1.0, config.priority_beta + (1.0 - config.priority_beta) * drawn / config.priority_beta_steps)
        index, weight = _draw_by_priority(buffer, key, config.batch_size, filled, beta)
    else:
        index = jnp.floor(jax.random.uniform(key, (config.batch_size,)) * filled).astype(jnp.int32)
        weight = jnp.ones(config.batch_size)
    v, a = spaces.vector_size, spaces.action_size
    observation, action, reward, mask, next_observation = jnp.split(
        buffer.rows[index], [v, v + a, v + a + 1, v + a + 2], axis=1
    )
    (vector,) = spaces.vectors
    return Batch(
        frames={},
        vectors={vector.name: observation},
        next_vectors={vector.name: next_observation},
        action=spaces.split_action(action),
        reward=reward[:, 0],
        discount=discount * mask[:, 0],
        weight=weight,
        index=index,
    )


def learned(buffer: Buffer, index: jax.Array, td_error: jax.Array, alpha: float) -> Buffer:
    """Gives the transitions of a batch the priorities of their new TD errors. index, td_error: [B]."""
    if buffer.priority.size == 0:
        return buffer
    return _set_priority(buffer, index, (jnp.abs(td_error) + PRIORITY_FLOOR) ** alpha)


def _set_priority(buffer: Buffer, index: jax.Array, priority: jax.Array) -> Buffer:
    """Recomputes the sums of the changed rows, so that rounding errors do not accumulate."""
    row, column = index // COLUMNS, index % COLUMNS
    priorities = buffer.priority.at[row, column].set(priority)
    return buffer._replace(
        priority=priorities,
        priority_sum=buffer.priority_sum.at[row].set(priorities[row].sum(axis=1)),
        priority_max=jnp.maximum(buffer.priority_max, priority.max()),
    )


def _draw_by_priority(buffer: Buffer, key, size: int, filled, beta) -> tuple[jax.Array, jax.Array]:
    """index: int32 [B], sampled with P(i) = p_i / sum p, one from each of B equal parts of the sum (stratified).

    weight: [B], importance weights (1 / (filled P(i)))^beta, divided by the largest of the batch.
    """
    ends = jnp.cumsum(buffer.priority_sum)
    point = (jnp.arange(size) + jax.random.uniform(key, (size,))) / size * ends[-1]
    row = jnp.minimum(jnp.searchsorted(ends, point, side="right"), len(ends) - 1)
    inside = point - (ends[row] - buffer.priority_sum[row])
    column = jnp.sum(jnp.cumsum(buffer.priority[row], axis=1) <= inside[:, None], axis=1)
    index = jnp.minimum(row * COLUMNS + jnp.minimum(column, COLUMNS - 1), filled - 1)
    share = buffer.priority.reshape(-1)[index] / ends[-1]
    weight = (filled * share) ** -beta
    return index, weight / weight.max()
