"""Learns from recordings alone.

  jsac-ros learn monday tuesday --updates 5000
  jsac-ros learn recording --config my_ur5.yaml agent.n_step=3 replay.batch_size=64

Transitions are written to a replay store and sampled from it; the loop is the live learner's. The result is a run folder:
`checkpoints/` to continue from with a robot (`learner.resume=FOLDER`), `replay/` to mix into live learning
(`replay.demonstrations=FOLDER/replay`), `metrics.csv` with the critic's loss on held-out transitions.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jsac_ros import agent as algorithms
from jsac_ros import parameters, system
from jsac_ros.agent.checkpoint import Checkpoints
from jsac_ros.agent.learning import Learner
from jsac_ros.bags.fill import Filled, fill
from jsac_ros.bags.reader import Bag
from jsac_ros.bags.recorded_run import KINDS
from jsac_ros.bags.transitions import configuration_for
from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.files import replaced, write_text
from jsac_ros.replay.samplers import Sampler
from jsac_ros.replay.store import FrameStore
from jsac_ros.rig import Rig
from jsac_ros.types import Batch, empty_batch

REPORT_EVERY = 100  # updates
HELD_OUT_BATCHES = 4
_OVERRIDE = re.compile(r"[a-z_]+\.[\w.]+=")  # of a field; other words are recordings


class Offline:
    """Stores and learner of one training on recordings. Raises ConfigError if the algorithm does not fit the rig."""

    def __init__(self, config: SystemConfig, rig: Rig, folder: Path):
        self.config, self.folder, self._rig = config, folder, rig
        self.agent = algorithms.build(config.agent, rig.spaces)
        self.learner = Learner(self.agent, self.agent.init(config.run.seed), config.learner.devices)
        self._random = np.random.default_rng(config.run.seed)
        self._store = FrameStore.open(folder / "replay", rig.spaces, config.replay.capacity)
        self._held_out = FrameStore.open(folder / "held_out", rig.spaces, config.replay.capacity)
        self._tests: list[Batch] = []
        self._rows: list[dict[str, float]] = []

    def fill(self, bags: list[str], relabel: bool, share: float) -> Filled:
        filled = fill(self._store, bags, self._rig, relabel, self._held_out, share)
        if not self._store.valid_count:
            raise ConfigError(f"the recordings contain no transition to learn from ({filled.steps} steps)")
        if self._held_out.valid_count:
            self._tests = list(self._batches(self._held_out, HELD_OUT_BATCHES))
        return filled

    def train(self, updates: int, counters: dict[str, Any]) -> list[dict[str, float]]:
        """Makes `updates` updates, with a row of metrics every hundred and a checkpoint at the end. Raises NotFinite."""

        def report(learner: Learner) -> None:
            if learner.updates % REPORT_EVERY == 0 or learner.updates == updates:
                self._report()

        self._rows = [{"update": 0, "held_out_critic_loss": self._held_out_loss()}]
        self.learner.learn(
            self._batches(self._store, updates), after=[report], max_skipped_updates=self.config.learner.max_skipped_updates
        )
        with Checkpoints(self.folder / "checkpoints", self.agent) as checkpoints:
            checkpoints.save(self.learner.state, counters)
        with replaced(self.folder / "metrics.csv") as metrics_file, metrics_file.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(self._rows[-1]), restval="")
            writer.writeheader()
            writer.writerows(self._rows)
        return self._rows

    def _report(self) -> None:
        metrics = {name: float(value) for name, value in self.learner.metrics.items()}
        row = {"update": self.learner.updates, "held_out_critic_loss": self._held_out_loss()} | metrics
        self._rows.append(row)
        print(
            f"{row['update']:>7} updates   critic {row['critic_loss']:.4g}   "
            f"held out {row['held_out_critic_loss']:.4g}   Q {row['q_mean']:.3g}",
            flush=True,
        )

    def _held_out_loss(self) -> float:
        """Mean critic loss on the held-out batches; NaN without held-out batches."""
        return float(np.mean([self.learner.loss_of(batch) for batch in self._tests])) if self._tests else float("nan")

    def _batches(self, store: FrameStore, count: int) -> Iterator[Batch]:
        config = self.config
        sampler = Sampler(config.replay, store, config.agent.n_step, config.agent.discount)
        for _ in range(count):
            batch = empty_batch(self._rig.spaces, config.replay.batch_size, config.agent.n_step)
            sampler.sample_into(self._random, batch)
            yield batch

    def close(self) -> None:
        self._store.close()
        self._held_out.close()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="+", metavar="BAG|key=value", help="rosbag2 recordings, and fields of the configuration")
    parser.add_argument(
        "--config", metavar="FILE", help="configuration of the system (default: the one in the first recording)"
    )
    parser.add_argument("--updates", type=int, default=2000, metavar="N", help="number of updates (default 2000)")
    parser.add_argument(
        "--held-out", type=float, default=0.1, metavar="SHARE", help="share of every episode held out for validation"
    )
    parser.add_argument("--relabel", action="store_true", help="compute rewards with the configured task")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def main(arguments: argparse.Namespace) -> int:
    if not 0 <= arguments.held_out < 1 or arguments.updates < 1:
        raise ConfigError(f"--held-out is {arguments.held_out}, --updates {arguments.updates}; expected 0 up to 1, at least 1")
    overrides = [word for word in arguments.words if _OVERRIDE.match(word)]
    bags = [word for word in arguments.words if word not in overrides]
    if not bags:
        raise ConfigError("no recording is named; expected jsac-ros learn BAG...")
    config = _configuration(bags, arguments.config, overrides)
    rig = Rig.of(config)
    folder = system.make_run_folder(config)
    offline = None
    try:
        offline = Offline(config, rig, folder)
        filled = offline.fill(bags, arguments.relabel, arguments.held_out)
    except ConfigError:
        if offline is not None:
            offline.close()
        shutil.rmtree(folder)  # leave no incomplete run folder
        raise
    print(
        f"run folder: {folder}\n{filled.steps} steps of {filled.episodes} episodes, {filled.held_out} held out",
        flush=True,
    )
    began_s = time.monotonic()
    try:
        rows = offline.train(arguments.updates, {"bags": bags})
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
    write_text(folder / "summary.json", json.dumps(summary, indent=2) + "\n")
    print(json.dumps(summary) if arguments.json else "\n".join(f"{k:<28} {v}" for k, v in summary.items()))
    return 0


def _configuration(bags: list[str], file: str | None, words: list[str]) -> SystemConfig:
    """Of the file, else of the first recording. Raises ConfigError."""
    overrides = dict(map(parameters.parse_override, words))
    if file:
        return parameters.load(file, overrides, KINDS)
    with Bag(bags[0]) as bag:
        tree = parameters.to_parameters(configuration_for(bag, None))
    return parameters.from_parameters(parameters.with_overrides(tree, overrides), KINDS)
