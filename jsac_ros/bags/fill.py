"""Recordings into a replay store, from which batches are drawn as from a live run's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from jsac_ros.bags.reader import Bag, BagError
from jsac_ros.bags.recorded_run import RemadeStep
from jsac_ros.bags.transitions import open_steps
from jsac_ros.config import SystemConfig
from jsac_ros.replay.store import FrameStore
from jsac_ros.types import Step


class Filled(NamedTuple):
    steps: int
    episodes: int
    refused: int  # already there, not finite, out of order
    held_out: int  # of `steps`, in the other store


def steps_to_store(path: str | Path, config: SystemConfig, relabel: bool) -> Iterator[Step]:
    """Steps of one recording. `relabel`: earn what the configured task says now, instead of what was earned then.

    Raises BagError, ConfigError.
    """
    with Bag(path) as bag:
        for remade in open_steps(bag, config):
            yield _labelled(remade, relabel)
        if bag.damage:
            print(f"warning: bag {bag.path}: {bag.damage}")


def _labelled(remade: RemadeStep, relabel: bool) -> Step:
    step, recorded = remade.step, remade.recorded
    if relabel or recorded is None:
        return step
    return step._replace(reward=recorded.reward, mask=recorded.mask, success=recorded.success)


def episodes(steps: Iterable[Step]) -> Iterator[list[Step]]:
    """Lists of steps, each from its first to its last (or to where the recording ends)."""
    episode: list[Step] = []
    for step in steps:
        if step.is_first and episode:
            yield episode
            episode = []
        episode.append(step)
    if episode:
        yield episode


def fill(
    store: FrameStore,
    bags: Iterable[str | Path],
    config: SystemConfig,
    relabel: bool = False,
    held_out: FrameStore | None = None,
    share: float = 0.0,
) -> Filled:
    """Appends every episode of the recordings; the middle `share` of each goes to `held_out` instead.

    The middle, because an episode's ends are where what it earned is decided. Raises BagError, ConfigError.
    """
    counts = {"steps": 0, "episodes": 0, "refused": 0, "held_out": 0}
    for path in bags:
        before = counts["steps"]
        for episode in episodes(steps_to_store(path, config, relabel)):
            counts["episodes"] += 1
            first = round(len(episode) * (1 - share) / 2)
            middle = range(first, first + round(len(episode) * share))
            for i, step in enumerate(episode):
                target = held_out if held_out is not None and i in middle else store
                try:
                    target.append(step)
                except ValueError:
                    counts["refused"] += 1
                    continue
                counts["steps"] += 1
                counts["held_out"] += target is held_out
        if counts["steps"] == before:
            raise BagError(
                f"bag {path}: none of its steps could be stored ({counts['refused']} refused: already there?)"
            )
    return Filled(**counts)
