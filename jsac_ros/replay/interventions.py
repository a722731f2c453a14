"""Transitions in which a person acted, in a separate store that is part of every batch's share of demonstrations.

The store is the folder `interventions` in the run's store: it is copied and resumed with it. It is
written first, so an acknowledged transition is in both. It holds each step that a person chose as it was sent, with the frames
of the stack before it and the observation after it; only steps that a person chose are sampled. A run in which no person
acts has no such store.
"""

from __future__ import annotations

import numpy as np

from jsac_ros.replay import format as files
from jsac_ros.replay.format import StoreError
from jsac_ros.replay.index import NONE
from jsac_ros.replay.store import FrameStore
from jsac_ros.types import Batch, Transition

FOLDER = "interventions"


class Interventions:
    """One writer (`add`) and one sampler (`sample_into`) may run in two threads."""

    def __init__(self, store: FrameStore, capacity: int):
        """store: the run's store; capacity: rows, including those for stacks and closing observations.

        Raises StoreError if an existing store cannot be continued."""
        self._store, self._capacity = store, capacity
        self._folder = store.folder / FOLDER
        self._kept: FrameStore | None = None
        self.count = 0  # that can be sampled
        if (self._folder / files.HEADER).exists():
            self._open()

    def _open(self) -> FrameStore:
        self._kept = FrameStore.open(self._folder, self._store.spaces, self._capacity)
        self.count = len(self._chosen())
        return self._kept

    def add(self, transition: Transition) -> None:
        """Stores a transition that a person chose, or that follows such a step, before it goes to the run's store.

        One that is stored already is skipped. Raises ValueError and OSError as `FrameStore.append` does, OSError also if
        the store cannot be created.
        """
        kept = self._kept
        if kept is None:
            if not transition.intervened:
                return
            try:
                kept = self._open()
            except StoreError as error:
                raise OSError(None, str(error)) from None
        newest = kept.newest_of(transition)
        closes = kept.previous_of(transition) != NONE and bool(kept.rows["intervened"][newest.slot])
        if not (transition.intervened or closes):
            return
        before = self._stack_before(transition) if transition.intervened else []
        for one in (*before, transition):
            if newest is None or one.sequence > newest.sequence:
                kept.append(one)
        self.count = len(self._chosen())

    def _stack_before(self, transition: Transition) -> list[Transition]:
        """The earlier rows that the stack of its observation needs, oldest first, as far as the run's store has them."""
        found: list[Transition] = []
        slot = self._store.previous_of(transition)
        while slot != NONE and len(found) < self._store.spaces.stack - 1:
            try:
                found.insert(0, self._store.transition(slot))
            except StoreError:  # damaged: the step is stored but cannot be sampled
                break
            slot = self._store.links.previous[slot]
        return found

    def _chosen(self) -> np.ndarray:
        """Slots that can be sampled and that a person chose, int64 [N]; the caller is the writer or excludes it."""
        slots = self._kept.links.valid.slots
        return slots[self._kept.rows["intervened"][slots]]

    def sample_into(self, rng: np.random.Generator, batch: Batch, n_step: int, gamma: float) -> bool:
        """Fills `batch` in place with a draw, with replacement. False when nothing can be sampled."""
        if not self.count:
            return False

        def draw(rng: np.random.Generator, size: int) -> tuple[np.ndarray, float]:
            slots = self._chosen()
            return slots[rng.integers(len(slots), size=size)], 1.0

        return self._kept.sample_into(rng, batch, n_step, gamma, draw)

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
