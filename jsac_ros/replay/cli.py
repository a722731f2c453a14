"""jsac-ros replay info STORE | verify STORE | snapshot STORE NEW | merge STORE... NEW | export STORE NEW --to FORMAT

STORE is the `replay/` folder of a run. `info`, `snapshot` and `verify` may be used while replay writes to it. A
snapshot is a store itself: put its path into `replay.folder` to go on from it, or into `replay.demonstrations` to learn
from it.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from jsac_ros.replay import format as files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="replay_verb", required=True, metavar="info|verify|snapshot|merge|export")
    info = verbs.add_parser("info", help="what is in a store")
    info.add_argument("store")
    info.add_argument("--json", action="store_true", help="for programs")
    verify = verbs.add_parser("verify", help="read everything; say what is damaged; exit status 1 if anything is")
    verify.add_argument("store")
    snapshot = verbs.add_parser("snapshot", help="copy a store, also while replay writes to it")
    snapshot.add_argument("store")
    snapshot.add_argument("new")
    merge = verbs.add_parser("merge", help="one new store from several; what is in two of them comes once")
    merge.add_argument("store", nargs="+")
    merge.add_argument("new")
    merge.add_argument("--capacity", type=int, default=0, help="steps; default: as many as there are")
    export = verbs.add_parser("export", help="write a store in another format")
    export.add_argument("store")
    export.add_argument("new")
    export.add_argument("--to", choices=("rlds", "lerobot", "rosbag2"), default="rlds")
    export.add_argument("--rate", type=float, default=25.0, help="lerobot: control rate, Hz")
    export.add_argument("--task", default="", help="lerobot: what the robot does, in words")


def main(arguments: argparse.Namespace) -> int:
    verbs = {"info": _info, "verify": _verify, "snapshot": _snapshot, "merge": _merge, "export": _export}
    return verbs[arguments.replay_verb](arguments)


def _info(arguments) -> int:
    found = describe(arguments.store)
    if arguments.json:
        print(json.dumps(found, indent=1))
        return 0
    streams = found.pop("streams")
    for name, value in found.items():
        print(f"{name:<12} {value}")
    for stream in streams:
        line = "{robot}, session {session}: {steps} steps of {episodes} episodes, up to sequence {sequence}"
        print(line.format(**stream))
    return 0


def describe(folder: str | Path) -> dict:
    """What is in a store, for people and programs. Raises StoreError."""
    from jsac_ros.replay.store import FrameStore

    store = FrameStore.read(folder)
    slots = store.live_slots()
    streams: dict[tuple, dict] = {}
    for row in store.records[slots]:
        key = files.robot_of(row), int(row["session"])
        stream = streams.setdefault(key, {"steps": 0, "episodes": set(), "sequence": 0})
        stream["steps"] += 1
        stream["episodes"].add(int(row["episode"]))
        stream["sequence"] = max(stream["sequence"], int(row["sequence"]))
    used = sum(os.stat(Path(folder) / name).st_blocks * 512 for name in (files.ROWS, files.FRAMES))
    return {
        "format": f"{files.FORMAT} {files.VERSION}", "spec": store.spec._asdict(), "capacity": store.capacity,
        "stored": len(slots), "valid": store.valid_count, "received": store.count,
        **{name: int(store.counters[name]) for name in files.COUNTER_TYPE.names}, "disk_bytes": used,
        "streams": [
            {"robot": robot, "session": session, **stream, "episodes": len(stream["episodes"])}
            for (robot, session), stream in streams.items()
        ],
    }  # fmt: skip


def _verify(arguments) -> int:
    from jsac_ros.replay.copies import problems

    found = problems(arguments.store)
    for line in found:
        print(line)
    print(f"{arguments.store}: {len(found)} problems" if found else f"{arguments.store}: whole")
    return 1 if found else 0


def _snapshot(arguments) -> int:
    from jsac_ros.replay.copies import snapshot

    print(f"{arguments.new}: {snapshot(arguments.store, arguments.new)} steps")
    return 0


def _merge(arguments) -> int:
    from jsac_ros.replay.copies import merge

    stored, duplicates = merge(arguments.store, arguments.new, arguments.capacity)
    print(f"{arguments.new}: {stored} steps, {duplicates} were in more than one store")
    return 0


def _export(arguments) -> int:
    from jsac_ros.replay import export
    from jsac_ros.replay.store import FrameStore

    store = FrameStore.read(arguments.store)
    if arguments.to == "rlds":
        print(f"{arguments.new}: {export.to_rlds(store, arguments.new)} episodes")
    elif arguments.to == "lerobot":
        print(f"{arguments.new}: {export.to_lerobot(store, arguments.new, arguments.rate, arguments.task)} episodes")
    else:
        print(f"{arguments.new}: {export.to_bag(store, arguments.new)} messages")
    return 0
