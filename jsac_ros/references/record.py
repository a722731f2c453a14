"""Writes the tables, report and policy of a live run for the first seed of a compiled training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jsac_ros.agent import export
from jsac_ros.references.loop import Reference, Trained, one
from jsac_ros.rig import write_spaces
from jsac_ros.training.evaluation import Episode
from jsac_ros.training.log import TrainingLog

ROWS = 200  # of metrics.csv, at most


def write(reference: Reference, trained: Trained, run_s: float, folder: Path) -> None:
    """trained: with a leading axis [seeds]; run_s: duration of the training in seconds, spread evenly over its steps."""
    config, first = reference.config, one(trained)
    metrics, episodes = ({n: np.asarray(a) for n, a in part.items()} for part in (first.metrics, first.episodes._asdict()))
    ended = episodes.pop("ended")
    steps, count = ended.shape
    learning = steps - config.replay.warmup_steps // count
    at = 0  # the step that is being logged, of `steps`
    log = TrainingLog(folder, config, config.train.environment, 1, clock=lambda: round(run_s * at / steps, 2))
    rows = set(np.linspace(0, steps, ROWS + 1, dtype=int)[1:].tolist())
    number = 0
    for at in range(1, steps + 1):
        updates = max(0, at - steps + learning) * config.train.updates_per_step
        for environment in np.flatnonzero(ended[at - 1]):
            values = {name: array[at - 1, environment].item() for name, array in episodes.items()}
            log.episode(Episode(count * at, evaluation=False, **values), number, updates)
            number += 1
        if at in rows:
            values = {f"learner.metric.{name}": float(m[at - 1]) for name, m in metrics.items()}
            open_steps = count * at - log.totals.finished_steps  # of all environments together
            values |= {"control.episode": number, "control.step": open_steps, "replay.received": count * at, "replay.lost": 0}
            log.row(count * at, updates, values)
    log.close()
    write_spaces(folder, reference.environment.spaces)
    card = {"environment": config.train.environment, "env_steps": count * steps}
    export.save(folder / "policy", reference.agent.policy_params(first.state), reference.agent, card)
