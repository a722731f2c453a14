"""Evaluates a policy on a recording: what it would have done at each step, and why.

  jsac-ros recompute runs/NAME/bag --checkpoint runs/NAME
  jsac-ros recompute runs/NAME/bag --checkpoint runs/NAME --compare runs/OTHER
  jsac-ros recompute runs/NAME/bag --identity

Every step of a recording is recomputed and evaluated. `steps.csv` has one row per step; `report.html` shows the steps with
the lowest values and the largest TD errors first, with the critic's saliency over the images. `--compare C2` evaluates a
second checkpoint as well. `--identity` checks instead that every observation and action of the live run equals the recomputed
one. With `--tolerance` the command stops at the first step that differs by more, and shows it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from jsac_ros.bags.reader import Bag, BagError
from jsac_ros.bags.transitions import configuration_for, open_transitions
from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.rig import Rig

IDENTITY_TOLERANCE = 1e-5  # float32 rounding of an action in [-1, 1]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", help="a rosbag2 folder, or one .mcap or .db3 file")
    parser.add_argument("--checkpoint", metavar="C", help="a run folder, its checkpoints/ or one checkpoint")
    parser.add_argument("--compare", metavar="C2", help="a second checkpoint")
    parser.add_argument("--config", metavar="FILE", help="configuration of the system (default: the one in the recording)")
    parser.add_argument("--out", metavar="FOLDER", help="folder for steps.csv and report.html (default: BAG_replay)")
    parser.add_argument("--tolerance", type=float, metavar="T", help="stop at the first action that differs by more than this")
    parser.add_argument("--identity", action="store_true", help="compare with the observations and actions of the live run")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(arguments: argparse.Namespace) -> int:
    if not arguments.identity and not arguments.checkpoint:
        raise ConfigError("nothing to compare with: expected --checkpoint C or --identity")
    with Bag(arguments.bag) as bag:
        config = configuration_for(bag, arguments.config)
        status = _identity(bag, config, arguments) if arguments.identity else _judge(bag, config, arguments)
        for line in bag.warnings:
            print(f"warning: {line}")
    return status


def _identity(bag: Bag, config: SystemConfig, arguments: argparse.Namespace) -> int:
    from jsac_ros.bags.identity import compare

    stop = arguments.tolerance is not None
    result = compare(bag, config, arguments.tolerance if stop else IDENTITY_TOLERANCE, stop_at_first=stop)
    if arguments.json:
        print(json.dumps(result._asdict()))
    else:
        for name, value in result._asdict().items():
            print(f"{name:<22} {value:.6g}" if isinstance(value, float) else f"{name:<22} {value}")
    return 0 if result.identical else 1


def _judge(bag: Bag, config: SystemConfig, arguments: argparse.Namespace) -> int:
    from jsac_ros import agent as algorithms
    from jsac_ros.bags.judge import Judge
    from jsac_ros.bags.replay_page import write_page
    from jsac_ros.bags.table import judged, write_csv

    rig = Rig.of(config)
    agent = algorithms.build(config.agent, rig.spaces)
    judges = [Judge(path, agent) for path in (arguments.checkpoint, arguments.compare) if path]
    tables = [list(judged(open_transitions(bag, rig), judge, config, rig.spaces, bag.start_ns)) for judge in judges]
    rows, others = tables[0], tables[1] if len(tables) == 2 else None
    if not rows:
        raise BagError(f"bag {bag.path}: no step could be made of it")
    first = None
    if arguments.tolerance is not None:
        first = _first_difference(rows, others, arguments.tolerance)
        if first is not None:  # later steps are not shown
            rows, others = rows[: first + 1], others and others[: first + 1]
    out = Path(arguments.out) if arguments.out else bag.path.resolve().with_name(bag.path.resolve().stem + "_replay")
    out.mkdir(parents=True, exist_ok=True)
    write_csv(out / "steps.csv", rows, others)
    write_page(out / "report.html", bag, rig, judges, rows, others)
    summary = _summary(rows, others, out)
    if first is not None:
        summary |= {"first_difference": _words(rows[-1], others[-1] if others else None)}
    print(json.dumps(summary) if arguments.json else "\n".join(f"{k:<22} {v}" for k, v in summary.items()))
    return 0 if first is None else 1


def _first_difference(rows: list, others: list | None, tolerance: float) -> int | None:
    """Index of the first step at which the checkpoints, or checkpoint and recording, differ by more than `tolerance`."""
    done: Iterable[np.ndarray] = (other.greedy for other in others) if others else (row.action for row in rows)
    return next((i for i, (row, a) in enumerate(zip(rows, done)) if np.abs(row.greedy - a).max() > tolerance), None)


def _words(row, other) -> str:
    was = "the other checkpoint's" if other else "recorded"
    ours, theirs = ([round(float(v), 4) for v in a] for a in (row.greedy, other.greedy if other else row.action))
    return f"{row.time_s:.2f} s, episode {row.episode} step {row.step}: action {ours}, {was} {theirs}"


def _summary(rows: list, others: list | None, out: Path) -> dict[str, object]:
    mean = lambda values: round(float(np.nanmean(list(values))), 6)
    summary = {
        "steps": len(rows),
        "q_mean": mean(r.q.mean() for r in rows),
        "q_std": mean(r.q.std() for r in rows),
        "entropy": mean(r.entropy for r in rows),
        "td_error_abs": mean(abs(r.td_error) for r in rows),
        "difference_mean": mean(r.difference for r in rows),
        "interventions": sum(bool(r.rules) for r in rows),
    }
    if others:
        summary["checkpoints_differ"] = mean(np.abs(a.greedy - b.greedy).max() for a, b in zip(rows, others))
    return summary | {"table": str(out / "steps.csv"), "report": str(out / "report.html")}
