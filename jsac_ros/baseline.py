"""Measures the returns of an untrained and of a near perfect policy on a configured task.

  jsac-ros baseline ur5_reacher_demo
  jsac-ros baseline my_ur5.yaml --episodes 20 --json baseline.json task.reward=sparse

It runs random actions, standing still and the simulator's baselines (a servo on the true target, an expert), in the
simulator without ROS or learning.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from jsac_ros import plugins
from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.files import write_text
from jsac_ros.parameters import load, parse_override
from jsac_ros.rig import Rig
from jsac_ros.sim.world import World
from jsac_ros.types import Command

Controller = Callable[[], Command]  # the current command
KINDS = ("robot", "action", "task", "sim")


def measure(config: SystemConfig, episodes: int, seed: int = 0) -> dict[str, dict[str, float]]:
    """Baseline -> {"return_mean", "return_std", "success", "episodes"}; every baseline gets the same scenes."""
    if config.robot.driver != "sim":
        raise ConfigError(f"robot.driver is {config.robot.driver!r}; baselines run in the simulator, 'sim'")
    results = {}
    with closing(World(Rig.of(config), seed)) as world:
        names = tuple(_controllers(world, seed))
    for name in names:
        with closing(World(Rig.of(config), seed)) as world:  # a new rig, whose task draws the starts of episodes
            controller = _controllers(world, seed)[name]
            with plugins.named(f"task {config.task.type!r} in {config.sim.type!r}, baseline {name}"):
                runs = np.array([_episode(world, controller) for _ in range(episodes)])
        results[name] = {
            "return_mean": round(float(runs[:, 0].mean()), 2),
            "return_std": round(float(runs[:, 0].std()), 2),
            "success": float(runs[:, 1].mean()),
            "episodes": episodes,
        }
    return results


def _controllers(world: World, seed: int) -> dict[str, Controller]:
    rig, sim = world.rig, world.sim
    random, spaces, expert = np.random.default_rng(seed + 1), rig.spaces, rig.task.expert(seed)

    def anything() -> Command:
        action = {
            part.name: random.integers(part.choices, size=1) if part.choices else random.uniform(-1.0, 1.0, part.size)
            for part in spaces.actions
        }
        return rig.actions.command(action, world.view().sensed)

    controllers = {"random": anything, "still": lambda: rig.actions.rest} | sim.baselines()
    if expert is not None:
        controllers["expert"] = lambda: rig.actions.command(expert(sim.truth), world.view().sensed)
    return controllers


def _episode(world: World, controller: Controller) -> tuple[float, bool]:
    """Runs one episode; returns its undiscounted return and whether any step was a success."""
    rig, task = world.rig, world.rig.task
    world.reset(task.start())
    before = world.view().sensed
    task.begin(before)
    rig.actions.begin(before)
    nothing = rig.spaces.split_action(np.zeros(rig.spaces.action_size, np.float32))
    total, success = 0.0, False
    for _ in range(rig.episode_steps):
        world.step(controller())
        after = world.view().sensed
        score = task.score(before, nothing, after)
        before = after
        total += score.reward
        success |= score.success
        if score.terminated:
            break
    return total, success


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="a ROS parameter file, or the name of a shipped configuration")
    parser.add_argument(
        "overrides", nargs="*", default=[], metavar="key=value", help="section.field=value of the configuration"
    )
    parser.add_argument("--episodes", type=int, default=50, help="episodes per baseline (default 50)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the scenes (default 0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")


def main(arguments: argparse.Namespace) -> int:
    config = load(arguments.config, dict(parse_override(text) for text in arguments.overrides), KINDS)
    if arguments.episodes < 1:
        raise ConfigError(f"--episodes is {arguments.episodes}; expected 1 or more")
    results = measure(config, arguments.episodes, arguments.seed)
    if arguments.json:
        write_text(arguments.json, json.dumps(results, indent=1) + "\n")
    for name, figures in results.items():
        print(
            f"{name:8} return {figures['return_mean']:7.1f} +- {figures['return_std']:5.1f}   "
            f"success {figures['success']:4.0%}   ({figures['episodes']} episodes)"
        )
    return 0
