"""Rebuilds the report of a run folder: summary.json, learning_curve.png and report.html.

  jsac-ros report runs/NAME
  jsac-ros report runs/NAME --baseline baseline.json --curve-only

It reads the folder's tables alone, so a run that crashed has a report too.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from jsac_ros.config import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--baseline", type=Path, metavar="FILE", help="baseline.json; default: the run folder's own")
    parser.add_argument("--curve-only", action="store_true", help="only learning_curve.png")


def main(arguments: argparse.Namespace) -> int:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # there is nothing here to multiply
    from jsac_ros.report.write import write, write_curve

    folder = arguments.run_folder
    if not (folder / "episodes.csv").is_file():
        raise ConfigError(f"run folder {folder}: has no episodes.csv; expected the folder of a run")
    if arguments.curve_only:
        print(write_curve(folder, arguments.baseline))
        return 0
    for path in write(folder, arguments.baseline):
        print(path)
    return 0
