"""Writes recordings to a replay store, from which batches are sampled as from the store of a live run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from jsac_ros.bags.reader import Bag, BagError
from jsac_ros.bags.recorded_run import Remade
from jsac_ros.bags.transitions import open_transitions
from jsac_ros.replay.store import FrameStore
from jsac_ros.rig import Rig
from jsac_ros.types import Transition


class Filled(NamedTuple):
    steps: int
    episodes: int
    refused: int  # transitions that the store rejected: duplicate, not finite or out of order
    held_out: int  # part of `steps` that went to the held-out store


def transitions_to_store(path: str | Path, rig: Rig, relabel: bool) -> Iterator[Transition]:
    """The transitions of one recording. relabel: compute rewards with the configured task instead of using the recorded ones.

    Raises BagError, ConfigError.
    """
    with Bag(path) as bag:
        recording = open_transitions(bag, rig)
        for remade in recording:
            yield _labelled(remade, relabel)
        for line in [*bag.warnings, *(f"bag {bag.path}: {line}" for line in recording.warnings)]:
            print(f"warning: {line}")


def _labelled(remade: Remade, relabel: bool) -> Transition:
    transition, recorded = remade.transition, remade.recorded
    if relabel or recorded is None:
        return transition
    return transition._replace(reward=recorded.reward, mask=recorded.mask, success=recorded.success)


def episodes(transitions: Iterable[Transition]) -> Iterator[list[Transition]]:
    """Groups transitions by episode; the last list may be incomplete."""
    episode: list[Transition] = []
    for transition in transitions:
        if transition.is_first and episode:
            yield episode
            episode = []
        episode.append(transition)
    if episode:
        yield episode


def fill(
    store: FrameStore,
    bags: Iterable[str | Path],
    rig: Rig,
    relabel: bool = False,
    held_out: FrameStore | None = None,
    share: float = 0.0,
) -> Filled:
    """Appends every episode of the recordings; the middle `share` of each goes to `held_out` instead.

    The middle, because start and end of an episode matter most for its return. Raises BagError, ConfigError.
    """
    counts = {"steps": 0, "episodes": 0, "refused": 0, "held_out": 0}
    for path in bags:
        before = counts["steps"]
        for episode in episodes(transitions_to_store(path, rig, relabel)):
            counts["episodes"] += 1
            first = round(len(episode) * (1 - share) / 2)
            middle = range(first, first + round(len(episode) * share))
            for i, transition in enumerate(episode):
                target = held_out if held_out is not None and i in middle else store
                try:
                    target.append(transition)
                except ValueError:
                    counts["refused"] += 1
                    continue
                counts["steps"] += 1
                counts["held_out"] += target is held_out
        if counts["steps"] == before:
            raise BagError(f"bag {path}: none of its steps could be stored ({counts['refused']} refused: already there?)")
    return Filled(**counts)
