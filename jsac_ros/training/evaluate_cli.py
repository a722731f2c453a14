"""Evaluates a policy, without exploration and without storing anything.

  jsac-ros evaluate runs/lift_20260101_120000 --episodes 50
  jsac-ros evaluate my_policy --compare another_policy --environment lift
  jsac-ros evaluate runs/pendulum_v1_20260101_120000 --json | tail -n 1
  jsac-ros evaluate runs/lift_20260101_120000 --best-of 3 --episodes 30      keeps the best of the last three checkpoints
  jsac-ros evaluate                                  of a running system: its next episode is deterministic and not stored

A policy is tested where it was learned, or in --environment: a Gymnasium environment, or a configuration's simulator behind
the safety gate, without ROS. --seed draws the starts of the episodes. Two policies take turns, and trial i starts alike for
both. With --best-of the checkpoints take turns, and the best one becomes the policy of the run. Its figures are biased upwards,
because it was chosen by them: evaluate it again with another --seed.
"""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from jsac_ros import shipped
from jsac_ros.config import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("policy", type=Path, metavar="RUN|POLICY", help="folder of a run or of a policy")
    parser.add_argument("--compare", type=Path, metavar="RUN|POLICY", help="a second policy, tested in turn with the first")
    parser.add_argument("--best-of", type=int, metavar="N", help="test the last N checkpoints of a run and keep the best")
    parser.add_argument("--episodes", type=int, default=50, help="episodes per policy (default 50)")
    parser.add_argument(
        "--environment",
        type=shipped.path_of,
        default="",
        metavar="E",
        help="a Gymnasium id, or a configuration (a file or a shipped one; default: that of the training)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the start states (default 0)")
    parser.add_argument(
        "--sampled", action="store_true", help="sample actions, as during learning, instead of taking the best ones"
    )
    parser.add_argument("--agent", metavar="MODULE:CLASS", help="the policies' algorithm, if it is no installed plug-in")
    parser.add_argument("--film", type=Path, metavar="FILE.mp4", help="also film an episode (.mp4 or .webm)")
    parser.add_argument("--json", action="store_true", help="also print one JSON object, as the last line")


def main(arguments: argparse.Namespace) -> int:
    if arguments.episodes < 1:
        raise ConfigError(f"--episodes is {arguments.episodes}; expected 1 or more")
    if arguments.seed < 0:
        raise ConfigError(f"--seed is {arguments.seed}; expected 0 or more")
    from jsac_ros import api

    if arguments.best_of is not None and (arguments.best_of < 2 or arguments.compare):
        raise ConfigError(f"--best-of is {arguments.best_of}; expected 2 or more, without --compare")
    try:
        policies = _policies(arguments)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    first = next(iter(policies.values()))
    environment = arguments.environment or _environment_of(arguments.policy, first.about)
    results = _trials(list(policies.values()), environment, arguments)
    for name, found in zip(policies, results["policies"], strict=True):
        print(f"{name}: {_line(found)}")
    if arguments.best_of:
        results["policies"] = [_keep_best(policies, results["policies"], arguments)]
    if "difference" in results:
        low, high = results["difference"]["success_interval"]
        print(f"difference: success {results['difference']['success']:+.1%} (95 %: {low:+.1%} to {high:+.1%})")
    if arguments.film:
        print(api.film(first, environment, arguments.film, arguments.seed) or f"film: {arguments.film}")
    if arguments.json:
        found = results["policies"][0] | {"environment": environment, "seed": arguments.seed, "sampled": arguments.sampled}
        print(json.dumps(found if not arguments.compare else found | _compared(results)))
    return 0


def _policies(arguments: argparse.Namespace) -> dict[str, Any]:
    """The policies to test, by their printed names. Raises ValueError, ConfigError."""
    from jsac_ros import api
    from jsac_ros.training import best

    if arguments.best_of:
        found = best.of_checkpoints(arguments.policy, arguments.best_of)
        return {f"checkpoint {updates}": api.Policy(policy) for updates, policy in found.items()}
    folders = [arguments.policy, *([arguments.compare] if arguments.compare else [])]
    return {str(folder): api.load(folder, arguments.agent) for folder in folders}


def _keep_best(policies: dict[str, Any], figures: list[dict[str, Any]], arguments: argparse.Namespace) -> dict[str, Any]:
    """Writes the best policy into the run; returns its figures."""
    from jsac_ros.training import best

    name, found = max(zip(policies, figures, strict=True), key=lambda one: (one[1]["success"], one[1]["return_mean"]))
    actions = "sampled" if arguments.sampled else "best"
    chosen = {"of": list(policies), "checkpoint": name, "actions": actions} | found
    best.keep(arguments.policy, policies[name].exported, chosen)
    print(f"kept {name} in {arguments.policy / 'policy'}")
    return found


def _trials(policies: list[Any], environment: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Runs episode i with every policy, then episode i + 1."""
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
    return found | ({"difference": trials.difference(*played)} if arguments.compare else {})


def _compared(results: dict[str, Any]) -> dict[str, Any]:
    return {"compared": results["policies"][1], "difference": results["difference"]}


def _line(found: dict[str, Any]) -> str:
    low, high = found["success_interval"]
    truth = ""
    if "true_success" in found:
        true_low, true_high = found["true_success_interval"]
        truth = f" by the classifier; true success {found['true_success']:.1%} (95 %: {true_low:.1%} to {true_high:.1%})"
    return (
        f"success {found['success']:.1%} (95 %: {low:.1%} to {high:.1%}){truth}, return {found['return_mean']:.2f} "
        f"+- {found['return_std']:.2f}, {found['steps_mean']:.1f} steps ({found['episodes']} episodes)"
    )


def _environment_of(folder: Path, about: dict[str, Any]) -> str:
    """The environment in which a policy was learned: a Gymnasium id, or its run's configuration file. Raises ConfigError."""
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
