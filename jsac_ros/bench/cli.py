"""Measures a part of jsac_ros on this machine. Run it while nothing else runs."""

from __future__ import annotations

import argparse
import importlib

BENCHES = {
    "update": ("jsac_ros.bench.update", "one update of the agent, beside PyTorch and the floor in operations"),
    "act": ("jsac_ros.bench.act", "one action from one observation, while a learner runs"),
    "prefetch": ("jsac_ros.bench.prefetch", "batches copied to the device while the one before is learned from"),
    "replay": ("jsac_ros.bench.replay", "storing, sampling and handing over batches"),
    "control": ("jsac_ros.bench.control", "the control loop under a learner on all cores"),
    "faults": ("jsac_ros.bench.faults", "every fault of the simulator, every process killed"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parts = parser.add_subparsers(metavar="PART", required=True)
    for name, (module, text) in BENCHES.items():
        if importlib.util.find_spec(module) is None:
            continue
        part = parts.add_parser(name, help=text, description=text)
        bench = importlib.import_module(module)
        bench.add_arguments(part)
        part.set_defaults(measure=bench.main)


def main(arguments: argparse.Namespace) -> int:
    return arguments.measure(arguments)
