"""The command `jsac-ros VERB ...`.

Every verb is a module with `add_arguments(parser)` and `main(arguments) -> exit status`; only the requested module is
imported, so that `jsac-ros stop` does not wait for JAX.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import re
import signal
import sys
from importlib.metadata import version
from typing import NoReturn

try:
    from jsac_ros import completion, domain, references, shipped, xla_settings
    from jsac_ros.config import ConfigError
    from jsac_ros.documents import did_you_mean
    from jsac_ros.output import drop_what_is_lost
    from jsac_ros.signals import interrupt_on_endings
except ModuleNotFoundError as error:  # in a bare checkout
    print(
        f"error: Python package {error.name!r} is missing; `make setup` installs all, `bench gpu` names the few it needs",
        file=sys.stderr,
    )
    sys.exit(2)

OPERATOR = {
    "start": "let the actor start: move home, then run episodes",
    "pause": "hold the robot; learning continues",
    "resume": "continue after a pause",
    "stop": "end the episode and hold until started again",
    "reset": "end the episode and begin another one",
    "evaluate": "act deterministically for one episode, not stored; or evaluate a policy: evaluate RUN|POLICY",
    "continue": "confirm that the request of a reset to a person is done",
    "success": "end the episode as a success",
    "failure": "end the episode as a failure",
    "discard": "end the episode as neither success nor failure",
    "checkpoint": "write a checkpoint now",
    "emergency-stop": "bring the robot to rest and latch it there",
    "release": "let a stopped robot move again (look at the robot first)",
}
VERBS = {
    "run": ("jsac_ros.run", "start a whole system: robot or simulator, safety, replay, learner, actor"),
    "doctor": ("jsac_ros.doctor.cli", "check this computer, cameras and robot before a run"),
    "describe": ("jsac_ros.describe", "print as JSON which processes a configuration starts (for the launch file)"),
    **{verb: ("jsac_ros.nodes.operator", text) for verb, text in OPERATOR.items()},
    "status": ("jsac_ros.report.status", "show the running systems: processes, state, episode, why it holds"),
    "dashboard": ("jsac_ros.dashboard.cli", "serve the dashboard of a running system"),
    "runs": ("jsac_ros.report.runs", "list the run folders"),
    "crop": ("jsac_ros.fitting.crop", "choose a camera's crop with the mouse, beside what the policy will see"),
    "teach": ("jsac_ros.fitting.teach", "set joint limits, box and home by showing poses of the arm"),
    "deploy": ("jsac_ros.deploy", "act with a learned policy, without learning"),
    "demo": ("jsac_ros.demo", "demonstrations: record them with a person or the expert; list, drop, merge"),
    "classifier": ("jsac_ros.classifier.cli", "success classifier: record marked episodes, train, judge"),
    "encoder": ("jsac_ros.pretrained.cli", "pretrained encoder: convert published weights, apply it to a store"),
    "new": ("jsac_ros.new.cli", "create your own package: new task NAME"),
    "baseline": ("jsac_ros.baseline", "measure random actions, standing still and a visual servo"),
    "report": ("jsac_ros.report.cli", "rebuild the report of a run folder, or compare several"),
    "why": ("jsac_ros.report.why", "explain what limits a run, and which setting changes it"),
    "replay": ("jsac_ros.replay.cli", "replay stores: inspect, verify, copy, merge"),
    "export": ("jsac_ros.bags.export", "write a replay store in other formats"),
    "play": ("jsac_ros.bags.play", "play a recording back with its original timing"),
    "record": ("jsac_ros.bags.record", "write topics to a recording"),
    "bag": ("jsac_ros.bags.inspect", "check a recording, or convert it to transitions"),
    "recompute": ("jsac_ros.bags.replay", "show what a policy would have done at each step of a recording"),
    "learn": ("jsac_ros.bags.learn", "learn from recordings alone"),
    "train": ("jsac_ros.training.cli", "learn in an environment"),
    "bench": ("jsac_ros.bench.cli", "run benchmarks on this machine"),
}

IMAGES = ("--resume", "train.observe=")  # arguments of trainings that may learn from images
HELP = {"-h", "--help"}
OF_SYSTEM = ("--namespace", "--timeout")  # options of verbs that call a running system
OF_ROS = re.compile(r"jsac_ros\.(nodes|msg)|rclpy|\w+_(msgs|srvs|interfaces)")  # modules that `pip install` does not bring


def _usage() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {text}" for verb, (_, text) in VERBS.items())
    return (
        f"usage: jsac-ros VERB ...\n\n{__package__}: robot skills from pixels, live, on ROS 2\n\n{verbs}\n\n"
        "`jsac-ros help VERB` explains a verb, with examples; `jsac-ros --version` names the version."
    )


class _Parser(argparse.ArgumentParser):
    """Suggests the option that was probably meant."""

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments: -"):
            message += did_you_mean(message.split()[2].partition("=")[0], _options(self))
        super().error(message)


def _options(parser: argparse.ArgumentParser) -> list[str]:
    """The options of a verb and of its sub-verbs."""
    found = list(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found += [option for inner in action.choices.values() for option in _options(inner)]
    return found


def _parse(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    """Options may stand before, between and after `key=value` words."""
    try:
        return parser.parse_intermixed_args(words)
    except TypeError:  # a verb with sub-verbs
        return parser.parse_args(words)


def _module(verb: str, rest: list[str]) -> str:
    """`train` in a reference environment and `evaluate RUN|POLICY` have modules of their own."""
    if verb == "train" and set(references.REPORTS) & set(rest):
        return "jsac_ros.references.cli"
    if verb == "evaluate" and not any(word.startswith(OF_SYSTEM) for word in rest) and set(rest) - HELP:
        return "jsac_ros.training.evaluate_cli"
    return VERBS[verb][0]


def updates_here(verb: str, rest: list[str]) -> bool:
    """Whether this process may learn from images: updates are then faster with settings that must be set before it starts."""
    if verb == "bench":
        return rest[:1] == ["prefetch"]
    if verb == "classifier":
        return rest[:1] == ["train"]
    if verb == "learn":
        return True
    here = verb == "train" and "--asynchronous" not in rest  # else only the learner's process has them
    systems = set(shipped.names()) - set(references.REPORTS) if here else ()
    return here and any(word.startswith(IMAGES) or word.endswith((".yaml", ".yml")) or word in systems for word in rest)


def parser_of(verb: str, rest: list[str]) -> argparse.ArgumentParser:
    """The parser of a verb, which also holds its `main`. Imports its module."""
    module = importlib.import_module(_module(verb, rest))
    parser = _Parser(prog=f"jsac-ros {verb}", description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    module.add_arguments(parser)
    parser.set_defaults(main=module.main)
    return parser


def _perform(verb: str, rest: list[str]) -> int:
    """Returns the exit status of a verb. Raises ConfigError."""
    try:
        parser = parser_of(verb, rest)
        arguments = _parse(parser, rest)
        return arguments.main(arguments)
    except ModuleNotFoundError as error:
        if OF_ROS.match(error.name or ""):
            domain.expect_ros()
        raise


def main(argv: list[str] | None = None) -> int:
    on_command_line = argv is None
    argv = sys.argv[1:] if on_command_line else argv
    if on_command_line and completion.is_asked():
        completion.complete(VERBS, _module)
    if on_command_line:
        drop_what_is_lost()
    if argv[:1] == ["help"]:
        argv = [*argv[1:2], "--help"]
    if not argv or argv[0] in ("-h", "--help"):
        print(_usage())
        return 0 if argv else 2
    if argv[0] == "--version":
        print(f"jsac_ros {version('jsac_ros')}, Python {platform.python_version()}")
        return 0
    verb, *rest = argv
    if verb not in VERBS:
        print(f"error: verb {verb!r} is unknown{did_you_mean(verb, VERBS)}; known are {', '.join(VERBS)}", file=sys.stderr)
        return 2
    if on_command_line:
        interrupt_on_endings()
    if on_command_line and verb in ("train", "learn", "classifier"):
        os.environ.update(xla_settings.compilation_cache() | os.environ)
    if on_command_line and updates_here(verb, rest):
        xla_settings.restart_with_them()
    try:
        return _perform(verb, rest)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        return 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
