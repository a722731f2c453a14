"""Copies of stores: a snapshot while replay runs, the way back, and several stores merged into one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jsac_ros.replay import format as files
from jsac_ros.replay.format import StoreError
from jsac_ros.replay.store import FrameStore


def snapshot(source: str | Path, target: str | Path) -> int:
    """Copies every complete row to the same place of a new store; returns how many.

    The source may be in use. A row that is overwritten while it is copied is left out, like every row older than it.
    Restoring is the same the other way round. Raises StoreError where `target` has a store already.
    """
    if (Path(target) / files.HEADER).exists():
        raise StoreError(f"{target}: has a replay store already; expected a new folder")
    live = FrameStore.read(source)
    copy = FrameStore.open(target, live.spec, live.capacity)
    for slot in live.live_slots():
        row, frame = live.record(slot)
        number = int(row["number"][0])
        if live.rows["number"][slot] == number and row["checksum"][0] == files.checksum(row, frame, number):
            copy.put(slot, row, frame)
    for name in files.COUNTER_TYPE.names:
        copy.counters[name] = live.counters[name]
    copy.close()
    return len(FrameStore.read(target).live_slots())


def merge(sources: list[str | Path], target: str | Path, capacity: int = 0) -> tuple[int, int]:
    """Appends the steps of all sources to a new store; returns (steps stored, steps that were there twice).

    One trajectory after the other, each in order. `capacity` 0: as many as there are. Raises StoreError where shapes
    differ or `target` has a store already.
    """
    if (Path(target) / files.HEADER).exists():
        raise StoreError(f"{target}: has a replay store already; expected a new folder")
    stores = [FrameStore.read(source) for source in sources]
    spec = stores[0].spec
    for source, store in zip(sources, stores):
        if store.spec != spec:
            raise StoreError(f"{source}: holds {store.spec}; expected {spec} as in {sources[0]}")
    places = sorted(
        (store.rows["robot"][slot], int(store.rows["session"][slot]), int(store.rows["sequence"][slot]), which, slot)
        for which, store in enumerate(stores)
        for slot in store.live_slots()
    )
    merged = FrameStore.open(target, spec, capacity or max(len(places), spec.stack + 2))
    duplicates, before = 0, None
    for *identity, which, slot in places:
        if identity == before:
            duplicates += 1
        else:
            number = merged.append(stores[which].step(slot))
            merged.rows["priority"][number % merged.capacity] = stores[which].rows["priority"][slot]
        before = identity
    stored = merged.stored
    merged.close()
    return stored, duplicates


def problems(folder: str | Path) -> list[str]:
    """Everything that is wrong with a store, one line each. Raises StoreError when it cannot even be opened."""
    store = FrameStore.read(folder)
    found = [f"slot {slot}: checksum does not fit what it holds" for slot in store.damaged()]
    live = store.live_slots()
    numbers = store.rows["number"][live].astype(np.int64)
    expected = np.arange(max(1, store.count - store.capacity + 1), store.count + 1)
    next_to_write = store.count % store.capacity  # the one slot that a kill may have left without a row
    found += [
        f"row {number}: missing"
        for number in np.setdiff1d(expected, numbers)
        if (number - 1) % store.capacity != next_to_write
    ]
    priority = store.rows["priority"][live]
    found += [f"slot {slot}: priority is {p}" for slot, p in zip(live, priority) if p < 0 or np.isinf(p)]
    for slot in live:
        before = store.links.previous[slot]
        if before >= 0 and not _follows(store.records[before], store.records[slot]):
            found.append(f"slot {slot}: its previous step is none of its episode")
    return found


def _follows(before: np.void, after: np.void) -> bool:
    same = all(before[name] == after[name] for name in ("robot", "session", "episode"))
    return bool(same and before["step"] + 1 == after["step"] and not before["is_last"])
