"""From slots of the store to a batch: stacks and n-step returns are built here, when they are sampled."""

from __future__ import annotations

import numpy as np

from jsac_ros.replay.index import NONE, Links
from jsac_ros.types import Batch


def n_step_returns(
    links: Links, rewards: np.ndarray, masks: np.ndarray, slots: np.ndarray, n_step: int, gamma: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns over up to n steps from `slots` int64 [B], cut where the episode ends or is not known further.

    With m <= n steps: sum over k < m of gamma^k r_k, float32 [B]; gamma^m times the product of the masks,
    float32 [B]; the slot of the observation to bootstrap from, int64 [B]. `rewards` and `masks` float32 [N].
    """
    returns = np.zeros(len(slots))
    discounts = np.ones(len(slots))
    last = slots.copy()
    for _ in range(n_step):
        following = links.next[last]
        known = (following != NONE) & (discounts > 0)
        returns += np.where(known, discounts * rewards[last], 0.0)
        discounts *= np.where(known, gamma * masks[last].astype(np.float64), 1.0)
        last = np.where(known, following, last)
    return returns.astype(np.float32), discounts.astype(np.float32), last


def gather(
    links: Links, rows: dict[str, np.ndarray], frames: np.ndarray, slots: np.ndarray, batch: Batch,
    n_step: int, gamma: float,
) -> None:  # fmt: skip
    """Fills `batch` (all but `weight`) in place with the transitions at `slots`, int64 [B], every one of them valid.

    `rows` are columns [N, ...] of the store, `frames` uint8 [N, H*W*C]. Each frame is copied once, in one call that
    leaves the interpreter to other threads.
    """
    returns, discounts, last = n_step_returns(links, rows["reward"], rows["mask"], slots, n_step, gamma)
    batch.reward[...] = returns
    batch.discount[...] = discounts
    batch.index[...] = rows["number"][slots]
    batch.action[...] = rows["action"][slots]
    batch.proprioception[...] = rows["proprioception"][slots]
    batch.next_proprioception[...] = rows["proprioception"][last]
    if batch.frames.size:
        stacks = links.walk_back(slots)
        following = last[:, None] if n_step == 1 else links.walk_back(last)
        positions = np.concatenate([stacks, following], axis=1)
        out = batch.frames.reshape(positions.size, -1)
        np.take(frames, positions.reshape(-1), axis=0, out=out, mode="clip")  # other modes copy `out` first
