"""From slots of the store to a batch: stacks and n-step returns are built here, at sampling time."""

from __future__ import annotations

import numpy as np

from jsac_ros.replay.index import NONE, Links
from jsac_ros.types import Arrays, Batch


def n_step_returns(
    links: Links, rows: np.ndarray, slots: np.ndarray, n_step: int, gamma: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns over up to n steps from `slots` int64 [B], cut where the episode or its stored part ends, or where control
    changes between policy and person: a person's rewards are not part of the return of the policy's earlier action.

    With m <= n steps: sum over k < m of gamma^k r_k, float32 [B]; gamma^m times the product of the masks,
    float32 [B]; the slot of the observation to bootstrap from, int64 [B]. `rows` are the records [N] of the store, of which
    reward, mask and intervened count.
    """
    rewards, masks, intervened = rows["reward"], rows["mask"], rows["intervened"]
    returns, discounts = np.zeros(len(slots)), np.ones(len(slots))
    last = slots.copy()
    for _ in range(n_step):
        following = links.next[last]
        counts = (following != NONE) & (discounts > 0) & (intervened[last] == intervened[slots])
        returns += np.where(counts, discounts * rewards[last], 0.0)
        discounts *= np.where(counts, gamma * masks[last].astype(np.float64), 1.0)
        last = np.where(counts, following, last)
    return returns.astype(np.float32), discounts.astype(np.float32), last


def gather(
    links: Links, records: np.ndarray, frames: Arrays, slots: np.ndarray, batch: Batch, n_step: int, gamma: float
) -> None:
    """Fills `batch` (all but `weight`) in place with the transitions at `slots`, int64 [B], every one of them valid.

    `records` [N] are those of the store, `frames` uint8 [N, H*W*C] by image. Each record and each frame is copied once,
    frames with one call per image that releases the interpreter lock.
    """
    returns, discounts, last = n_step_returns(links, records, slots, n_step, gamma)
    rows, following_rows = records.take(slots), records.take(last)  # from here on columns lie close together
    batch.reward[...] = returns
    batch.discount[...] = discounts
    batch.index[...] = rows["number"]
    for name, out in batch.action.items():
        out[...] = rows[f"action/{name}"]
    for name, out in batch.vectors.items():
        out[...] = rows[f"observation/{name}"]
    for name, out in batch.next_vectors.items():
        out[...] = following_rows[f"observation/{name}"]
    if not batch.frames:
        return
    stacks = links.walk_back(slots)  # [B, S] of the longest stack, oldest first
    following = last[:, None] if n_step == 1 else links.walk_back(last)
    for name, out in batch.frames.items():
        stack = out.shape[1] - 1 if n_step == 1 else out.shape[1] // 2
        positions = np.concatenate([stacks[:, -stack:], following[:, -stack:]], axis=1)
        flat = out.reshape(positions.size, -1)
        np.take(frames[name], positions.reshape(-1), axis=0, out=flat, mode="clip")  # other modes copy `out` first
