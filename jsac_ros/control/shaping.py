"""From a policy's action to a velocity command and back (the notebook's ActionNormalizer, and its table for DQN)."""

from __future__ import annotations

import numpy as np

from jsac_ros.config import ConfigError, TaskConfig


class ActionShaper:
    """velocity = offset + scale * action for the controlled joints, 0 for the others."""

    def __init__(self, task: TaskConfig):
        n = task.controlled_joints
        self.scale = _one_each("task.action_scale", task.action_scale, n)
        self.offset = _one_each("task.action_offset", task.action_offset, n)
        if not np.all(self.scale > 0):
            raise ConfigError(f"task.action_scale is {list(task.action_scale)}; expected more than 0")
        self.table = _table(task.action_table, n)  # float64 [choices, n], or None

    def velocity(self, action: np.ndarray, joints: int) -> np.ndarray:
        """action: [A] in [-1, 1], or [1] holding the number of a choice -> float64 [joints], rad/s (m/s for a base).

        What lies outside [-1, 1] is clipped; NaN passes, and safety refuses it by name.
        """
        if self.table is not None:
            action = self.table[int(action[0])]
        velocity = np.zeros(joints)
        velocity[: len(self.scale)] = self.offset + self.scale * np.clip(action, -1.0, 1.0)
        return velocity

    def action(self, velocity: np.ndarray) -> np.ndarray:
        """Inverse, for what safety let through and for a person's commands: float64 [>= A] -> float32 [A].

        With a table: the number of the nearest choice, as float32 [1].
        """
        unit = np.clip((np.asarray(velocity)[: len(self.scale)] - self.offset) / self.scale, -1.0, 1.0)
        if self.table is None:
            return unit.astype(np.float32)
        nearest = np.argmin(np.square(self.table - unit).sum(axis=1))
        return np.array([nearest], np.float32)


def _one_each(name: str, values: tuple[float, ...], n: int) -> np.ndarray:
    if len(values) not in (1, n):
        raise ConfigError(f"{name} has {len(values)} values; expected 1 or task.controlled_joints = {n}")
    return np.broadcast_to(np.asarray(values, np.float64), n).copy()


def _table(values: tuple[float, ...], n: int) -> np.ndarray | None:
    if not values:
        return None
    if len(values) % n or len(values) == n:
        raise ConfigError(f"task.action_table has {len(values)} values; expected two rows or more of {n}")
    table = np.asarray(values, np.float64).reshape(-1, n)
    if np.abs(table).max() > 1:
        raise ConfigError(f"task.action_table holds {np.abs(table).max():g}; expected values in [-1, 1]")
    return table
