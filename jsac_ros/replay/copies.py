"""Copies of stores: a snapshot while replay runs, restoring one, and several stores merged into one."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from jsac_ros.replay import counters, folders, records
from jsac_ros.replay import format as files
from jsac_ros.replay.format import StoreError
from jsac_ros.replay.store import FrameStore


class Merged(NamedTuple):
    """Numbers of transitions that a merge stored and left out."""

    stored: int
    duplicates: int  # in more than one store
    damaged: int  # or overwritten while they were read


def snapshot(source: str | Path, target: str | Path) -> int:
    """Copies every complete row to the same place of a new store; returns how many.

    The source may be in use. A row that is damaged, or overwritten while it is copied, is left out. Restoring uses
    the same function. Raises StoreError if `target` has a store already.
    """
    _expect_new(target)
    live = FrameStore.read(source)
    copy = FrameStore.open(target, live.spaces, live.capacity)
    count = 0
    for slot in live.live_slots():
        found = live.whole(slot)
        if found is not None:
            copy.put(slot, *found)
            count += 1
    for name in counters.NAMES:
        copy.counters[name] = live.counters[name]
    copy.close()
    return count


def merge(sources: list[str | Path], target: str | Path, capacity: int = 0) -> Merged:
    """Appends the transitions of all sources to a new store.

    One trajectory after the other, each in order. `capacity` 0: as many as there are. Raises StoreError if parts
    differ or `target` has a store already.
    """
    _expect_new(target)
    stores = [FrameStore.read(source) for source in sources]
    spaces = stores[0].spaces
    for source, store in zip(sources, stores):
        folders.compare(Path(source), store.spaces, spaces)
    places = sorted(
        (store.rows["robot"][slot], int(store.rows["session"][slot]), int(store.rows["sequence"][slot]), which, slot)
        for which, store in enumerate(stores)
        for slot in store.live_slots()
    )
    merged = FrameStore.open(target, spaces, capacity or max(len(places), spaces.stack + 2))
    duplicates = damaged = 0
    before = None
    for *identity, which, slot in places:
        if identity == before:
            duplicates += 1
        elif (found := stores[which].whole(slot)) is None:
            damaged += 1
        else:
            row, frames = found
            at = merged.append(records.transition_of(row[0], frames, spaces)) % merged.capacity
            records.set_priority(merged.records, np.array([at]), records.priorities(row))
            before = identity
    stored = merged.stored
    merged.close()
    return Merged(stored, duplicates, damaged)


def _expect_new(target: str | Path) -> None:
    if (Path(target) / files.HEADER).exists():
        raise StoreError(f"{target}: has a replay store already; expected a new folder")


def problems(folder: str | Path) -> list[str]:
    """All damage in a store, one line each. Raises StoreError when it cannot even be opened."""
    store = FrameStore.read(folder)
    found = [f"slot {slot}: checksum does not fit what it holds" for slot in store.damaged()]
    live = store.live_slots()
    numbers = store.rows["number"][live].astype(np.int64)
    expected = np.arange(max(1, store.count - store.capacity + 1), store.count + 1)
    next_to_write = store.count % store.capacity  # the one slot that a kill may have left without a row
    found += [
        f"row {number}: missing" for number in np.setdiff1d(expected, numbers) if (number - 1) % store.capacity != next_to_write
    ]
    found += [f"slot {slot}: priority is damaged" for slot in live[~records.priority_fits(store.records[live])]]
    for slot in live:
        before = store.links.previous[slot]
        if before >= 0 and not _follows(store.records[before], store.records[slot]):
            found.append(f"slot {slot}: the row linked as its previous step belongs to another episode")
    return found


def _follows(before: np.void, after: np.void) -> bool:
    same = all(before[name] == after[name] for name in ("robot", "session", "episode"))
    return bool(same and before["step"] + 1 == after["step"] and not before["is_last"])
