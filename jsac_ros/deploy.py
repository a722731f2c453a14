"""Runs a learned policy: actor and safety, without learner and replay.

  jsac-ros deploy runs/lift_20260101_120000 lift                      the policy of a run, on the same rig
  jsac-ros deploy my_policy my_ur5.yaml --duration 600                a policy folder copied to this computer
  jsac-ros deploy my_policy my_ur5.yaml --no-sampled                  with deterministic actions

To act without this package, or without JAX: `jsac-ros export POLICY --to onnx`.

The folder contains policy.json and policy.safetensors, or it is a run folder with such a folder `policy`. Everything else works
as in `jsac-ros run`: safety, verbs, dashboard, report and the ways to end it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from jsac_ros import domain, run
from jsac_ros.agent import policy_files
from jsac_ros.config import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("policy", type=Path, metavar="RUN|POLICY", help="folder of a run or of a policy")
    run.add_arguments(parser)
    parser.add_argument(
        "--sampled", action=argparse.BooleanOptionalAction, default=None,
        help="sample actions, as during learning, or take the best ones (default: what did better in the policy's evaluation)",
    )  # fmt: skip


def main(arguments: argparse.Namespace) -> int:
    folder = policy_files.folder_of(arguments.policy)
    sampled = _does_better_sampled(folder) if arguments.sampled is None else arguments.sampled
    arguments.overrides += [f"run.policy={folder}", f"run.sampled={str(sampled).lower()}"]
    config = run.resolve(arguments)
    return run.run(config, arguments.only, domain.absolute(arguments.namespace), open_page=arguments.open)


def _does_better_sampled(folder: Path) -> bool:
    """Whether to sample, according to the policy's card. Raises ConfigError if it cannot be read."""
    try:
        card = policy_files.about_of(folder).get("card")
    except ValueError as error:
        raise ConfigError(f"policy {folder}: {error}") from None
    chosen = card.get("chosen") if isinstance(card, dict) else None
    return isinstance(chosen, dict) and chosen.get("actions") == "sampled"
