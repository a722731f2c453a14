"""Demonstrations: a person drives, marks and discards episodes; what succeeded becomes a store to learn from.

A reset, then the robot waits until the person takes over; `success`, `failure` and `discard` (buttons, keys, verbs) end an
episode with the person's word. It ends by itself when enough episodes have succeeded, and leaves a store for
`replay.demonstrations`.

  jsac-ros demo push --episodes 20                           with the gamepad; --device spacemouse, keyboard or a file
  jsac-ros demo push --episodes 20 --expert                  the task's scripted expert in the simulator
  jsac-ros demo list runs/push_1/demonstrations              its episodes
  jsac-ros demo drop runs/push_1/demonstrations 3 7          without two of them
  jsac-ros demo merge demos/monday demos/tuesday demos/all   two stores as a new one
"""

from __future__ import annotations

import argparse
from pathlib import Path

from jsac_ros import domain, run
from jsac_ros.config import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="a file, a shipped configuration, or list, drop, merge")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="section.field=value, seed=3, ...; or stores")
    parser.add_argument("--episodes", type=int, default=20, metavar="N", help="that succeed (default 20)")
    hand = parser.add_mutually_exclusive_group()
    hand.add_argument("--device", default="gamepad", metavar="MAPPING", help="gamepad, spacemouse, keyboard or a file")
    hand.add_argument("--expert", action="store_true", help="the task's scripted expert in the person's place")
    parser.add_argument("--to", metavar="FOLDER", help="of the store (default: demonstrations/ in the run folder)")
    parser.add_argument("--namespace", default="", metavar="NAME", help="of all topics and services that are not absolute")
    parser.add_argument("--duration", type=float, default=None, metavar="S", help="end after so many seconds in any case")
    parser.add_argument("--open", action="store_true", help="open the run's page in a browser (dashboard.enabled=true)")


def main(arguments: argparse.Namespace) -> int:
    verb, rest = arguments.config, arguments.overrides
    if verb not in STORE_VERBS:
        return _record(arguments)
    words, act = STORE_VERBS[verb]
    if len(rest) < len(words.split()) or (verb == "list" and len(rest) > 1):
        raise ConfigError(f"demo {verb} {' '.join(rest)}: expected {words}")
    return act(rest)


def _record(arguments: argparse.Namespace) -> int:
    from jsac_ros.replay.demonstrations import keep
    from jsac_ros.report.demonstrations import demonstrations_of

    folder, status = drive(arguments)
    shown = demonstrations_of(folder)
    if not shown:
        print("no episode succeeded: there is no demonstration to keep")
        return status or 1
    target = Path(arguments.to) if arguments.to else folder / "demonstrations"
    kept = keep(folder / "replay", target, lambda episode: episode.identity in shown and episode.is_complete)
    print(f"{target}: {len(kept)} demonstrations, {sum(episode.steps for episode in kept)} steps")
    print(f"to learn from them: jsac-ros run {arguments.config} replay.demonstrations={target}")
    return status


def drive(arguments: argparse.Namespace) -> tuple[Path, int]:
    """The system without a learner, until enough episodes succeeded; -> run folder, exit status. Raises ConfigError.

    arguments: of `add_arguments`.
    """
    if arguments.episodes < 1:
        raise ConfigError(f"--episodes is {arguments.episodes}; expected 1 or more")
    if arguments.to and Path(arguments.to).exists():
        raise ConfigError(f"--to {arguments.to}: is there already; expected a new folder")
    by = ["person.by=expert"] if arguments.expert else ["person.by=device", f"person.mapping={arguments.device}"]
    arguments.only = None  # the whole system
    arguments.overrides = [f"person.episodes={arguments.episodes}", *by, *arguments.overrides]
    resolved = run.resolve(arguments)
    folder = run.prepare(resolved)
    return folder, run.supervise(resolved, folder, None, domain.absolute(arguments.namespace), arguments.open)


def _list(words: list[str]) -> int:
    from jsac_ros.replay.demonstrations import episodes_of
    from jsac_ros.replay.store import FrameStore

    store = FrameStore.read(words[0])
    print("episode  steps   return  success")
    for episode in episodes_of(store):
        incomplete = "" if episode.is_complete else "  incomplete"
        success = "yes" if episode.success else "no"
        print(f"{episode.number:7}  {episode.steps:5}  {episode.episode_return:7.2f}  {success}{incomplete}")
    store.close()
    return 0


def _drop(words: list[str]) -> int:
    from jsac_ros.replay.demonstrations import drop

    store, *numbers = words
    if wrong := [number for number in numbers if not number.isdecimal()]:
        raise ConfigError(f"demo drop: episode {wrong[0]!r}; expected numbers as `jsac-ros demo list {store}` has them")
    kept = drop(store, set(map(int, numbers)))
    print(f"{store}: {len(kept)} episodes left, {sum(episode.steps for episode in kept)} steps")
    return 0


def _merge(words: list[str]) -> int:
    from jsac_ros.replay.copies import merge

    *stores, new = words
    merged = merge(stores, new)
    print(f"{new}: {merged.stored} transitions, {merged.duplicates} were in more than one store, {merged.damaged} were damaged")
    return 0


STORE_VERBS = {"list": ("STORE", _list), "drop": ("STORE EPISODE...", _drop), "merge": ("STORE STORE... NEW", _merge)}
