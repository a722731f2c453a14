"""Lists the runs in a folder, one per line.

  jsac-ros runs
  jsac-ros runs /data/runs --json

Each line has the run's start, its duration, task and number of episodes, mean return and success rate of the last ten
episodes, and whether it is running, ended or cut off.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

from jsac_ros import documents
from jsac_ros.claims import began_unix_s
from jsac_ros.config import ConfigError, RunConfig
from jsac_ros.report.folder import title_of
from jsac_ros.report.processes import FILE as PROCESSES
from jsac_ros.report.processes import Processes
from jsac_ros.report.progress import clock
from jsac_ros.report.write import PAGE

_SAME_S = 2.0  # a process that started longer than this after its id was written is another one with the same id


class Run(NamedTuple):
    """One run folder; unknown values are None."""

    name: str
    started_unix_s: float
    duration_s: float | None
    task: str
    episodes: int | None
    return_last10: float | None
    success_last10: float | None
    state: str  # "running", "ended", "cut off"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default = RunConfig().folder
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(default), help=f"folder that contains the run folders (default: {default})"
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")


def main(arguments: argparse.Namespace) -> int:
    """Raises ConfigError if there is no such folder."""
    if not arguments.folder.is_dir():
        raise ConfigError(f"folder is {arguments.folder}; expected one with run folders in it")
    found = runs(arguments.folder)
    if arguments.json:
        print(json.dumps([run._asdict() for run in found], indent=1))
    elif found:
        _show(found)
    else:
        print(f"{arguments.folder}: no run folder")
    return 0


def runs(folder: Path) -> list[Run]:
    """Every run folder in `folder`, or `folder` itself if it is one; oldest first."""
    inside = [folder] if (folder / "config.yaml").is_file() else [path.parent for path in folder.glob("*/config.yaml")]
    return sorted(map(run_of, inside), key=lambda run: run.started_unix_s)


def run_of(folder: Path) -> Run:
    summary = _summary(folder / "summary.json")
    return Run(
        name=folder.resolve().name,
        started_unix_s=round((folder / "config.yaml").stat().st_mtime, 1),
        duration_s=summary.get("duration_s"),
        task=title_of(folder),
        episodes=summary.get("episodes"),
        return_last10=summary.get("return_last10_mean"),
        success_last10=summary.get("success_last10"),
        state="running" if is_running(folder) else "ended" if (folder / PAGE).exists() else "cut off",
    )


def is_running(folder: Path) -> bool:
    """Whether a process of the run is alive: one that started before its id was written."""
    processes = Processes(folder)
    pids, alive = processes.pids(), processes.alive()
    if not alive:
        return False
    written_s = (folder / PROCESSES).stat().st_mtime
    return any(began_unix_s(pids[name]) < written_s + _SAME_S for name in alive)


def _summary(path: Path) -> dict[str, Any]:
    """The summary of the run; {} if none can be read."""
    try:
        found = documents.json_of(documents.read(path, documents.JSON_BYTES))
    except ValueError:
        return {}
    numbers = found.items() if isinstance(found, dict) else ()
    return {name: value for name, value in numbers if isinstance(value, int | float) and math.isfinite(value)}


def _show(found: list[Run]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("run", "started", "duration", "task"):
        table.add_column(name, overflow="fold")
    for name in ("episodes", "return", "success"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for run in found:
        table.add_row(
            run.name,
            time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started_unix_s)),
            "–" if run.duration_s is None else clock(run.duration_s),
            run.task,
            *(
                "–" if value is None else format(value, form)
                for value, form in ((run.episodes, ","), (run.return_last10, ".1f"), (run.success_last10, ".0%"))
            ),
            run.state,
        )
    Console(width=None if Console().is_terminal else 120, highlight=False).print(table)
