"""Measures one part of jsac_ros on this machine. Run it on an otherwise idle machine.

  jsac-ros bench update --json
  jsac-ros bench control --help

docs/results.md has measured figures and explains them.
"""

from __future__ import annotations

import argparse
import importlib

BENCHES = {
    "update": ("jsac_ros.bench.update", "one update of the agent, compared with PyTorch and the GEMM peak"),
    "gpu": ("jsac_ros.bench.gpu", "a GPU in eight minutes: updates, acting, copies, memory, the device's peak"),
    "act": ("jsac_ros.bench.act", "one action from one observation, while a learner runs"),
    "prefetch": ("jsac_ros.bench.prefetch", "copying batches to the device during the previous update"),
    "replay": ("jsac_ros.bench.replay", "storing, sampling and handing over batches"),
    "control": ("jsac_ros.bench.control", "the control loop while a learner runs on all cores"),
    "faults": ("jsac_ros.bench.faults", "every fault of the simulator, and kills of every process"),
}


class _Part(argparse.ArgumentParser):
    """Imports a part only when it is used, so that `bench gpu` needs no ROS."""

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
