"""Batches on their way to the device while the one before is being learned from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import jax

from jsac_ros.types import Batch


def prefetch(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yields every batch as device arrays; the copy of the next has begun before one is yielded (double buffer).

    `device_put` returns at once and copies in the background. The source must therefore not reuse the memory of a
    batch before the one after it has been asked for twice; a CPU device may read that memory in place.
    """
    ahead = None
    for batch in batches:
        coming = jax.device_put(batch)
        if ahead is not None:
            yield ahead
        ahead = coming
    if ahead is not None:
        yield ahead
