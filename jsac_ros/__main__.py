"""The command `jsac-ros VERB ...`.

Every verb is a module with `add_arguments(parser)` and `main(arguments) -> exit status`; only the one that is asked for
is imported, so that `jsac-ros stop` does not wait for JAX.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import signal
import sys
from importlib.metadata import version

from jsac_ros import completion, references, xla_settings
from jsac_ros.config import ConfigError
from jsac_ros.documents import did_you_mean
from jsac_ros.output import drop_what_is_lost
from jsac_ros.signals import interrupt_on_endings

OPERATOR = {
    "start": "let the actor begin: home, then episodes",
    "pause": "hold the robot; learning continues",
    "resume": "continue after a pause",
    "stop": "end the episode and hold until started again",
    "reset": "end the episode and begin another one",
    "evaluate": "one episode with deterministic actions, not stored; of a policy: evaluate RUN|POLICY",
    "continue": "what a reset asked a person to do is done",
    "success": "end the episode: it succeeded",
    "failure": "end the episode: it failed",
    "discard": "end the episode as neither success nor failure",
    "checkpoint": "write a checkpoint now",
    "emergency-stop": "bring the robot to rest and latch it there",
    "release": "let a stopped robot move again, after a look at it",
}
VERBS = {
    "run": ("jsac_ros.run", "start a whole system: robot or simulator, safety, replay, learner, actor"),
    "doctor": ("jsac_ros.doctor.cli", "whether this computer, and camera and robot, are fit for a run"),
    "describe": ("jsac_ros.describe", "say as JSON which processes a configuration makes (for the launch file)"),
    **{verb: ("jsac_ros.nodes.operator", text) for verb, text in OPERATOR.items()},
    "status": ("jsac_ros.report.status", "what runs now: processes, state, episode, why it holds"),
    "dashboard": ("jsac_ros.dashboard.cli", "the page of a running system: watch it, stop it, judge it"),
    "runs": ("jsac_ros.report.runs", "the run folders, a line each"),
    "deploy": ("jsac_ros.deploy", "act with a policy learned before; nothing is learned"),
    "demo": ("jsac_ros.demo", "demonstrations: record them with a person or the expert; list, drop, merge"),
    "classifier": ("jsac_ros.classifier.cli", "success from images: record marked episodes, train, judge"),
    "new": ("jsac_ros.new.cli", "begin a package of your own: new task NAME"),
    "baseline": ("jsac_ros.baseline", "what random actions, standing still and a visual servo earn"),
    "report": ("jsac_ros.report.cli", "rebuild the report of a run folder; compare several"),
    "why": ("jsac_ros.report.why", "what limits a run, and the setting that changes it"),
    "replay": ("jsac_ros.replay.cli", "look into a replay store; or judge a recording: replay BAG --checkpoint C"),
    "export": ("jsac_ros.bags.export", "write a replay store in the formats of others"),
    "play": ("jsac_ros.bags.play", "publish a recording with its own spacing"),
    "record": ("jsac_ros.bags.record", "write topics to a recording"),
    "bag": ("jsac_ros.bags.inspect", "check a recording, or make replay steps of it"),
    "train": ("jsac_ros.training.cli", "learn in an environment, or from recordings: train --bags BAG..."),
    "bench": ("jsac_ros.bench.cli", "measure a part on this machine"),
}

IMAGES = ("--bags", "--resume", "train.observe=")  # words of trainings that may learn from images
HELP = {"-h", "--help"}
OF_SYSTEM = ("--namespace", "--timeout")  # options of verbs that a running system is asked
STORE_VERBS = ("info", "verify", "snapshot", "merge", "-h", "--help")


def _usage() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {text}" for verb, (_, text) in VERBS.items())
    return (
        f"usage: jsac-ros VERB ...\n\n{__package__}: robot skills from pixels, live, on ROS 2\n\n{verbs}\n\n"
        "`jsac-ros help VERB` explains a verb, with examples; `jsac-ros --version` names the version."
    )


def _parse(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    """Options may stand before, between and behind `key=value` words."""
    try:
        return parser.parse_intermixed_args(words)
    except TypeError:  # a verb with sub-verbs
        return parser.parse_args(words)


def _module(verb: str, rest: list[str]) -> str:
    """Verbs with other meanings: `train --bags ...`, `train` in an environment of the references, `replay BAG ...`,
    `evaluate RUN|POLICY ...`."""
    if verb == "train" and "--bags" in rest:
        return "jsac_ros.bags.learn"
    if verb == "train" and set(references.REPORTS) & set(rest):
        return "jsac_ros.references.cli"
    if verb == "replay" and rest and rest[0] not in STORE_VERBS:
        return "jsac_ros.bags.replay"
    if verb == "evaluate" and not any(word.startswith(OF_SYSTEM) for word in rest) and set(rest) - HELP:
        return "jsac_ros.training.evaluate_cli"
    return VERBS[verb][0]


def updates_here(verb: str, rest: list[str]) -> bool:
    """Whether this very process may learn from images: updates are then faster with settings that it must begin with."""
    if verb == "bench":
        return rest[:1] == ["prefetch"]
    if verb == "classifier":
        return rest[:1] == ["train"]
    here = verb == "train" and "--asynchronous" not in rest  # else the learner's process has them, and no other
    return here and any(word.startswith(IMAGES) or word.endswith((".yaml", ".yml")) for word in rest)


def parser_of(verb: str, rest: list[str]) -> argparse.ArgumentParser:
    """The parser of a verb, which also holds its `main`. Imports its module."""
    module = importlib.import_module(_module(verb, rest))
    parser = argparse.ArgumentParser(
        prog=f"jsac-ros {verb}", description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    module.add_arguments(parser)
    parser.set_defaults(main=module.main)
    return parser


def main(argv: list[str] | None = None) -> int:
    on_command_line = argv is None
    argv = sys.argv[1:] if on_command_line else argv
    if on_command_line and completion.is_asked():
        completion.complete(VERBS, _module)
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
        drop_what_is_lost()
        interrupt_on_endings()
    if on_command_line and verb in ("train", "classifier"):
        os.environ.update(xla_settings.compilation_cache() | os.environ)
    if on_command_line and updates_here(verb, rest):
        xla_settings.restart_with_them()
    parser = parser_of(verb, rest)
    try:
        arguments = _parse(parser, rest)
        return arguments.main(arguments)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        return 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
