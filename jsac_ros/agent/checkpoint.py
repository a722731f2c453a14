"""Checkpoints of all that learns, with Orbax: written in the background, atomic, limited in number.

A checkpoint is a folder named by its step that holds `state` (the arrays of a TrainState) and `about` (JSON: format
version, shapes of every array, spaces, parameters, and counters of the process that saved it, such as the position in replay).
It is renamed into place when complete, so every listed checkpoint is complete; leftovers of a killed writer are removed.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from jsac_ros import documents
from jsac_ros.agent import checkpoint_files
from jsac_ros.agent.agent import Agent, TrainState
from jsac_ros.agent.checkpoint_files import FORMAT, CheckpointError

logging.getLogger("absl").setLevel(logging.CRITICAL)  # a failed write logs several tracebacks there, and one line here


class Checkpoints:
    """The checkpoints of one run. Close it: the last write may be in progress. A failed write damages no complete one."""

    def __init__(self, folder: str | Path, agent: Agent, keep: int | None = 3, read_only: bool = False):
        """keep: how many; None: all. read_only: nothing is written or cleared away, as a learner may be writing here."""
        self._agent = agent
        self._folder = Path(folder).resolve()
        self._failed = False  # a write
        if read_only:
            options = ocp.CheckpointManagerOptions(read_only=True, create=False)
        else:
            options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True, cleanup_tmp_directories=True)
        self._manager = ocp.CheckpointManager(self._folder, options=options)

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def save(self, state: TrainState, counters: dict[str, Any]) -> None:
        """Copies the state to the host, then writes it in the background; waits for a write in progress.

        counters: JSON values, given back by `restore`. Saving an existing step does nothing. Raises
        CheckpointError if this write cannot start, or if the previous one failed in the background; this one has then started.
        """
        failure = None
        try:
            with self._written():
                self._manager.wait_until_finished()
        except CheckpointError as error:
            failure = error
        step = int(state.step)
        if step != self.latest():
            # A copy: the next update donates the state's buffers while Orbax still writes.
            host = jax.tree.map(np.array, state)
            about = {
                "format": FORMAT,
                "arrays": _arrays(host),
                "spaces": self._agent.spaces.to_json(),
                "agent": self._agent.parameters.model_dump(mode="json"),
                "counters": counters,
            }
            items = {"state": ocp.args.StandardSave(host), "about": ocp.args.JsonSave(about)}
            with self._written():
                self._manager.save(step, args=ocp.args.Composite(**items))
        if failure:
            raise failure

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever Orbax, its threads and the file system raise
            self._failed = True
            self._manager.reload()  # it counts the checkpoints that it started
            self._clear()
            raise CheckpointError(f"checkpoint {self._folder}: cannot be written: {documents.one_line(error)}") from error

    def latest(self) -> int | None:
        """The step of the newest complete checkpoint; None if there is none."""
        return checkpoint_files.latest(self._folder)

    def restore(self, step: int | None = None) -> tuple[TrainState, dict[str, Any]]:
        """The exact state and the counters of the newest checkpoint or of `step`.

        Raises CheckpointError if there is none, or its format, algorithm, parts or shapes differ.
        """
        step = self.latest() if step is None else step
        if step is None:
            raise CheckpointError(f"checkpoint {self._folder}: none there; expected at least one")
        about = self._read(step, about=ocp.args.JsonRestore())["about"]
        where, template = f"{self._folder}/{step}", self._agent.template
        checkpoint_files.check(where, about, self._agent.parameters.type, self._agent.spaces)
        found, expected = ({f"{name} is": kind for name, kind in a.items()} for a in (about["arrays"], _arrays(template)))
        checkpoint_files.refuse_others(where, found, expected)
        template = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), template)
        state = self._read(step, state=ocp.args.StandardRestore(template))["state"]
        # Not committed to a device, like a fresh state; else the update would be compiled again.
        return jax.tree.map(jnp.asarray, state), about["counters"]

    def close(self) -> None:
        """Waits until everything is written. Raises CheckpointError if a write failed."""
        try:
            with self._written():
                self._manager.wait_until_finished()
        finally:
            self._manager.close()
            if self._failed:  # written by its other threads since
                self._clear()

    def _clear(self) -> None:
        """Removes the leftovers of failed writes, which may fill the disk."""
        for leftover in self._folder.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _read(self, step: int, **items):
        try:
            return self._manager.restore(step, args=ocp.args.Composite(**items))
        except (FileNotFoundError, KeyError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"checkpoint {self._folder}/{step}: cannot be read: {reason[:200]}") from error


def _arrays(state) -> dict[str, str]:
    """Path of every array -> "dtype[shape]"."""
    return {
        jax.tree_util.keystr(path).lstrip("."): f"{leaf.dtype}{list(leaf.shape)}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    }
