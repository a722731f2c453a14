"""Shows the systems running on this computer: their processes, their progress and why they hold.

  jsac-ros status
  jsac-ros status --namespace left

It reads kernel state and the run folder, not DDS, so that it disturbs nothing. The exit status is 1 if nothing is running.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

from jsac_ros import claims, domain
from jsac_ros.config import ConfigError
from jsac_ros.parameters import load
from jsac_ros.report.processes import Processes
from jsac_ros.report.progress import Progress, line
from jsac_ros.report.summary import read_totals
from jsac_ros.report.tables import number, read_rows

OLD_S = 15.0  # age limit of the newest row of metrics.csv, which gets a row every second, later every ten
CPU_S = 0.3  # duration of the CPU measurement


class Status(NamedTuple):
    """One running system."""

    domain_id: int
    namespace: str
    processes: dict[str, dict[str, float]]  # name -> {"rss_mb", "cpu"}; {} if they cannot be read
    run_folder: str  # "": unknown, for example if another user runs the system
    since_unix_s: float
    progress: str  # in one line; "": unknown
    age_s: float | None  # of `progress`


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--namespace", default=None, metavar="NAME", help="only this namespace; / for systems without one (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")


def main(arguments: argparse.Namespace) -> int:
    wanted = None if arguments.namespace is None else domain.absolute(arguments.namespace)
    found = running(wanted)
    if arguments.json:
        print(json.dumps([status._asdict() for status in found], indent=1))
    elif not found:
        print(f"no jsac_ros system is running {'here' if wanted is None else f'in namespace {wanted}'}")
    for status in found if not arguments.json else ():
        print("\n".join(_told(status)))
    return 0 if found else 1


def running(namespace: str | None = None) -> list[Status]:
    """Every system on this computer, in all ROS domains, in one namespace or in all."""
    systems: dict[tuple[int, str], list[str]] = {}
    for claim in claims.held():
        if namespace in (None, claim.namespace):
            systems.setdefault((claim.domain_id, claim.namespace), []).append(claim.process)
    return [_status(*where, sorted(names)) for where, names in sorted(systems.items())]


def _status(domain_id: int, namespace: str, names: list[str]) -> Status:
    holder = claims.holder(namespace, names[0], domain_id)
    folder = Path(holder.run_folder) if holder and holder.run_folder else None
    progress, age_s = _progress(folder) if folder else ("", None)
    return Status(
        domain_id,
        namespace,
        _measured(folder, names),
        str(folder or ""),
        holder.since_unix_s if holder else 0.0,
        progress,
        age_s,
    )


def _measured(folder: Path | None, names: list[str]) -> dict[str, dict[str, float]]:
    found: dict[str, Any] = {name: {} for name in names}
    if folder:
        processes = Processes(folder)
        processes.sample()
        time.sleep(CPU_S)
        sample = processes.sample()
        for name in processes.alive():
            values = {part: sample.get(f"process.{name}.{part}") for part in ("rss_mb", "cpu")}
            found[name] = {part: round(value, 2) for part, value in values.items() if value is not None}
    return found


def _progress(folder: Path) -> tuple[str, float | None]:
    """The newest progress that the reporter wrote, and its age; "" if there is no row yet."""
    rows = read_rows(folder / "metrics.csv")
    if not rows:
        return "", None
    totals = read_totals(folder)
    elapsed_s = totals.duration_s if totals.started_s is not None else 0.0
    try:
        duration_s = load(folder / "config.yaml", kinds=()).run.duration_s
    except ConfigError:  # written by another version
        duration_s = 0.0
    age_s = max(time.time() - number(rows[-1], "unix_s", 0.0), 0.0)
    return line(Progress.of(elapsed_s, duration_s, totals, rows[-1])), round(age_s, 1)


def _told(status: Status) -> list[str]:
    """The status as lines of text."""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status.since_unix_s))
    lines = [f"{status.namespace} on ROS domain {status.domain_id}, since {since}: {status.run_folder or 'run folder unknown'}"]
    if status.age_s is not None and status.age_s > OLD_S:
        lines.append(f"  no status for {status.age_s:.0f} s; the last: {status.progress}")
    else:
        lines.append(f"  {status.progress or 'no status yet'}")
    for name, values in status.processes.items():
        share = f"{values['cpu']:4.0%} of a core" if "cpu" in values else ""
        size = f"{values['rss_mb']:7,.0f} MB" if "rss_mb" in values else ""
        lines.append(f"  {name:<16} {size}  {share}".rstrip())
    return lines
