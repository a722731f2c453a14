"""What an untrained and a perfect policy earn on a configured task: `jsac-ros baseline CONFIG`.

Random actions, standing still and a visual servo on the true target, in the simulator without ROS or learning.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jsac_ros.config import ConfigError, SystemConfig, load, parse_override
from jsac_ros.control.shaping import ActionShaper
from jsac_ros.report.tables import write_atomically
from jsac_ros.robots.arm import Arm
from jsac_ros.robots.models import arm_of
from jsac_ros.robots.sim_base import SimBase
from jsac_ros.robots.sim_world import SimWorld
from jsac_ros.robots.visual_servo import drive_to_sign, servo_velocity
from jsac_ros.tasks import make_task

Controller = Callable[[SimWorld], np.ndarray]  # -> [N], rad/s; m/s and rad/s for a base


def measure(config: SystemConfig, episodes: int, seed: int = 0) -> dict[str, dict[str, float]]:
    """Baseline -> {"return_mean", "return_std", "success", "episodes"}; every baseline meets the same discs."""
    if config.robot.driver != "sim":
        raise ConfigError(f"robot.driver is {config.robot.driver!r}; baselines run in the simulator, 'sim'")
    arm = arm_of(config.robot)
    results = {}
    for name, controller in _controllers(config, arm, seed).items():
        task, world = make_task(config, arm), SimWorld(config, seed)
        runs = np.array([_episode(task, world, controller) for _ in range(episodes)])
        results[name] = {
            "return_mean": round(float(runs[:, 0].mean()), 2),
            "return_std": round(float(runs[:, 0].std()), 2),
            "success": float(runs[:, 1].mean()),
            "episodes": episodes,
        }
    return results


def _controllers(config: SystemConfig, arm: Arm, seed: int) -> dict[str, Controller]:
    shaper, n = ActionShaper(config.task), config.task.controlled_joints
    random = np.random.default_rng(seed + 1)

    def servo(world: SimWorld) -> np.ndarray:
        body = world.body
        if isinstance(body, SimBase):
            return drive_to_sign(body, shaper.scale)
        velocity = servo_velocity(arm, body.camera.monitor, body.q, body.disc, n, shaper.scale)
        return np.pad(velocity, (0, len(arm) - n))

    return {
        "random": lambda world: shaper.velocity(random.uniform(-1.0, 1.0, n), len(arm)),
        "still": lambda world: np.zeros(len(arm)),
        "servo": servo,
    }


def _episode(task, world: SimWorld, controller: Controller) -> tuple[float, bool]:
    """One episode; -> undiscounted return and whether it was a success at any step."""
    world.reset()
    task.begin_episode()
    total, success = 0.0, False
    for _ in range(task.episode_steps):
        score = task.score(world.step(controller(world)))
        total += score.reward
        success |= score.success
        if score.terminated:
            break
    return total, success


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="ROS parameter file of the system")
    parser.add_argument("overrides", nargs="*", metavar="section.field=value")
    parser.add_argument("--episodes", type=int, default=50, help="per baseline (default 50)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")


def main(arguments: argparse.Namespace) -> int:
    config = load(arguments.config, dict(parse_override(text) for text in arguments.overrides))
    if arguments.episodes < 1:
        raise ConfigError(f"--episodes is {arguments.episodes}; expected 1 or more")
    results = measure(config, arguments.episodes, arguments.seed)
    if arguments.json:
        write_atomically(arguments.json, json.dumps(results, indent=1) + "\n")
    for name, figures in results.items():
        print(f"{name:8} return {figures['return_mean']:7.1f} +- {figures['return_std']:5.1f}   "
              f"success {figures['success']:4.0%}   ({figures['episodes']} episodes)")  # fmt: skip
    return 0
