"""The episodes of a store, one by one: to list demonstrations and to drop some."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jsac_ros.replay import records
from jsac_ros.replay.format import StoreError
from jsac_ros.replay.store import FrameStore
from jsac_ros.spaces import Spaces


class StoredEpisode(NamedTuple):
    """An episode of a store; episodes are ordered by their start."""

    number: int  # 0, 1, 2, ... in the store
    robot: str
    session: int
    episode: int  # in its session
    slots: tuple[int, ...]  # of its rows, in order
    is_complete: bool  # from its first observation to its last
    steps: int  # actions
    episode_return: float
    success: bool  # at any step

    @property
    def identity(self) -> tuple[int, int]:
        return self.session, self.episode


def episodes_of(store: FrameStore) -> list[StoredEpisode]:
    """Every episode of a store."""
    found: dict[tuple[str, int, int], list[int]] = {}
    for slot in store.live_slots():
        row = store.records[slot]
        found.setdefault((records.robot_of(row), int(row["session"]), int(row["episode"])), []).append(int(slot))
    return [_episode(store, number, identity, slots) for number, (identity, slots) in enumerate(found.items())]


def _episode(store: FrameStore, number: int, identity: tuple[str, int, int], slots: list[int]) -> StoredEpisode:
    rows = store.records[slots]
    acted = ~rows["is_last"]
    follows = np.array_equal(rows["step"], np.arange(len(rows)))
    is_complete = follows and bool(rows["is_first"][0] and rows["is_last"][-1])
    total = float(rows["reward"][acted].sum())
    return StoredEpisode(number, *identity, tuple(slots), is_complete, int(acted.sum()), total, bool(rows["success"].any()))


@contextmanager
def new_store(target: str | Path, spaces: Spaces, rows: int) -> Iterator[FrameStore]:
    """A store of at most `rows` rows that the block fills; if the block fails, no store is left.

    Raises StoreError if `target` exists.
    """
    target = Path(target)
    if target.exists():
        raise StoreError(f"{target}: exists already; expected a new folder")
    beside = target.with_name(target.name + ".new")
    shutil.rmtree(beside, ignore_errors=True)
    store = FrameStore.open(beside, spaces, max(rows, spaces.stack + 2))
    try:
        try:
            yield store
        finally:
            store.close()
        os.rename(beside, target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def keep(source: str | Path, target: str | Path, wanted: Callable[[StoredEpisode], bool]) -> list[StoredEpisode]:
    """Copies the wanted episodes of a store to a new one and returns them. The new store is complete or absent.

    Raises StoreError if `target` exists, a process writes to the source or no episode is wanted.
    """
    source = Path(source)
    store = FrameStore.read(source, exclude_writers=True)
    try:
        kept = [episode for episode in episodes_of(store) if wanted(episode)]
        if not kept:
            raise StoreError(f"{source}: no episode is kept; expected at least one")
        with new_store(target, store.spaces, sum(len(episode.slots) for episode in kept)) as copy:
            for episode in kept:
                for slot in episode.slots:
                    copy.append(store.transition(slot))
    finally:
        store.close()
    return kept


def drop(folder: str | Path, numbers: set[int]) -> list[StoredEpisode]:
    """Removes episodes from a store; returns the remaining ones. Raises StoreError if one of them is not in it."""
    folder = Path(folder)
    store = FrameStore.read(folder, exclude_writers=True)
    count = len(episodes_of(store))
    store.close()
    if unknown := sorted(numbers - set(range(count))):
        raise StoreError(f"{folder}: has episodes 0 to {count - 1}; episode {unknown[0]} is none of them")
    beside, old = folder.with_name(folder.name + ".kept"), folder.with_name(folder.name + ".old")
    shutil.rmtree(beside, ignore_errors=True)
    kept = keep(folder, beside, lambda episode: episode.number not in numbers)
    shutil.rmtree(old, ignore_errors=True)
    os.rename(folder, old)
    os.rename(beside, folder)
    shutil.rmtree(old)
    return kept
