"""How batches are drawn: uniform or prioritised, with a share of demonstrations where there are any."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jsac_ros.config import ReplayConfig
from jsac_ros.replay.format import StoreError
from jsac_ros.replay.priorities import Priorities
from jsac_ros.replay.ring import Returned
from jsac_ros.replay.store import FrameStore
from jsac_ros.types import Batch


class Sampler:
    """Fills batches from a store that grows and, where `replay.demonstrations` names one, from a store that does not.

    Rows of the demonstrations have a negative `index`, so that no TD error is mistaken for one of a row of ours.
    """

    def __init__(self, config: ReplayConfig, store: FrameStore, n_step: int, discount: float):
        self._store, self._n_step, self._discount = store, n_step, discount
        self._priorities = (
            Priorities(store, config.priority_alpha, config.priority_beta, config.priority_beta_steps)
            if config.sampler == "prioritised"
            else None
        )
        self._demonstrations = _open_demonstrations(config.demonstrations, store)
        self._demonstration_count = (
            round(config.demonstration_share * config.batch_size) if self._demonstrations is not None else 0
        )

    def sample_into(self, rng: np.random.Generator, batch: Batch) -> bool:
        """Fills `batch` in place. False when nothing can be sampled yet."""
        count = self._demonstration_count
        if count:
            demonstrated = Batch(*(field[:count] for field in batch))
            self._demonstrations.sample_into(rng, demonstrated, self._n_step, self._discount)
            np.negative(demonstrated.index, out=demonstrated.index)
        if count == len(batch.index):
            return True
        draw = self._priorities.draw if self._priorities else None
        ours = Batch(*(field[count:] for field in batch))
        return self._store.sample_into(rng, ours, self._n_step, self._discount, draw)

    def feedback(self, returned: Returned) -> None:
        """Takes the TD errors that came back with a slot."""
        if self._priorities:
            self._priorities.feedback(returned.index, returned.td_error)


def _open_demonstrations(folder: str, store: FrameStore) -> FrameStore | None:
    """Raises StoreError where it cannot be sampled or its shapes differ from ours."""
    if not folder:
        return None
    demonstrations = FrameStore.read(Path(folder).expanduser())
    if demonstrations.spec != store.spec:
        raise StoreError(f"replay.demonstrations {folder}: holds {demonstrations.spec}; expected {store.spec}")
    if not demonstrations.valid_count:
        raise StoreError(f"replay.demonstrations {folder}: no transition in it can be sampled; expected some")
    return demonstrations
