"""Placement of state and batches: on one device, or the state on each of several and a share of every batch on each."""

from __future__ import annotations

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jsac_ros.agent.agent import TrainState
from jsac_ros.types import Batch


class Devices:
    """The first `count` devices of this process. With one, arrays go to JAX's default device, uncommitted."""

    def __init__(self, count: int = 1):
        """Raises ValueError if there are fewer."""
        available = jax.local_devices()
        if count > len(available):
            raise ValueError(f"learner.devices is {count}; expected at most {len(available)} on this machine")
        self.count = count
        self.state = self._batch = None
        if count > 1:
            mesh = Mesh(np.array(available[:count]), ("batch",))
            self.state, self._batch = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("batch"))

    def put_state(self, state: TrainState) -> TrainState:
        return jax.device_put(state, self.state)

    def put_batch(self, batch: Batch) -> Batch:
        """Returns immediately and copies in the background; on a CPU the arrays are read in place.

        Raises ValueError if the batch cannot be divided equally.
        """
        if len(batch.reward) % self.count:
            raise ValueError(f"replay.batch_size is {len(batch.reward)}; expected a multiple of learner.devices {self.count}")
        if self.count == 1 and jax.default_backend() == "cpu":
            return batch  # the update takes NumPy arrays directly; jax.device_put of each takes milliseconds
        return jax.device_put(batch, self._batch)
