"""Checks a recording, or converts recordings to transitions.

  jsac-ros bag check recording --config my_ur5.yaml
  jsac-ros bag transitions monday tuesday store --config my_ur5.yaml

`check` lists the topics of a recording and its problems, each with its interval of time (seconds from the first message).
`transitions` writes the transitions of recordings to a replay store.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from jsac_ros import parameters
from jsac_ros.bags.check import Quality, check
from jsac_ros.bags.reader import Bag, BagError
from jsac_ros.bags.recorded_run import KINDS
from jsac_ros.config import ConfigError
from jsac_ros.rig import Rig

SHOWN = 5  # findings printed per kind and topic


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="bag_verb", required=True, metavar="check|transitions")
    checking = verbs.add_parser("check", help="list the topics of a recording and its problems")
    checking.add_argument("bag", help="a rosbag2 folder, or one .mcap or .db3 file")
    checking.add_argument("--config", metavar="FILE", help="also check the cameras and joints of this configuration")
    checking.add_argument("--json", action="store_true", help="print every finding as JSON")
    making = verbs.add_parser("transitions", help="write the steps of recordings to a replay store")
    making.add_argument("bag", nargs="+", help="rosbag2 folders, or .mcap or .db3 files")
    making.add_argument("store", help="folder to create, for replay.folder or replay.demonstrations")
    making.add_argument(
        "--config", metavar="FILE", help="configuration of the system (default: the one in the first recording)"
    )
    making.add_argument("--relabel", action="store_true", help="compute rewards with the configured task")


def main(arguments: argparse.Namespace) -> int:
    return {"check": _check, "transitions": _transitions}[arguments.bag_verb](arguments)


def _check(arguments: argparse.Namespace) -> int:
    rig = Rig.of(parameters.load(arguments.config, kinds=KINDS)) if arguments.config else None
    with Bag(arguments.bag) as bag:
        quality = check(bag, rig)
    if arguments.json:
        found = quality._asdict() | {name: [row._asdict() for row in getattr(quality, name)] for name in ("topics", "findings")}
        print(json.dumps(found))
    else:
        print(_text(quality))
    return 0


def _text(quality: Quality) -> str:
    lines = [f"{quality.duration_s:.1f} s, {quality.count} messages", ""]
    width = max((len(topic.name) for topic in quality.topics), default=0)
    lines.append(f"{'topic':<{width}}  {'messages':>8}  {'Hz':>7}  {'jitter ms':>9}  {'longest s':>9}  type")
    for t in quality.topics:
        lines.append(
            f"{t.name:<{width}}  {t.count:>8}  {t.rate_hz:>7.1f}  {t.jitter_ms:>9.2f}  {t.longest_gap_s:>9.2f}  "
            + (t.type if t.known else f"{t.type} (unknown)")
        )
    lines.append("")
    groups: dict[tuple[str, str], list] = {}
    for finding in quality.findings:
        groups.setdefault((finding.kind, finding.topic), []).append(finding)
    for (kind, topic), findings in groups.items():
        lines += [f"{kind:<12} {f.start_s:8.2f} .. {f.end_s:8.2f} s  {topic}: {f.text}" for f in findings[:SHOWN]]
        if len(findings) > SHOWN:
            lines.append(f"{kind:<12} {'':21} {topic}: {len(findings) - SHOWN} more")
    lines.append(f"{len(quality.findings)} findings" if quality.findings else "no problems found")
    if quality.damage:
        lines.append(f"warning: damaged: {quality.damage}")
    return "\n".join(lines)


def _transitions(arguments: argparse.Namespace) -> int:
    from jsac_ros.bags.fill import fill
    from jsac_ros.bags.transitions import configuration_for
    from jsac_ros.replay.store import FrameStore

    folder = Path(arguments.store)
    if folder.exists():
        raise ConfigError(f"store {folder}: exists already; expected a new folder")
    with Bag(arguments.bag[0]) as bag:
        config = configuration_for(bag, arguments.config)
    rig = Rig.of(config)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    store = FrameStore.open(partial, rig.spaces, config.replay.capacity)
    try:
        filled = fill(store, arguments.bag, rig, arguments.relabel)
    except (BagError, ConfigError):
        store.close()
        shutil.rmtree(partial)
        raise
    valid = store.valid_count
    store.close()
    partial.replace(folder)
    print(f"{filled.steps} steps of {filled.episodes} episodes, {valid} transitions, {filled.refused} refused: {folder}")
    return 0
