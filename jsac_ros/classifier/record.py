"""Marked episodes from the simulator, to test a classifier without a person: the scripted expert's, and failures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.replay.format import StoreError
from jsac_ros.replay.store import FrameStore
from jsac_ros.rig import Rig
from jsac_ros.training.simulation import Simulation
from jsac_ros.types import Transition

_TRIES = 5  # episodes for each that is kept


def record(config: SystemConfig, successes: int, failures: int, folder: Path, seed: int) -> int:
    """Writes the given number of episodes of each kind to a new store; returns their number of steps.

    Raises ConfigError if there is no expert, the folder exists, or too few episodes succeed or fail.
    """
    if folder.exists():
        raise StoreError(f"{folder}: exists already; expected a new folder")
    simulation, random = Simulation(config, seed), np.random.default_rng(seed)
    kept: list[Transition] = []
    try:
        for wanted, succeeds in ((successes, True), (failures, False)):
            count = 0
            for _ in range(_TRIES * wanted):
                episode = simulation.demonstration() if succeeds else simulation.failure(random)
                if simulation.success == succeeds:
                    kept, count = kept + episode, count + 1
                if count == wanted:
                    break
            if count < wanted:
                what = "succeeded" if succeeds else "failed"
                raise ConfigError(f"{count} of {_TRIES * wanted} episodes {what}; expected {wanted}")
    finally:
        simulation.close()
    spaces = Rig.of(config).spaces
    store = FrameStore.open(folder, spaces, max(len(kept), spaces.stack + 2))
    for transition in kept:
        store.append(transition)
    store.close()
    return len(kept)
