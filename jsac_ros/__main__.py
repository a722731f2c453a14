"""The command `jsac-ros VERB ...`.

Every verb is a module with `add_arguments(parser)` and `main(arguments) -> exit status`; only the one that is asked for
is imported, so that `jsac-ros stop` does not wait for JAX.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from jsac_ros import xla_settings
from jsac_ros.config import ConfigError

OPERATOR = {
    "start": "let the actor begin: home, then episodes",
    "pause": "hold the robot; learning goes on",
    "resume": "go on after a pause",
    "stop": "end the episode and hold until started again",
    "reset": "end the episode and begin another one",
    "evaluate": "one episode with deterministic actions, not stored",
    "checkpoint": "write a checkpoint now",
    "emergency-stop": "bring the robot to rest and latch it there",
    "release": "let a stopped robot move again, after a look at it",
}
VERBS = {
    "run": ("jsac_ros.run", "start a whole system: robot or simulator, safety, replay, learner, actor"),
    "describe": ("jsac_ros.describe", "say as JSON which processes a configuration makes (for the launch file)"),
    **{verb: ("jsac_ros.nodes.operator", text) for verb, text in OPERATOR.items()},
    "baseline": ("jsac_ros.baseline", "what random actions, standing still and a visual servo earn"),
    "report": ("jsac_ros.report.cli", "rebuild the report of a run folder"),
    "replay": ("jsac_ros.replay.cli", "look into a replay store; or judge a recording: replay BAG --checkpoint C"),
    "play": ("jsac_ros.bags.play", "publish a recording with its own spacing"),
    "record": ("jsac_ros.bags.record", "write topics to a recording"),
    "bag": ("jsac_ros.bags.inspect", "check a recording, or make replay steps of it"),
    "train": ("jsac_ros.train", "learn in a Gymnasium environment, or from recordings: train --bags BAG..."),
    "bench": ("jsac_ros.bench.cli", "measure a part on this machine"),
}

PICTURES = ("--bags", "--observe", "--resume")  # words of trainings that may learn from pictures
STORE_VERBS = ("info", "verify", "snapshot", "merge", "export", "-h", "--help")


def _usage() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {text}" for verb, (_, text) in VERBS.items())
    return f"usage: jsac-ros VERB ...\n\n{__package__}: robot skills from pixels, live, on ROS 2\n\n{verbs}\n\n" \
        "`jsac-ros VERB --help` says more."


def _parse(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    """Options may stand before, between and behind `key=value` words."""
    try:
        return parser.parse_intermixed_args(words)
    except TypeError:  # a verb with verbs of its own
        return parser.parse_args(words)


def _module(verb: str, rest: list[str]) -> str:
    """Two verbs have a second meaning, for recordings: `train --bags ...` and `replay BAG ...`."""
    if verb == "train" and "--bags" in rest:
        return "jsac_ros.bags.learn"
    if verb == "replay" and rest and rest[0] not in STORE_VERBS:
        return "jsac_ros.bags.replay"
    return VERBS[verb][0]


def _updates_here(verb: str, rest: list[str]) -> bool:
    """Whether this very process may learn from pictures, which takes settings that it must begin with."""
    if verb == "bench":
        return rest[:1] == ["prefetch"]
    here = verb == "train" and "--asynchronous" not in rest  # else a learner of its own has them, and no other process
    return here and any(word.startswith(PICTURES) for word in rest)


def main(argv: list[str] | None = None) -> int:
    on_command_line = argv is None
    argv = sys.argv[1:] if on_command_line else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0 if argv else 2
    verb, *rest = argv
    if verb not in VERBS:
        print(f"error: verb {verb!r} is unknown; known are {', '.join(VERBS)}", file=sys.stderr)
        return 2
    if on_command_line and verb == "train":
        os.environ.update(xla_settings.compilation_cache() | os.environ)
    if on_command_line and _updates_here(verb, rest):
        xla_settings.restart_with_them()
    module = importlib.import_module(_module(verb, rest))
    parser = argparse.ArgumentParser(
        prog=f"jsac-ros {verb}", description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    module.add_arguments(parser)
    try:
        return module.main(_parse(parser, rest))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
