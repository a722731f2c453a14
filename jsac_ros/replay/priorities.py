"""Prioritised sampling (Schaul et al. 2016, proportional).

P(i) = p_i^alpha / sum_k p_k^alpha with p_i = |TD error of i| + epsilon.
"""

from __future__ import annotations

import numpy as np

from jsac_ros.replay import records
from jsac_ros.replay.store import FrameStore

EPSILON = 1e-6  # so that a transition without any TD error is still seen again


class SumTree:
    """Sums over ranges of N non-negative numbers. Parents are recomputed from their children, so they never drift."""

    def __init__(self, size: int):
        self._first = 1 << max(size - 1, 1).bit_length()  # node of leaf 0
        self._nodes = np.zeros(2 * self._first)

    @property
    def total(self) -> float:
        return float(self._nodes[1])

    def leaves(self, slots: np.ndarray) -> np.ndarray:
        return self._nodes[self._first + slots]

    def update(self, slots: np.ndarray, values: np.ndarray) -> None:
        """Sets leaves `slots`, int64 [M], to `values`, float [M]; of equal slots the last one counts."""
        nodes = self._first + slots
        self._nodes[nodes] = values
        while nodes[0] > 1:
            nodes = np.unique(nodes // 2)
            self._nodes[nodes] = self._nodes[2 * nodes] + self._nodes[2 * nodes + 1]

    def find(self, mass: np.ndarray) -> np.ndarray:
        """The leaf in which the running sum of the leaves passes `mass`, float [M] in [0, total): int64 [M].

        Never a leaf of 0, despite rounding at the border of two ranges.
        """
        nodes, mass = np.ones(len(mass), np.int64), mass.copy()
        while nodes[0] < self._first:
            left, right = self._nodes[2 * nodes], self._nodes[2 * nodes + 1]
            goes_right = (mass >= left) & (right > 0)
            mass -= np.where(goes_right, left, 0.0)
            nodes = 2 * nodes + goes_right
        return nodes - self._first


class Priorities:
    """Draws valid rows of a store in proportion to their priorities, which the store keeps on disk.

    Rows that no update has used yet have the largest priority seen so far. Used by the sampler's thread only.
    """

    def __init__(self, store: FrameStore, alpha: float, beta: float, beta_batches: int):
        self._store, self._alpha, self._beta, self._beta_batches = store, alpha, beta, beta_batches
        self._tree = SumTree(store.capacity)
        self._largest = 1.0
        store.links.valid.changed = set(store.links.valid.slots.tolist())

    def draw(self, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Slots, int64 [size], one from each of `size` equal shares of the total, and their importance weights.

        w_i = (N P(i))^-beta, divided by the largest of the batch; float [size]. The store's lock is held.
        """
        self._apply_changes()
        slots = self._tree.find((np.arange(size) + rng.random(size)) * (self._tree.total / size))
        probability = self._tree.leaves(slots) / self._tree.total
        weights = (len(self._store.links.valid) * probability) ** -self._beta_now()
        return slots, weights / weights.max()

    def feedback(self, index: np.ndarray, td_error: np.ndarray) -> None:
        """TD errors of a batch, float32 [B], by its `index`, int64 [B]."""
        self._store.set_priorities(index, np.abs(td_error) + EPSILON)

    def _apply_changes(self) -> None:
        valid = self._store.links.valid
        if not valid.changed:
            return
        slots = np.fromiter(valid.changed, np.int64, len(valid.changed))
        valid.changed.clear()
        priority = records.priorities(self._store.records[slots]).astype(np.float64)
        known = ~np.isnan(priority)
        self._largest = max(self._largest, priority[known].max(initial=0.0))
        values = np.where(known, priority, self._largest) ** self._alpha
        self._tree.update(slots, np.where(valid.contains(slots), values, 0.0))

    def _beta_now(self) -> float:
        """From beta to 1 over the first `beta_batches` batches, linearly (Schaul et al., section 3.4)."""
        share = min(1.0, self._store.counters["batches"] / self._beta_batches)
        return self._beta + (1.0 - self._beta) * share
