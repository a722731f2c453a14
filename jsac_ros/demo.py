"""Records demonstrations: a person drives the robot and marks or discards episodes; the successful ones go into a store.

After a reset the robot waits until the person takes over; `success`, `failure` and `discard` (buttons, keys, verbs) end an
episode. The command ends when enough episodes have succeeded, and writes a store for `replay.demonstrations`.

  jsac-ros demo push --episodes 20                           with the gamepad; --device spacemouse, keyboard or a file
  jsac-ros demo push --episodes 20 --expert                  the task's scripted expert in the simulator
  jsac-ros demo keep runs/push_1                             those of a run whose command was killed
  jsac-ros demo list runs/push_1/demonstrations              lists its episodes
  jsac-ros demo page runs/push_1/demonstrations              writes a page with a film of each: episodes.html in the store
  jsac-ros demo drop runs/push_1/demonstrations 3 7          removes two of them
  jsac-ros demo merge demos/monday demos/tuesday demos/all   merges two stores into a new one
  jsac-ros demo import my_dataset push --to demos/theirs     from a LeRobot dataset, v3 (needs pyarrow; its videos: av)
"""

from __future__ import annotations

import argparse
from pathlib import Path

from jsac_ros import domain, run
from jsac_ros.config import ConfigError

DEMONSTRATIONS = "demonstrations"  # in a run folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="a file, a shipped configuration, or keep, list, page, drop, merge, import")
    parser.add_argument(
        "overrides",
        nargs="*",
        default=[],
        metavar="key=value",
        help="section.field=value, seed=3, ...; or the folders of stores",
    )
    parser.add_argument("--episodes", type=int, default=20, metavar="N", help="number of successful episodes (default 20)")
    hand = parser.add_mutually_exclusive_group()
    hand.add_argument("--device", default="gamepad", metavar="MAPPING", help="gamepad, spacemouse, keyboard, leader or a file")
    hand.add_argument("--expert", action="store_true", help="the task's scripted expert instead of a person")
    parser.add_argument("--to", metavar="FOLDER", help="folder of the new store (default: demonstrations/ in the run folder)")
    parser.add_argument(
        "--map", action="append", default=[], metavar="PART=KEY",
        help="import: key of a part of the rig in the dataset: front=observation.images.top, arm=action[0:6]",
    )  # fmt: skip
    parser.add_argument(
        "--namespace", default="", metavar="NAME", help="namespace of all topics and services with relative names"
    )
    parser.add_argument("--duration", type=float, default=None, metavar="S", help="end after this many seconds in any case")
    parser.add_argument("--open", action="store_true", help="open the run's page in a browser (dashboard.enabled=true)")


def main(arguments: argparse.Namespace) -> int:
    verb, rest = arguments.config, arguments.overrides
    if verb not in STORE_VERBS:
        return _record(arguments)
    words, act = STORE_VERBS[verb]
    if len(rest) < len(words.split()) or (verb in ("list", "page", "keep") and len(rest) > 1):
        raise ConfigError(f"demo {verb} {' '.join(rest)}: expected {words}")
    return act(arguments)


def _record(arguments: argparse.Namespace) -> int:
    from jsac_ros.report.demonstrations import demonstrations_of

    folder, status = drive(arguments)
    if not demonstrations_of(folder):
        print("no episode succeeded: no demonstrations to store")
        return status or 1
    _keep_those_of(folder, arguments.to)
    print(
        f"to learn from them: jsac-ros run {arguments.config} replay.demonstrations={arguments.to or folder / DEMONSTRATIONS}"
    )
    return status


def _keep_those_of(folder: Path, to: str | None) -> None:
    """Writes the demonstrations of a run to a store. If the reporter missed the end of an episode, the store decides."""
    from jsac_ros.replay.demonstrations import keep
    from jsac_ros.report.demonstrations import verdicts_of

    target, verdicts = Path(to) if to else folder / DEMONSTRATIONS, verdicts_of(folder)
    wanted = lambda episode: episode.is_complete and verdicts.get(episode.identity, episode.success)
    kept = keep(folder / "replay", target, wanted)
    print(f"{target}: {len(kept)} demonstrations, {sum(episode.steps for episode in kept)} steps")
    _page_of(target)


def _keep(arguments: argparse.Namespace) -> int:
    _keep_those_of(Path(arguments.overrides[0]), arguments.to)
    return 0


def drive(arguments: argparse.Namespace) -> tuple[Path, int]:
    """Runs the system without a learner until enough episodes have succeeded; returns run folder and status.

    arguments: from `add_arguments`. Raises ConfigError.
    """
    if arguments.episodes < 1:
        raise ConfigError(f"--episodes is {arguments.episodes}; expected 1 or more")
    if arguments.to and Path(arguments.to).exists():
        raise ConfigError(f"--to {arguments.to}: exists already; expected a new folder")
    by = ["person.by=expert"] if arguments.expert else ["person.by=device", f"person.mapping={arguments.device}"]
    arguments.only = None  # the whole system
    arguments.overrides = [f"person.episodes={arguments.episodes}", *by, *arguments.overrides]
    resolved = run.resolve(arguments)
    folder = run.prepare(resolved)
    return folder, run.supervise(resolved, folder, None, domain.absolute(arguments.namespace), arguments.open)


def _list(arguments: argparse.Namespace) -> int:
    from jsac_ros.replay.demonstrations import episodes_of
    from jsac_ros.replay.store import FrameStore

    store = FrameStore.read(arguments.overrides[0])
    print("episode  steps   return  success")
    for episode in episodes_of(store):
        incomplete = "" if episode.is_complete else "  incomplete"
        success = "yes" if episode.success else "no"
        print(f"{episode.number:7}  {episode.steps:5}  {episode.episode_return:7.2f}  {success}{incomplete}")
    store.close()
    return 0


def _drop(arguments: argparse.Namespace) -> int:
    from jsac_ros.replay.demonstrations import drop

    store, *numbers = arguments.overrides
    if wrong := [number for number in numbers if not number.isdecimal()]:
        raise ConfigError(f"demo drop: episode {wrong[0]!r}; expected numbers from `jsac-ros demo list {store}`")
    kept = drop(store, set(map(int, numbers)))
    print(f"{store}: {len(kept)} episodes left, {sum(episode.steps for episode in kept)} steps")
    return _page_of(store)


def _merge(arguments: argparse.Namespace) -> int:
    from jsac_ros.replay.copies import merge

    *stores, new = arguments.overrides
    merged = merge(stores, new)
    print(f"{new}: {merged.stored} transitions, {merged.duplicates} were in more than one store, {merged.damaged} were damaged")
    return _page_of(new)


def _page(arguments: argparse.Namespace) -> int:
    return _page_of(arguments.overrides[0])


def _page_of(store: str | Path) -> int:
    """Writes the page of a store and prints its path."""
    from jsac_ros.report.demonstration_page import write_page

    try:
        print(f"to review them: {write_page(store)}")
    except OSError as error:  # the demonstrations themselves are stored
        print(f"warning: {store}: no page was written: {error.strerror}")
        return 1
    return 0


def _import(arguments: argparse.Namespace) -> int:
    try:
        from jsac_ros.bags.lerobot_import import Dataset, import_dataset
    except ImportError:
        raise ConfigError("demo import: pyarrow is not installed; expected `pip install pyarrow`") from None
    from jsac_ros import parameters
    from jsac_ros.rig import Rig

    folder, config, *overrides = arguments.overrides
    if not arguments.to:
        raise ConfigError(f"demo import {folder}: no --to; expected --to STORE, a new folder")
    if wrong := [text for text in arguments.map if not all(text.partition("="))]:
        raise ConfigError(f"--map {wrong[0]}; expected PART=KEY, such as front=observation.images.top")
    keys = {name: key for name, _, key in (text.partition("=") for text in arguments.map)}
    rig = Rig.of(parameters.load(config, dict(map(parameters.parse_override, overrides))))
    dataset = Dataset(folder, rig, keys)
    episodes, steps = import_dataset(dataset, arguments.to)
    left_out = f", {dataset.left_out} skipped: their only action has no known outcome" if dataset.left_out else ""
    print(f"{arguments.to}: {episodes} demonstrations, {steps} steps{left_out}")
    _page_of(arguments.to)
    print(f"to learn from them: jsac-ros run {config} replay.demonstrations={arguments.to}")
    return 0


STORE_VERBS = {
    "keep": ("RUN", _keep),
    "list": ("STORE", _list),
    "page": ("STORE", _page),
    "drop": ("STORE EPISODE...", _drop),
    "merge": ("STORE STORE... NEW", _merge),
    "import": ("DATASET CONFIG", _import),
}
