"""Demonstrations of a scripted expert, recorded before a training into a store from which half of every batch comes."""

from __future__ import annotations

from pathlib import Path

from jsac_ros.config import ConfigError
from jsac_ros.replay.store import FrameStore
from jsac_ros.spaces import Spaces
from jsac_ros.training.episodic import EpisodicEnvironment
from jsac_ros.types import Transition

_TRIES = 3  # episodes for each that succeeds


def record(environment: EpisodicEnvironment, count: int, folder: Path, spaces: Spaces) -> int:
    """Writes `count` episodes in which the expert succeeds; returns their number of steps.

    Raises ConfigError if there is no expert, or it fails too often.
    """
    shown: list[Transition] = []
    steps = succeeded = 0
    for _ in range(_TRIES * count):
        episode = environment.demonstration()
        if environment.success:
            shown += episode
            steps, succeeded = steps + environment.length, succeeded + 1
        if succeeded == count:
            break
    else:
        raise ConfigError(f"train.demonstrations is {count}; the expert succeeded in {succeeded} of {_TRIES * count} episodes")
    store = FrameStore.open(folder, spaces, max(len(shown), spaces.stack + 2))
    for transition in shown:
        store.append(transition)
    store.close()
    return steps
