"""Reads, checks, copies and merges replay stores.

  jsac-ros replay info runs/NAME/replay
  jsac-ros replay verify runs/NAME/replay
  jsac-ros replay snapshot runs/NAME/replay saved
  jsac-ros replay merge monday tuesday both

A store is the `replay/` folder of a run. `info`, `snapshot` and `verify` work while replay writes to it. A snapshot is a
store: put its path into `replay.folder` to continue from it, or into `replay.demonstrations` to learn from it.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from jsac_ros.replay import counters
from jsac_ros.replay import format as files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="replay_verb", required=True, metavar="info|verify|snapshot|merge")
    info = verbs.add_parser("info", help="list the contents of a store")
    info.add_argument("store", help="folder of the store")
    info.add_argument("--json", action="store_true", help="print as JSON")
    verify = verbs.add_parser("verify", help="read everything and list all damage; exit status 1 if there is any")
    verify.add_argument("store", help="folder of the store")
    snapshot = verbs.add_parser("snapshot", help="copy a store, also while replay writes to it")
    snapshot.add_argument("store", help="folder of the store")
    snapshot.add_argument("new", help="folder to create")
    merge = verbs.add_parser("merge", help="merge several stores into a new one, without duplicates")
    merge.add_argument("store", nargs="+", help="folders of the stores")
    merge.add_argument("new", help="folder to create")
    merge.add_argument("--capacity", type=int, default=0, help="transitions (default: as many as the stores contain)")


def main(arguments: argparse.Namespace) -> int:
    verbs = {"info": _info, "verify": _verify, "snapshot": _snapshot, "merge": _merge}
    return verbs[arguments.replay_verb](arguments)


def _info(arguments: argparse.Namespace) -> int:
    found = describe(arguments.store)
    if arguments.json:
        print(json.dumps(found, indent=1))
        return 0
    spaces, streams = found.pop("spaces"), found.pop("streams")
    for name, value in found.items():
        print(f"{name:<12} {value}")
    for image in spaces["images"]:
        print("image        {name}: {height} x {width} x {channels}, stack {stack}".format(**image))
    for kind in ("vectors", "actions"):
        for part in spaces[kind]:
            print(f"{kind[:-1]:<12} {part['name']}: {part['size']} {part['unit']}".rstrip())
    print(f"sources      {', '.join(spaces['sources'])}")
    for stream in streams:
        line = "{robot}, session {session}: {transitions} transitions of {episodes} episodes, up to sequence {sequence}"
        print(line.format(**stream))
    return 0


def describe(folder: str | Path) -> dict:
    """Summary of a store, as text or JSON. Raises StoreError."""
    from jsac_ros.replay.records import robot_of
    from jsac_ros.replay.store import FrameStore

    store = FrameStore.read(folder)
    slots = store.live_slots()
    streams: dict[tuple, dict] = {}
    for row in store.records[slots]:
        key = robot_of(row), int(row["session"])
        stream = streams.setdefault(key, {"transitions": 0, "episodes": set(), "sequence": 0})
        stream["transitions"] += 1
        stream["episodes"].add(int(row["episode"]))
        stream["sequence"] = max(stream["sequence"], int(row["sequence"]))
    arrays = [files.ROWS, *map(files.frames_file, store.frames)]
    return {
        "format": f"{files.FORMAT} {files.VERSION}", "capacity": store.capacity, "stored": len(slots),
        "valid": store.valid_count, "intervened": int(store.rows["intervened"][slots].sum()), "received": store.count,
        **{name: store.counters[name] for name in counters.NAMES},
        "disk_bytes": sum(os.stat(Path(folder) / name).st_blocks * 512 for name in arrays),
        "spaces": store.spaces.to_json(),
        "streams": [
            {"robot": robot, "session": session, **stream, "episodes": len(stream["episodes"])}
            for (robot, session), stream in streams.items()
        ],
    }  # fmt: skip


def _verify(arguments: argparse.Namespace) -> int:
    from jsac_ros.replay.copies import problems

    found = problems(arguments.store)
    for line in found:
        print(line)
    print(f"{arguments.store}: {len(found)} problems" if found else f"{arguments.store}: whole")
    return 1 if found else 0


def _snapshot(arguments: argparse.Namespace) -> int:
    from jsac_ros.replay.copies import snapshot

    print(f"{arguments.new}: {snapshot(arguments.store, arguments.new)} transitions")
    return 0


def _merge(arguments: argparse.Namespace) -> int:
    from jsac_ros.replay.copies import merge

    merged = merge(arguments.store, arguments.new, arguments.capacity)
    print(
        f"{arguments.new}: {merged.stored} transitions, {merged.duplicates} were in more than one store, "
        f"{merged.damaged} were damaged"
    )
    return 0
