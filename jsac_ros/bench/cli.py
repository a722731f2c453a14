"""Measures a part of jsac_ros on this machine. Run it while nothing else runs.

  jsac-ros bench update --json
  jsac-ros bench control --help

Figures, and what decides them: docs/results.md.
"""

from __future__ import annotations

import argparse
import importlib

BENCHES = {
    "update": ("jsac_ros.bench.update", "one update of the agent, beside PyTorch and the floor in operations"),
    "gpu": ("jsac_ros.bench.gpu", "a machine with a GPU in eight minutes: updates, acting, copies, memory, the device's floor"),
    "act": ("jsac_ros.bench.act", "one action from one observation, while a learner runs"),
    "prefetch": ("jsac_ros.bench.prefetch", "batches copied to the device while the one before is learned from"),
    "replay": ("jsac_ros.bench.replay", "storing, sampling and handing over batches"),
    "control": ("jsac_ros.bench.control", "the control loop under a learner on all cores"),
    "faults": ("jsac_ros.bench.faults", "every fault of the simulator, every process killed"),
}


class _Part(argparse.ArgumentParser):
    """Imports its part only when that is asked for: `bench gpu` needs no ROS."""

    def parse_known_args(self, args=None, namespace=None):
        if self.get_default("measure") is None:
            bench = importlib.import_module(BENCHES[self.prog.split()[-1]][0])
            bench.add_arguments(self)
            self.set_defaults(measure=bench.main)
        return super().parse_known_args(args, namespace)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parts = parser.add_subparsers(metavar="PART", required=True, parser_class=_Part)
    for name, (_, text) in BENCHES.items():
        parts.add_parser(name, help=text, description=text)


def main(arguments: argparse.Namespace) -> int:
    return arguments.measure(arguments)
