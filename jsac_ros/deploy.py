"""Acts with a policy that was learned before: actor and safety, without learner and replay.

  jsac-ros deploy runs/lift_20260101_120000 lift                      the policy of a run, on the rig it was learned on
  jsac-ros deploy my_policy my_ur5.yaml --duration 600                a policy that was carried here
  jsac-ros deploy my_policy my_ur5.yaml --sampled                     actions as drawn while learning, not the best ones

The folder is one with policy.json and policy.safetensors, or a run's with such a folder `policy` in it. Everything else is as
with `jsac-ros run`: the same gate, verbs, page, report and ways to end it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from jsac_ros import domain, run
from jsac_ros.config import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("policy", type=Path, metavar="RUN|POLICY", help="folder of a run or of a policy")
    run.add_arguments(parser)
    parser.add_argument("--sampled", action="store_true", help="actions as drawn while learning, not the best ones")


def main(arguments: argparse.Namespace) -> int:
    folder = policy_folder(arguments.policy)
    arguments.overrides += [f"run.policy={folder}", f"run.sampled={str(arguments.sampled).lower()}"]
    config = run.resolve(arguments)
    return run.run(config, arguments.only, domain.absolute(arguments.namespace), open_page=arguments.open)


def policy_folder(given: Path) -> Path:
    """Of a policy, or of a run with one. Raises ConfigError."""
    for folder in (given, given / "policy"):
        if (folder / "policy.json").is_file():
            return folder.resolve()
    raise ConfigError(f"policy {given}: has no policy.json; expected the folder of a policy or of a run")
