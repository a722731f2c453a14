"""How batches are drawn: uniform or prioritised, with a share of demonstrations if there are any."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jsac_ros.config import ReplayConfig
from jsac_ros.replay.format import StoreError
from jsac_ros.replay.interventions import Interventions
from jsac_ros.replay.priorities import Priorities
from jsac_ros.replay.ring import Returned
from jsac_ros.replay.store import FrameStore
from jsac_ros.spaces import Spaces
from jsac_ros.types import Batch


class Sampler:
    """Fills batches from a store, with a share from demonstrations and interventions if there are any;
    each of their steps is equally likely.

    All stores may grow meanwhile. While no demonstration or intervention can be sampled, the whole batch comes from the
    run's store. Rows of demonstrations and interventions have a negative `index`, so their TD errors are not assigned to
    rows of the run's store.
    """

    def __init__(
        self, config: ReplayConfig, store: FrameStore, n_step: int, discount: float,
        demonstrations: FrameStore | None = None, interventions: Interventions | None = None,
    ):  # fmt: skip
        self._store, self._n_step, self._discount = store, n_step, discount
        self._demonstrations, self._interventions = demonstrations, interventions
        self._demonstrated = round(config.demonstration_share * config.batch_size)
        self._priorities = (
            Priorities(store, config.priority_alpha, config.priority_beta, config.priority_beta_steps)
            if config.sampler == "prioritised"
            else None
        )

    def sample_into(self, rng: np.random.Generator, batch: Batch) -> bool:
        """Fills `batch` in place. False if nothing can be sampled yet."""
        batch = self._fill_share(rng, batch)
        if not len(batch.index):
            return True
        draw = self._priorities.draw if self._priorities else None
        return self._store.sample_into(rng, batch, self._n_step, self._discount, draw)

    def _fill_share(self, rng: np.random.Generator, batch: Batch) -> Batch:
        """Fills the first samples from demonstrations and interventions; returns the remaining part of the batch."""
        shown = self._demonstrations.valid_count if self._demonstrations else 0
        helped = self._interventions.count if self._interventions else 0
        if not (self._demonstrated and shown + helped):
            return batch
        begin, middle = 0, int(rng.binomial(self._demonstrated, helped / (shown + helped)))
        for source, end in ((self._interventions, middle), (self._demonstrations, self._demonstrated)):
            if end > begin:
                part = batch.rows(slice(begin, end))
                if not source.sample_into(rng, part, self._n_step, self._discount):
                    break
                np.negative(part.index, out=part.index)
                begin = end
        return batch.rows(slice(begin, None))

    def feedback(self, returned: Returned) -> None:
        """Takes the TD errors that were returned with a slot."""
        if self._priorities:
            self._priorities.feedback(returned.index, returned.td_error)


def open_demonstrations(folder: str, spaces: Spaces) -> FrameStore | None:
    """The store that `replay.demonstrations` names, or None; no process may write to it meanwhile.

    Raises StoreError if it has other parts, is being written to, or has nothing to sample.
    """
    if not folder:
        return None
    demonstrations = FrameStore.read(Path(folder).expanduser(), spaces, exclude_writers=True)
    if not demonstrations.valid_count:
        demonstrations.close()
        raise StoreError(f"replay.demonstrations {folder}: no transition in it can be sampled; expected at least one")
    return demonstrations
