"""What a policy earns, without exploration and without storing anything.

  jsac-ros evaluate runs/lift_20260101_120000 --episodes 50
  jsac-ros evaluate my_policy --compare another_policy --environment config/lift.yaml
  jsac-ros evaluate runs/pendulum_v1_20260101_120000 --json | tail -n 1
  jsac-ros evaluate                                  of a running system: its next episode is deterministic, not stored

A policy is tried where it was learned, or in --environment: a Gymnasium environment, or a configuration's simulator behind
the safety gate, without ROS. Where episodes begin is drawn from --seed. Two policies take turns, and trial i of both begins
alike.
"""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from jsac_ros.config import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("policy", type=Path, metavar="RUN|POLICY", help="folder of a run or of a policy")
    parser.add_argument("--compare", type=Path, metavar="RUN|POLICY", help="another one, tried in turn with the first")
    parser.add_argument("--episodes", type=int, default=50, help="of each (default 50)")
    parser.add_argument("--environment", default="", metavar="E", help="a Gymnasium id or a configuration; default: its own")
    parser.add_argument("--seed", type=int, default=0, help="of where episodes begin (default 0)")
    parser.add_argument("--sampled", action="store_true", help="actions as drawn while learning, not the best ones")
    parser.add_argument("--film", type=Path, metavar="FILE.mp4", help="also film an episode")
    parser.add_argument("--json", action="store_true", help="the last line of the output is one JSON object")


def main(arguments: argparse.Namespace) -> int:
    if arguments.episodes < 1:
        raise ConfigError(f"--episodes is {arguments.episodes}; expected 1 or more")
    if arguments.seed < 0:
        raise ConfigError(f"--seed is {arguments.seed}; expected 0 or more")
    from jsac_ros import api

    folders = [arguments.policy, *([arguments.compare] if arguments.compare else [])]
    try:
        policies = [api.load(folder) for folder in folders]
    except ValueError as error:
        raise ConfigError(str(error)) from None
    environment = arguments.environment or _environment_of(arguments.policy, policies[0].about)
    results = _trials(policies, environment, arguments)
    for folder, found in zip(folders, results["policies"], strict=True):
        print(f"{folder}: {_line(found)}")
    if "difference" in results:
        low, high = results["difference"]["success_interval"]
        print(f"difference: success {results['difference']['success']:+.1%} (95 %: {low:+.1%} to {high:+.1%})")
    if arguments.film:
        print(api.film(policies[0], environment, arguments.film, arguments.seed) or f"film: {arguments.film}")
    if arguments.json:
        first = results["policies"][0] | {"environment": environment, "seed": arguments.seed, "sampled": arguments.sampled}
        print(json.dumps(first if not arguments.compare else first | _compared(results)))
    return 0


def _trials(policies: list[Any], environment: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Episode i of every policy, then episode i + 1."""
    from jsac_ros import api
    from jsac_ros.training import trials
    from jsac_ros.training.evaluation import Episode

    played: list[list[Episode]] = [[] for _ in policies]
    with ExitStack() as opened:
        turns = [
            opened.enter_context(api.trials(policy, environment, arguments.seed, arguments.sampled)) for policy in policies
        ]
        for _ in range(arguments.episodes):
            for episodes, turn in zip(played, turns, strict=True):
                episodes.append(next(turn))
    found: dict[str, Any] = {"policies": [trials.figures(episodes) for episodes in played]}
    return found | ({"difference": trials.difference(*played)} if len(played) == 2 else {})


def _compared(results: dict[str, Any]) -> dict[str, Any]:
    return {"compared": results["policies"][1], "difference": results["difference"]}


def _line(found: dict[str, Any]) -> str:
    low, high = found["success_interval"]
    return (
        f"success {found['success']:.1%} (95 %: {low:.1%} to {high:.1%}), return {found['return_mean']:.2f} "
        f"+- {found['return_std']:.2f}, {found['steps_mean']:.1f} steps ({found['episodes']} episodes)"
    )


def _environment_of(folder: Path, about: dict[str, Any]) -> str:
    """Where a policy was learned: a Gymnasium id, or the file of its run's configuration. Raises ConfigError."""
    from jsac_ros import parameters
    from jsac_ros.training.settings import is_configuration

    for file in (folder / "config.yaml", folder.resolve().parent / "config.yaml"):
        if file.is_file():
            config = parameters.load(file, kinds=())
            named = config.train.environment
            if named and not is_configuration(named):
                return named
            if config.robot.driver == "sim":
                return str(file)
            raise ConfigError(f"{file}: robot.driver is {config.robot.driver!r}; expected --environment E to evaluate in")
    named = about["card"].get("train", {}).get("environment", "")
    if not named:
        raise ConfigError(f"policy {folder} does not name its environment; expected --environment E")
    return named
