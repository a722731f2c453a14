"""`python -m jsac_ros.dashboard.saliency_child RUN` repeatedly computes the critic's saliency for the newest step of a run.

It is a separate process of the lowest priority, which the dashboard starts on request, because JAX and a learner's state would
burden the dashboard's own. It reads the newest checkpoint and the replay store and communicates with no other process.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import cv2
import numpy as np

from jsac_ros import agent as agents
from jsac_ros import documents
from jsac_ros.config import ConfigError
from jsac_ros.dashboard.saliency import HEAT, write
from jsac_ros.parameters import load
from jsac_ros.replay.episodes import Episodes
from jsac_ros.rig import read_spaces
from jsac_ros.types import Arrays

if TYPE_CHECKING:
    from jsac_ros.agent.agent import TrainState

PERIOD_S = 1.0
_SHARE = 0.25  # of one core, at most
_OPAQUE = 0.8  # opacity at the largest saliency
_PR_SET_PDEATHSIG = 1


class Looks:
    """Saliency of the newest steps of one run with its newest checkpoint. Imports JAX."""

    def __init__(self, folder: Path):
        from jsac_ros.agent.saliency import make_saliency

        config = load(folder / "config.yaml")
        self._agent = agents.build(config.agent, read_spaces(folder))
        self._saliency = make_saliency(self._agent)
        self._checkpoints = folder / "checkpoints"
        self._store = Path(config.replay.folder or folder / "replay").expanduser()
        self._step, self._number = -1, -1  # updates of the checkpoint, number of the stored step
        self._state: TrainState | None = None

    def again(self) -> tuple[str, Arrays]:
        """A line of text, and {image: float32 [H, W] in [0, 1]}, which is empty if there is no new step."""
        if not self._agent.spaces.images:
            return "The observation has no images.", {}
        if not self._restored():
            return "Waiting for the first checkpoint of this run.", {}
        try:
            newest = Episodes(self._store).newest_observation()
        except (ConfigError, OSError):
            newest = None
        if newest is None or newest[0] == self._number:
            return "Waiting for a new step in the store.", {}
        self._number, observation = newest
        return f"From the checkpoint after {self._step} updates.", self._saliency(self._state, observation)

    def _restored(self) -> bool:
        """Restores the newest checkpoint; returns whether there is a state."""
        from jsac_ros.agent.checkpoint import CheckpointError, Checkpoints

        newest = max((int(path.name) for path in self._checkpoints.glob("*") if path.name.isdigit()), default=-1)
        if newest > self._step:
            try:
                with Checkpoints(self._checkpoints, self._agent, read_only=True) as checkpoints:
                    self._state, self._step = checkpoints.restore(newest)[0], newest
            except (CheckpointError, OSError):  # the learner has removed it meanwhile
                pass
        return self._state is not None


def painted(heat: np.ndarray) -> bytes:
    """float32 [H, W] in [0, 1] -> PNG: from red to yellow, more opaque for larger values."""
    layers = np.zeros((*heat.shape, 4), np.float32)  # blue, green, red, opacity
    layers[..., 1], layers[..., 2], layers[..., 3] = 255 * heat, 255, 255 * _OPAQUE * heat
    return cv2.imencode(".png", layers.round().astype(np.uint8))[1].tobytes()


def main(folder: Path, pipe: BinaryIO) -> None:
    def say(text: str) -> None:
        write(pipe, json.dumps({"text": text}).encode() + b"\0")

    try:
        looks = Looks(folder)
    except (ConfigError, ImportError) as error:
        return say(documents.one_line(error))
    while True:
        began_s, used_s = time.monotonic(), time.process_time()
        text, heats = looks.again()
        say(text)
        for name, heat in heats.items():
            write(pipe, json.dumps({"image": name + HEAT}).encode() + b"\0" + painted(heat))
        turn_s = max(PERIOD_S, (time.process_time() - used_s) / _SHARE)
        time.sleep(max(0.0, turn_s - (time.monotonic() - began_s)))


if __name__ == "__main__":
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.nice(19)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # keeps output of libraries off the pipe
    main(Path(sys.argv[1]), stdout)
