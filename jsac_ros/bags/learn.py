"""`jsac-ros train --bags BAG...`: learns from recordings alone.

Steps go into a replay store, batches come out of it, the update is the live learner's. The result is a run folder:
`checkpoints/` to go on from with a robot (`learner.resume=FOLDER`), `replay/` to mix into live learning
(`replay.demonstrations=FOLDER/replay`), `metrics.csv` with the critic's loss on steps that were held out.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jsac_ros import config as configuration
from jsac_ros import system
from jsac_ros.agent.algorithm import algorithm_of
from jsac_ros.agent.checkpoint import Checkpoints
from jsac_ros.agent.update import refuse_to_go_on
from jsac_ros.bags.fill import Filled, fill
from jsac_ros.bags.reader import Bag
from jsac_ros.bags.transitions import configuration_for
from jsac_ros.config import ConfigError, SystemConfig, spec_of
from jsac_ros.replay.store import FrameStore
from jsac_ros.robots.models import arm_of
from jsac_ros.types import Batch, Spec, batch_layout

REPORT_EVERY = 100  # updates
HELD_OUT_BATCHES = 4


class Offline:
    """Store, state and update of one training on recordings."""

    def __init__(self, config: SystemConfig, spec: Spec, folder: Path):
        self.config, self.spec, self.folder = config, spec, folder
        self._rng = np.random.default_rng(config.run.seed)
        self._store = FrameStore.open(folder / "replay", spec, config.replay.capacity)
        self._held_out = FrameStore.open(folder / "held_out", spec, config.replay.capacity)
        algorithm = algorithm_of(config.agent)
        self.state = algorithm.create(config.agent, spec, config.run.seed)
        self._update = algorithm.make_update(config.agent, spec)

    def fill(self, bags: list[str], relabel: bool, share: float) -> Filled:
        filled = fill(self._store, bags, self.config, relabel, self._held_out, share)
        if not self._store.valid_count:
            raise ConfigError(f"the recordings hold no transition to learn from ({filled.steps} steps)")
        self._tests = (
            [self._sample(self._held_out) for _ in range(HELD_OUT_BATCHES)] if self._held_out.valid_count else []
        )
        return filled

    def update(self) -> dict[str, float]:
        """One update; its scalars."""
        batch = self._sample(self._store)
        self.state, metrics = self._update(self.state, batch)
        refuse_to_go_on(self.state, batch, self.config.learner.max_skipped_updates)
        return {name: float(value) for name, value in metrics.items() if name != "td_error"}

    def held_out_loss(self) -> float:
        """The critic's loss on the held-out batches, NaN without any: an update of a copy that is thrown away."""
        losses = [self._update(jax.tree.map(jnp.copy, self.state), batch)[1]["critic_loss"] for batch in self._tests]
        return float(np.mean(losses)) if losses else float("nan")

    def _sample(self, store: FrameStore) -> Batch:
        config = self.config
        layout = batch_layout(self.spec, config.replay.batch_size, config.agent.n_step)
        batch = Batch(**{name: np.empty(shape, dtype) for name, (shape, dtype) in layout.items()})
        store.sample_into(self._rng, batch, config.agent.n_step, config.agent.discount)
        return batch

    def close(self) -> None:
        self._store.close()
        self._held_out.close()


def train(offline: Offline, updates: int, counters: dict[str, Any]) -> list[dict[str, float]]:
    """`updates` updates, a row of metrics every hundred and a checkpoint at the end."""
    folder, rows = offline.folder, []
    with Checkpoints(folder / "checkpoints", offline.config.agent, offline.spec) as checkpoints:
        rows.append({"update": 0, "held_out_critic_loss": offline.held_out_loss()})
        for number in range(1, updates + 1):
            metrics = offline.update()
            if number % REPORT_EVERY == 0 or number == updates:
                rows.append({"update": number, "held_out_critic_loss": offline.held_out_loss()} | metrics)
                print(
                    f"{number:>7} updates   critic {metrics['critic_loss']:.4g}   "
                    f"held out {rows[-1]['held_out_critic_loss']:.4g}   Q {metrics['q_mean']:.3g}",
                    flush=True,
                )
        checkpoints.save(offline.state, counters)
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[-1]), restval="")
        writer.writeheader()
        writer.writerows(rows)
    return rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bags", nargs="+", required=True, metavar="BAG", help="rosbag2 recordings")
    parser.add_argument("--config", metavar="FILE", help="of the system; else the one in the first recording")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="key=value", help="section.field=value of the configuration"
    )
    parser.add_argument("--updates", type=int, default=2000, metavar="N")
    parser.add_argument("--held-out", type=float, default=0.1, metavar="SHARE", help="of every episode, to test on")
    parser.add_argument(
        "--relabel", action="store_true", help="earn what the configured task says, not what was recorded"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def main(arguments: argparse.Namespace) -> int:
    if not 0 <= arguments.held_out < 1 or arguments.updates < 1:
        raise ConfigError(
            f"--held-out is {arguments.held_out}, --updates {arguments.updates}; expected 0 up to 1, at least 1"
        )
    config = _configuration(arguments)
    spec = spec_of(config, len(arm_of(config.robot)))
    folder = system.make_run_folder(config)
    offline = None
    try:
        offline = Offline(config, spec, folder)
        filled = offline.fill(arguments.bags, arguments.relabel, arguments.held_out)
    except ConfigError:
        if offline is not None:
            offline.close()
        shutil.rmtree(folder)  # nothing half-written stays
        raise
    print(
        f"run folder: {folder}\n{filled.steps} steps of {filled.episodes} episodes, {filled.held_out} held out",
        flush=True,
    )
    began_s = time.monotonic()
    try:
        rows = train(offline, arguments.updates, {"bags": [str(bag) for bag in arguments.bags]})
    except ValueError as error:
        raise ConfigError(str(error)) from None
    finally:
        offline.close()
    seconds = time.monotonic() - began_s
    summary = filled._asdict() | {
        "updates": arguments.updates,
        "updates_per_s": round(arguments.updates / seconds, 2),
        "held_out_critic_loss_first": rows[0]["held_out_critic_loss"],
        "held_out_critic_loss_last": rows[-1]["held_out_critic_loss"],
        "folder": str(folder),
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(json.dumps(summary) if arguments.json else "\n".join(f"{k:<28} {v}" for k, v in summary.items()))
    return 0


def _configuration(arguments: argparse.Namespace) -> SystemConfig:
    overrides = dict(configuration.parse_override(text) for text in arguments.set)
    if arguments.config:
        return configuration.load(arguments.config, overrides)
    with Bag(arguments.bags[0]) as bag:
        tree = configuration.to_parameters(configuration_for(bag, None))
    for name, value in overrides.items():
        section, _, field = name.partition(".")
        tree.setdefault(section, {})[field] = value
    return configuration.from_parameters(tree)
