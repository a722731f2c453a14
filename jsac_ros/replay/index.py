"""Which rows of the ring can be sampled, and the neighbours of a row in its trajectory.

One rule: the row that holds step k of an episode can be sampled iff
  1. the row of the same episode's step k+1 is in the store: o_k+1, r_k and m_k are defined; and
  2. the S-1 rows before it in the episode are in the store, or the store holds the episode back to its first step:
     the stack is what the actor saw (the first frame repeated before the first step).
Rows of several actors interleave, so neighbours are links and not adjacent slots. A link joins step k to step k+1 of
one (robot, session, episode) and nothing else. A gap in the step numbers, the end of an episode, an actor that died and
a row that the ring has overwritten are all the same case: there is no link.
"""

from __future__ import annotations

import numpy as np

NONE = -1


class Links:
    """Slots of the previous and the next step of every row, and how much of its stack is stored. int64 [N] each."""

    def __init__(self, capacity: int, stack: int):
        self.stack = stack
        self.previous = np.full(capacity, NONE, np.int64)
        self.next = np.full(capacity, NONE, np.int64)
        self.depth = np.zeros(capacity, np.int64)  # frames of its stack that are known, up to S; 0: no row
        self.valid = ValidSet(capacity)

    @classmethod
    def rebuild(cls, previous: np.ndarray, live: np.ndarray, is_first: np.ndarray, stack: int) -> Links:
        """From the rows on disk: slot of the previous step or NONE, int64 [N]; whether there is a row, bool [N]."""
        links = cls(len(previous), stack)
        links.previous[:] = previous
        linked = np.flatnonzero(previous != NONE)
        links.next[previous[linked]] = linked
        depth = np.where(live, np.where(is_first, stack, 1), 0)
        for _ in range(stack - 1):
            depth[linked] = np.minimum(stack, depth[previous[linked]] + 1)
        links.depth[:] = depth
        links.valid.reset(np.flatnonzero((links.next != NONE) & (depth >= stack)))
        return links

    def remove(self, slot: int) -> None:
        """Removes the row in `slot`; stacks that need it are no longer complete."""
        before, after = self.previous[slot], self.next[slot]
        if before != NONE:
            self.next[before] = NONE
            self.valid.discard(int(before))
        self.valid.discard(slot)
        self.previous[slot] = self.next[slot] = NONE
        self.depth[slot] = 0
        if after != NONE:
            self.previous[after] = NONE
        for depth in range(1, self.stack):
            if after == NONE:
                break
            self.depth[after] = min(self.depth[after], depth)
            self.valid.discard(int(after))
            after = self.next[after]

    def add(self, slot: int, previous: int, is_first: bool) -> None:
        """A row has been written to `slot`; `previous` is the slot of its previous step or NONE."""
        self.previous[slot] = previous
        self.depth[slot] = self.stack if is_first else 1
        if previous != NONE:
            self.next[previous] = slot
            self.depth[slot] = min(self.stack, self.depth[previous] + 1)
            if self.depth[previous] >= self.stack:
                self.valid.add(previous)

    def walk_back(self, slots: np.ndarray) -> np.ndarray:
        """Slots of the stacks that end at `slots` int64 [B]: int64 [B, S], oldest first, the first step repeated."""
        stacks = np.empty((len(slots), self.stack), np.int64)
        stacks[:, -1] = slots
        for at in range(self.stack - 2, -1, -1):
            before = self.previous[stacks[:, at + 1]]
            stacks[:, at] = np.where(before == NONE, stacks[:, at + 1], before)
        return stacks


class ValidSet:
    """A set of slots from which one random number draws uniformly: a dense array whose holes are filled from its end."""

    def __init__(self, capacity: int):
        self._slots = np.empty(capacity, np.int64)
        self._place = np.full(capacity, NONE, np.int64)
        self._count = 0
        self.changed: set[int] | None = None  # slots added or removed, if changes are tracked

    def __len__(self) -> int:
        return self._count

    def __contains__(self, slot: int) -> bool:
        return self._place[slot] != NONE

    @property
    def slots(self) -> np.ndarray:
        """int64 [number of valid rows], unordered."""
        return self._slots[: self._count]

    def contains(self, slots: np.ndarray) -> np.ndarray:
        return self._place[slots] != NONE

    def reset(self, slots: np.ndarray) -> None:
        self._count = len(slots)
        self._slots[: self._count] = slots
        self._place.fill(NONE)
        self._place[slots] = np.arange(self._count)

    def add(self, slot: int) -> None:
        if self._place[slot] == NONE:
            self._slots[self._count] = slot
            self._place[slot] = self._count
            self._count += 1
            if self.changed is not None:
                self.changed.add(int(slot))

    def discard(self, slot: int) -> None:
        place = self._place[slot]
        if place != NONE:
            self._count -= 1
            last = self._slots[self._count]
            self._slots[place] = last
            self._place[last] = place
            self._place[slot] = NONE
            if self.changed is not None:
                self.changed.add(int(slot))
