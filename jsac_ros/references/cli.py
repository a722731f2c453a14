"""Trains in one of the package's JAX environments with the whole loop compiled, and writes a report.

  jsac-ros train cartpole --seeds 20               DQN; 20 seeds at once
  jsac-ros train cartpole --compare 20             steps/s of a plain Python loop, of one seed and of 20 seeds at once
  jsac-ros train pendulum --seeds 3                SAC with a value function
  jsac-ros train rocket_flip_over                  SAC with prioritised replay, two phases
  jsac-ros train rocket_landing

The configuration is `config/<environment>.yaml`. The run folder contains the files of a live run for the first seed, and
figures, a film and `results.json` for all seeds.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import time
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from jsac_ros import parameters, plugins
from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.files import write_text
from jsac_ros.references import REPORTS
from jsac_ros.report import loggers

KINDS = ("agent",)
SECTIONS = ("run", "train", "agent", "replay", "report")  # the sections that apply here
# Networks of this size gain nothing from a second thread, and are slower when another process competes for it.
XLA_FLAGS = "--xla_cpu_multi_thread_eigen=false"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("environment", choices=list(REPORTS), help="a reference environment")
    parser.add_argument(
        "overrides", nargs="*", default=[], metavar="key=value", help="section.field=value of the configuration"
    )
    parser.add_argument("--agent", metavar="TYPE", help="algorithm to use instead of the configured one")
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="number of seeds to train in parallel, from run.seed on"
    )
    parser.add_argument(
        "--compare", type=int, metavar="N", help="only measure the speed of a Python loop, of one seed and of N seeds"
    )


def main(arguments: argparse.Namespace) -> int:
    os.environ.setdefault("XLA_FLAGS", XLA_FLAGS)  # read when JAX is first used
    for name in ("seeds", "compare"):
        if (value := getattr(arguments, name)) is not None and value < 1:
            raise ConfigError(f"--{name} is {value}; expected 1 or more")
    config = load(arguments.environment, arguments.agent, arguments.overrides)

    from jsac_ros.references import record
    from jsac_ros.references.loop import Reference

    reference = Reference.of(config)
    if arguments.compare:
        from jsac_ros.references.speed import compare_speed

        show(compare_speed(reference, arguments.compare))
        return 0
    trained, timing = train(reference, arguments.seeds)
    folder = Path(config.run.folder).expanduser() / f"{config.run.name}_{time.strftime('%Y%m%d_%H%M%S')}"
    folder.mkdir(parents=True)
    parameters.dump(config, folder / "config.yaml", SECTIONS)
    record.write(reference, trained, timing["run_s"], folder)
    report = importlib.import_module(REPORTS[arguments.environment])
    results = timing | report.report(reference, trained, folder)
    write_text(folder / "results.json", json.dumps(results, indent=2) + "\n")
    show(results)
    print(f"run folder: {folder}")
    return 0


def show(results: dict) -> None:
    for name, value in results.items():
        print(f"{name.replace('_', ' ')}: {value}")


def load(environment: str, agent: str | None, overrides: list[str]) -> SystemConfig:
    """`config/<environment>.yaml` with the changes of the command line. Raises ConfigError.

    agent: another algorithm; parameters in the configuration that it does not have are dropped.
    """
    config = parameters.load(environment, kinds=KINDS)
    tree = parameters.to_parameters(config)
    if agent is not None:
        known = plugins.load("agent", agent).Parameters.model_fields
        tree["agent"] = {name: value for name, value in tree["agent"].items() if name in known} | {"type": agent}
    changes = dict(parameters.parse_override(text) for text in overrides)
    for name in changes:
        if name.partition(".")[0] not in SECTIONS:
            raise ConfigError(f"{name}: does not apply to {environment}; expected a field of {', '.join(SECTIONS)}")
    config = parameters.from_parameters(parameters.with_overrides(tree, changes), KINDS)
    loggers.check(config.report)
    if config.train.environment != environment:
        raise ConfigError(f"train.environment is {config.train.environment}; expected {environment}")
    return config


def train(reference, seeds: int):
    """Trains `seeds` seeds at once with a progress bar. Returns a Trained with a leading axis [seeds], and the timing."""
    import jax

    from jsac_ros.references.loop import fresh_states, make_train, one

    train = reference.config.train
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeElapsedColumn()) as progress:
        task = progress.add_task("compiling", total=train.steps, rate="")

        def advanced(steps: int) -> None:
            progress.update(task, advance=steps)
            done = progress.tasks[task].completed
            progress.update(task, rate=f"{seeds * done / (time.perf_counter() - began):,.0f} steps/s")

        try:
            loop, started = make_train(reference, advanced), fresh_states(reference, seeds)
            if seeds == 1:  # faster without a seed axis
                started = one(started)
            began = time.perf_counter()
            compiled = jax.jit(loop if seeds == 1 else jax.vmap(loop)).lower(*started).compile()
        except ValueError as error:  # replay.capacity is not a multiple of the environments
            raise ConfigError(str(error)) from None
        compile_s, began = time.perf_counter() - began, time.perf_counter()
        progress.update(task, description=f"{reference.config.agent.type} on {train.environment}")
        trained = jax.block_until_ready(compiled(*started))
        jax.effects_barrier()  # the last report
        run_s = time.perf_counter() - began
    timing = {
        "compile_s": round(compile_s, 1),
        "run_s": round(run_s, 2),
        "steps_per_s": round(seeds * train.steps / run_s),
    }
    return (jax.tree.map(lambda leaf: leaf[None], trained) if seeds == 1 else trained), timing
