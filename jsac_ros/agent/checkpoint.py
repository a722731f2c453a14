"""Checkpoints of all that learns, with Orbax: written in the background, atomic, a bounded number kept.

A checkpoint is a folder named by its step that holds `state` (the arrays of a TrainState) and `about` (JSON: format
version, shapes of every array, configuration, and the counters of whoever saved it, such as the replay's place).
It is renamed into place when complete, so what is listed is whole; leftovers of a killed writer are removed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from jsac_ros.agent.state import TrainState, create
from jsac_ros.config import AgentConfig
from jsac_ros.types import Spec

FORMAT = 1


class CheckpointError(ValueError):
    """One line that names the checkpoint, what it holds and what was expected."""


class Checkpoints:
    """The checkpoints of one run. Close it: the last write may still be under way."""

    def __init__(self, folder: str | Path, config: AgentConfig, spec: Spec, keep: int = 3):
        self._config, self._spec = config, spec
        self._folder = Path(folder).resolve()
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True, cleanup_tmp_directories=True)
        self._manager = ocp.CheckpointManager(self._folder, options=options)

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def save(self, state: TrainState, counters: dict[str, Any]) -> None:
        """Copies the state to the host, then writes it in the background; waits for a write still under way.

        counters: JSON values, given back by `restore`. Saving a step that is already there does nothing.
        """
        step = int(state.step)
        if step == self.latest():
            return
        # A copy of our own: the next update gives the state's buffers away while Orbax still writes.
        host = jax.tree.map(np.array, state)
        about = {
            "format": FORMAT,
            "arrays": _arrays(host),
            "spec": self._spec._asdict(),
            "agent": self._config.model_dump(mode="json"),
            "counters": counters,
        }
        items = {"state": ocp.args.StandardSave(host), "about": ocp.args.JsonSave(about)}
        self._manager.save(step, args=ocp.args.Composite(**items))

    def latest(self) -> int | None:
        """The newest whole checkpoint's step; None where there is none."""
        return self._manager.latest_step()

    def restore(self, step: int | None = None) -> tuple[TrainState, dict[str, Any]]:
        """The state, to the bit, and the counters, of the newest checkpoint or of `step`.

        Raises CheckpointError where there is none, its format is another one, or its arrays have other shapes.
        """
        step = self.latest() if step is None else step
        if step is None:
            raise CheckpointError(f"checkpoint {self._folder}: none there; expected at least one")
        about = self._read(step, about=ocp.args.JsonRestore())["about"]
        if about.get("format") != FORMAT:
            raise CheckpointError(f"checkpoint {self._folder}/{step}: format {about.get('format')}; expected {FORMAT}")
        template = jax.eval_shape(lambda: create(self._config, self._spec, 0))
        self._refuse_other_arrays(step, about["arrays"], _arrays(template))
        template = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), template)
        state = self._read(step, state=ocp.args.StandardRestore(template))["state"]
        # Not committed to a device, as a fresh state is not, or the update would be compiled again.
        return jax.tree.map(jnp.asarray, state), about["counters"]

    def close(self) -> None:
        """Waits until everything is written."""
        self._manager.wait_until_finished()
        self._manager.close()

    def _read(self, step: int, **items):
        try:
            return self._manager.restore(step, args=ocp.args.Composite(**items))
        except (FileNotFoundError, KeyError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"checkpoint {self._folder}/{step}: cannot be read: {reason[:200]}") from error

    def _refuse_other_arrays(self, step: int, found: dict[str, str], expected: dict[str, str]) -> None:
        for name in [*expected, *found]:
            if found.get(name) != expected.get(name):
                raise CheckpointError(
                    f"checkpoint {self._folder}/{step}: {name} is {found.get(name, 'missing')}; "
                    f"expected {expected.get(name, 'no such array')}"
                )


def _arrays(state) -> dict[str, str]:
    """Path of every array -> "dtype[shape]"."""
    return {
        jax.tree_util.keystr(path).lstrip("."): f"{leaf.dtype}{list(leaf.shape)}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    }
