"""Learns in a Gymnasium environment, or in the simulator of a configured system, one update per step.

  jsac-ros train Pendulum-v1
  jsac-ros train Hopper-v5 --steps 300000 agent.hidden=[256,256]
  jsac-ros train Reacher-v5 train.observe=[render]  from rendered images (gymnasium[mujoco], OpenGL); [state,render]: both
  jsac-ros train my_lab:Peg-v0                      an environment of your own, with images, vectors or several of both
  jsac-ros train lift                               a robot's skill, without ROS and faster than real time
  jsac-ros train lift --demonstrations 20 --interventions
                                                    also from the task's scripted expert and scripted person
  jsac-ros train Pendulum-v1 --resume runs/pendulum_v1_20260101_120000 --steps 40000
  jsac-ros train Hopper-v5 --asynchronous           with the live system's learner and replay processes

The run folder holds config.yaml, replay/, demonstrations/, checkpoints/, policy/, tables, events, summary.json, report.html
and video.mp4.
From Python: `jsac_ros.train("Pendulum-v1")` (docs/python.md).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from jsac_ros import parameters, shipped
from jsac_ros.config import ConfigError
from jsac_ros.training import settings

# The live system with an environment instead of robot, safety and actor
DRIVER = {"robot": {"driver": "gymnasium"}}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "environment", type=shipped.path_of, help="a Gymnasium id, module:id, or a configuration (a file or a shipped one)"
    )
    parser.add_argument(
        "overrides", nargs="*", default=[], metavar="key=value", help="section.field=value of the configuration"
    )
    parser.add_argument("--agent", metavar="TYPE", help="algorithm (default: dqn for discrete actions, else jsac)")
    parser.add_argument("--steps", type=int, help="environment steps in total, including resumed ones (default 20000)")
    parser.add_argument("--evaluate-every", type=int, metavar="STEPS", help="steps between two evaluations (default 5000)")
    parser.add_argument("--demonstrations", type=int, metavar="N", help="first record episodes of the task's scripted expert")
    parser.add_argument("--interventions", action="store_true", help="a scripted person takes over when the policy is stuck")
    parser.add_argument("--asynchronous", action="store_true", help="act, store and learn in separate processes (needs ROS 2)")
    parser.add_argument("--resume", type=Path, metavar="FOLDER", help="run folder to continue")


def main(arguments: argparse.Namespace) -> int:
    from jsac_ros import api

    sections = _sections(arguments)
    if arguments.asynchronous:
        return asynchronous(arguments.environment, sections)
    try:
        run = api.train(arguments.environment, resume=arguments.resume, **sections)
    except ConfigError:
        raise
    except ValueError as error:  # the store or checkpoint of another run, updates that are not finite
        raise ConfigError(str(error)) from None
    try:
        run.video()
    except ConfigError as error:
        print(error)
    print(f"run folder: {run.folder}")
    return 0


def _sections(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """{section: {field: value}} of the command line. Raises ConfigError."""
    if arguments.resume and arguments.agent:
        raise ConfigError(f"--agent {arguments.agent} does not apply: the run that is continued has its own")
    if arguments.asynchronous and settings.is_configuration(arguments.environment):
        raise ConfigError(f"--asynchronous does not apply to {arguments.environment}; expected `jsac-ros run` of it")
    if arguments.resume and arguments.asynchronous:
        raise ConfigError(f"--resume {arguments.resume}: expected learner.resume={arguments.resume} with --asynchronous")
    words = {
        "agent.type": arguments.agent, "train.steps": arguments.steps, "train.evaluate_every": arguments.evaluate_every,
        "train.demonstrations": arguments.demonstrations, "person.by": "intervener" if arguments.interventions else None,
    }  # fmt: skip
    given = {name: value for name, value in words.items() if value is not None}
    sections: dict[str, dict[str, Any]] = {}
    for name, value in (given | dict(parameters.parse_override(text) for text in arguments.overrides)).items():
        section, _, field = name.partition(".")
        sections.setdefault(section, {})[field] = value
    return sections


def asynchronous(environment: str, sections: dict[str, dict[str, Any]]) -> int:
    """The live system with `nodes/environment.py` instead of robot, safety and actor; returns the exit status."""
    from jsac_ros import domain, run, system
    from jsac_ros.training import environment as environments
    from jsac_ros.training.spaces import spaces_of

    domain.expect_ros()
    section = settings.train_section(sections)
    if section.demonstrations:
        raise ConfigError(
            f"train.demonstrations is {section.demonstrations}; with --asynchronous expected replay.demonstrations=STORE"
        )
    env = environments.make(environment, section)
    spaces = spaces_of(env, section)
    env.close()
    config = settings.configuration(environment, sections, spaces, parameters.ALL, DRIVER)
    if misfits := config.agent.misfits(spaces):
        raise ConfigError("\n".join(misfits))
    system.check(config)
    return run.run(config, spaces=spaces)
