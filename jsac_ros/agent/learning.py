"""The learning loop: live from shared memory, one update per environment step, or from recordings.

learner = Learner(agent, agent.init(seed))
learner.compile(batch_size)
learner.learn(batches, give_back=..., after=[every(8, publish)])
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import jax
import numpy as np

from jsac_ros.agent.agent import Agent, Metrics, Params, TrainState
from jsac_ros.agent.devices import Devices
from jsac_ros.agent.policy import flatten
from jsac_ros.agent.update import compile_update, make_update
from jsac_ros.types import Batch

Hook = Callable[["Learner"], None]
GiveBack = Callable[[np.ndarray | None], None]
_END = object()


class NotFinite(ValueError):
    """Too many consecutive updates were not finite."""


class Learner:
    """An agent's state on its devices, its compiled update, and the metrics of the last update."""

    def __init__(self, agent: Agent, state: TrainState, devices: int = 1):
        """Raises ValueError if there are fewer devices."""
        self.agent, self._devices = agent, Devices(devices)
        self.state = self._devices.put_state(state)
        self.updates = int(state.step)
        self.metrics: Metrics = {}  # of the last update, scalars, still on the device
        self.update_s = 0.0  # duration of the last update, without the wait for its batch
        self._update = make_update(agent, self._devices)

    def compile(self, batch_size: int) -> float:
        """Compiles the update; returns seconds. Raises ValueError if the devices cannot share a batch of this size."""
        return compile_update(self._update, self.state, self.agent, batch_size, self._devices)

    def policy_params(self) -> Params:
        """The parameters that acting needs, from the newest state."""
        return self.agent.policy_params(self.state)

    def policy_vector(self) -> np.ndarray:
        """`policy_params` as one float32 vector on the host, as it is published."""
        return np.asarray(flatten(self.policy_params()))

    def loss_of(self, batch: Batch) -> float:
        """The critic's loss on a batch, without learning: it updates a copy that is discarded."""
        copy = jax.tree.map(lambda leaf: leaf.copy(), self.state)
        return float(self._update(copy, self._devices.put_batch(batch))[1]["critic_loss"])

    def learn(
        self,
        batches: Iterable[Batch | None],
        *,
        give_back: GiveBack = lambda td_error: None,
        after: Iterable[Hook] = (),
        on_skipped: Callable[[Batch, np.ndarray], None] = lambda batch, td_error: None,
        max_skipped_updates: int = 100,
    ) -> None:
        """Learns until `batches` is exhausted.

        batches: NumPy batches, or None if none is ready. The next one is requested while the device computes,
            and `batches` should not block then; it may block only after it gave None.
        give_back: called once for each batch, in order, when its memory is no longer read, with its TD errors,
            float32 [B], or None if the update was skipped.
        after: hooks, each called with this learner after every update.
        on_skipped: called with batch and TD errors if an update was not finite and was skipped.

        Raises NotFinite after `max_skipped_updates` skipped updates in a row.
        """
        source, after = iter(batches), tuple(after)
        batch, on_device = self._fetch(source)
        while batch is not _END:
            if batch is None:
                batch, on_device = self._fetch(source)
                continue
            began = time.perf_counter()
            self.state, metrics = self._update(self.state, on_device)  # returns while the device computes
            self.updates += 1
            fetching = time.perf_counter()
            ahead = self._fetch(source)
            began += time.perf_counter() - fetching
            td_error = np.asarray(metrics.pop("td_error"))  # waits for the device
            self.metrics, self.update_s = metrics, time.perf_counter() - began
            skipped = int(metrics["skipped_in_a_row"])
            if skipped:
                on_skipped(batch, td_error)
            rows = batch.index[:4].tolist()  # before its memory is reused
            give_back(None if skipped else td_error)
            for hook in after:
                hook(self)
            if skipped >= max_skipped_updates:
                raise NotFinite(
                    f"{skipped} updates in a row were not finite and learned nothing, the last on rows {rows} and more"
                )
            batch, on_device = ahead

    def _fetch(self, source: Iterator[Batch | None]) -> tuple:
        """(batch, its copy on the way to the device); (None, None) if none is ready, (_END, None) at the end."""
        batch = next(source, _END)
        return (batch, None) if batch is None or batch is _END else (batch, self._devices.put_batch(batch))


def every(updates: int, hook: Hook) -> Hook:
    """A hook that calls `hook` after each `updates`-th update only."""

    def call(learner: Learner) -> None:
        if learner.updates % updates == 0:
            hook(learner)

    return call
