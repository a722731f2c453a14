"""One row per recorded step: the recorded action, the checkpoint's action, and the checkpoint's values of both."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import islice, repeat
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jsac_ros.agent.policy import acting_seed, action_key
from jsac_ros.bags.judge import BATCH, Judge, Judgement
from jsac_ros.bags.recorded_run import Remade
from jsac_ros.bags.transitions import with_observations
from jsac_ros.config import SystemConfig
from jsac_ros.files import replaced
from jsac_ros.rig import JOINTS
from jsac_ros.spaces import Spaces
from jsac_ros.types import Observation


class Row(NamedTuple):
    """The evaluation of one step. Actions are flat, float32 [A] in [-1, 1]. Unknown values are NaN."""

    time_s: float  # from the recording's first message
    episode: int
    step: int
    is_last: bool
    reward: float
    mask: float
    success: bool
    action: np.ndarray  # recorded
    computed: np.ndarray  # by the checkpoint, with the recorded key
    greedy: np.ndarray  # by the checkpoint, without noise
    q: np.ndarray  # float32 [N], of the recorded action
    q_greedy: float  # mean over the ensemble, of the greedy action
    entropy: float
    td_error: float  # r + gamma m Q(o', a') - Q(o, a), of consecutive recorded steps
    policy_version: int
    lateness_ms: float
    frame_age_ms: float  # of the oldest; NaN without a camera
    joint_age_ms: float
    rules: tuple[str, ...]  # rules of safety that changed the command
    intervened: bool  # a person acted

    @property
    def difference(self) -> float:
        """Largest entry of |recorded - greedy|."""
        return float(np.abs(self.action - self.greedy).max())


def judged(remade: Iterable[Remade], judge: Judge, config: SystemConfig, spaces: Spaces, start_ns: int) -> Iterator[Row]:
    """Rows in order, evaluated in batches of 64; closing observations have no row."""
    seen = with_observations(remade, spaces)
    held: Row | None = None
    while chunk := list(islice(seen, BATCH)):
        for row in _rows(chunk, judge, config, spaces, start_ns):
            if held is not None:
                yield _with_td_error(held, row, config.agent.discount)
            held = None if row.is_last else row
    if held is not None:
        yield held


def _rows(
    chunk: list[tuple[Remade, Observation]], judge: Judge, config: SystemConfig, spaces: Spaces, start_ns: int
) -> list[Row]:
    transitions = [remade.transition for remade, _ in chunk]
    keys = [action_key(acting_seed(config.run.seed, t.session), t.episode, t.step) for t in transitions]
    actions = np.stack([spaces.flat_action(t.action) for t in transitions])
    observations = {name: np.stack([seen[name] for _, seen in chunk]) for name in spaces.observation}
    judgement = judge(observations, actions, np.stack(keys))
    return [_row(remade, spaces, actions[i], judgement, i, start_ns) for i, (remade, _) in enumerate(chunk)]


def _row(remade: Remade, spaces: Spaces, action: np.ndarray, judgement: Judgement, i: int, start_ns: int) -> Row:
    t = remade.transition
    shown_ns = min((t.source_stamps_ns[image.name] for image in spaces.images), default=None)
    return Row(
        time_s=(t.stamp_ns - start_ns) * 1e-9, episode=t.episode, step=t.step, is_last=t.is_last,
        reward=t.reward, mask=t.mask, success=t.success, action=action,
        computed=judgement.sampled[i], greedy=judgement.greedy[i], q=judgement.q[:, i],
        q_greedy=float(judgement.q_greedy[:, i].mean()), entropy=float(judgement.entropy[i]), td_error=float("nan"),
        policy_version=t.policy_version, lateness_ms=t.lateness_s * 1e3,
        frame_age_ms=float("nan") if shown_ns is None else (t.stamp_ns - shown_ns) * 1e-6,
        joint_age_ms=(t.stamp_ns - t.source_stamps_ns[JOINTS]) * 1e-6, rules=remade.rules, intervened=t.intervened,
    )  # fmt: skip


def _with_td_error(row: Row, following: Row, discount: float) -> Row:
    """The next value is that of the recorded action, or of the greedy action at a closing observation."""
    after = following.q_greedy if following.is_last else float(following.q.mean())
    return row._replace(td_error=row.reward + discount * row.mask * after - float(row.q.mean()))


def write_csv(path: Path, rows: Iterable[Row], others: Iterable[Row] | None = None) -> None:
    """Writes `steps.csv` atomically. others: the same steps evaluated with a second checkpoint."""
    with replaced(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        for i, (row, other) in enumerate(zip(rows, others or repeat(None))):
            columns = _columns(row) | ({} if other is None else _other_columns(other))
            if i == 0:
                writer.writerow(columns)
            writer.writerow(columns.values())


def _columns(row: Row) -> dict[str, object]:
    columns: dict[str, object] = {
        "time_s": f"{row.time_s:.4f}", "episode": row.episode, "step": row.step, "reward": f"{row.reward:.6g}",
        "mask": row.mask, "success": int(row.success), "q_mean": f"{row.q.mean():.6g}", "q_std": f"{row.q.std():.6g}",
        "q_greedy": f"{row.q_greedy:.6g}", "td_error": f"{row.td_error:.6g}", "entropy": f"{row.entropy:.6g}",
        "difference": f"{row.difference:.6g}", "policy_version": row.policy_version,
        "lateness_ms": f"{row.lateness_ms:.3f}", "frame_age_ms": f"{row.frame_age_ms:.3f}",
        "joint_age_ms": f"{row.joint_age_ms:.3f}", "intervened": int(row.intervened), "rules": " ".join(row.rules),
    }  # fmt: skip
    for name, action in (("action", row.action), ("computed", row.computed), ("greedy", row.greedy)):
        columns |= {f"{name}_{i}": f"{value:.6g}" for i, value in enumerate(action)}
    return columns


def _other_columns(row: Row) -> dict[str, object]:
    columns: dict[str, object] = {
        "other_q_mean": f"{row.q.mean():.6g}", "other_q_std": f"{row.q.std():.6g}",
        "other_q_greedy": f"{row.q_greedy:.6g}", "other_entropy": f"{row.entropy:.6g}",
    }  # fmt: skip
    return columns | {f"other_greedy_{i}": f"{value:.6g}" for i, value in enumerate(row.greedy)}
