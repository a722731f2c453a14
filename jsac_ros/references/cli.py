"""Learns in an environment of our own with the whole loop compiled, and reports on it.

  jsac-ros train cartpole --agent dqn --seeds 20   DQN; 20 seeds at once
  jsac-ros train cartpole --compare 20             steps/s beside a plain Python loop, and of 20 seeds at once
  jsac-ros train pendulum --seeds 3                SAC with a value function
  jsac-ros train rocket_flip_over                  SAC with prioritised replay, two phases
  jsac-ros train rocket_landing

The configuration is `config/<environment>.yaml`. Figures, video, events and `summary.json` go to a folder of the run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import time
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from jsac_ros import config as configuration
from jsac_ros.config import ConfigError, SystemConfig

REPORTS = {
    "cartpole": "jsac_ros.references.cartpole",
    "pendulum": "jsac_ros.references.pendulum",
    "rocket_flip_over": "jsac_ros.references.rocket",
    "rocket_landing": "jsac_ros.references.rocket",
}
# Networks of this size gain nothing from a second thread, and lose when another process wants it.
XLA_FLAGS = "--xla_cpu_multi_thread_eigen=false"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("environment", choices=list(REPORTS))
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="section.field=value of the configuration")
    parser.add_argument("--agent", choices=["dqn", "sac_v", "jsac"], help="another algorithm than the configuration's")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="so many at once, from run.seed on")
    parser.add_argument("--compare", type=int, metavar="N", help="only measure: Python loop, one seed, N seeds")


def main(arguments: argparse.Namespace) -> int:
    os.environ.setdefault("XLA_FLAGS", XLA_FLAGS)  # read when JAX is first used
    config = load(arguments.environment, arguments.agent, arguments.overrides)
    if arguments.seeds < 1:
        raise ConfigError(f"--seeds is {arguments.seeds}; expected 1 or more")
    if arguments.compare:
        from jsac_ros.references.speed import compare_speed

        show(compare_speed(config, arguments.compare))
        return 0
    folder = Path(config.run.folder) / f"{config.run.name}_{time.strftime('%Y%m%d_%H%M%S')}"
    folder.mkdir(parents=True)
    configuration.dump(config, folder / "config.yaml")
    trained, timing = train(config, arguments.seeds)
    report = importlib.import_module(REPORTS[arguments.environment])
    summary = timing | report.report(config, trained, folder)
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    show(summary)
    print(f"run folder: {folder}")
    return 0


def show(summary: dict) -> None:
    for name, value in summary.items():
        print(f"{name.replace('_', ' ')}: {value}")


def load(environment: str, agent: str | None, overrides: list[str]) -> SystemConfig:
    """`config/<environment>.yaml` with what the command line changes. Raises ConfigError."""
    changes = dict(configuration.parse_override(text) for text in overrides)
    if agent:
        changes["agent.algorithm"] = agent
    config = configuration.load(configuration_folder() / f"{environment}.yaml", changes)
    if config.train.environment != environment:
        raise ConfigError(f"train.environment is {config.train.environment}; expected {environment}")
    return config


def configuration_folder() -> Path:
    """`config/` of the source tree, or of the installed package."""
    beside = Path(__file__).parents[2] / "config"
    prefixes = [Path(p) / "share/jsac_ros/config" for p in os.environ.get("AMENT_PREFIX_PATH", "").split(":") if p]
    for folder in (beside, *prefixes):
        if folder.is_dir():
            return folder
    raise ConfigError(f"config folder: expected {beside}, or share/jsac_ros/config in AMENT_PREFIX_PATH")


def train(config: SystemConfig, seeds: int):
    """Trains `seeds` seeds at once under a progress bar: what was learned, [seeds] first, and how long it took."""
    import jax

    from jsac_ros.references.loop import fresh_agents, make_train, one

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeElapsedColumn()) as progress:
        task = progress.add_task("compiling", total=config.train.steps, rate="")

        def advanced(steps: int) -> None:
            progress.update(task, advance=steps)
            done = progress.tasks[task].completed
            progress.update(task, rate=f"{seeds * done / (time.perf_counter() - began):,.0f} steps/s")

        try:
            loop, started = make_train(config, advanced), fresh_agents(config, seeds)
        except ValueError as error:  # shapes or numbers that do not go together
            raise ConfigError(str(error)) from None
        if seeds == 1:  # without the axis of the seeds it runs faster
            started = one(started)
        began = time.perf_counter()
        compiled = jax.jit(loop if seeds == 1 else jax.vmap(loop)).lower(*started).compile()
        compile_s, began = time.perf_counter() - began, time.perf_counter()
        progress.update(task, description=f"{config.agent.algorithm} on {config.train.environment}")
        trained = jax.block_until_ready(compiled(*started))
        jax.effects_barrier()  # the last report
        run_s = time.perf_counter() - began
    timing = {
        "compile_s": round(compile_s, 1),
        "run_s": round(run_s, 2),
        "steps_per_s": round(seeds * config.train.steps / run_s),
    }
    return (jax.tree.map(lambda leaf: leaf[None], trained) if seeds == 1 else trained), timing
