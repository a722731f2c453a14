"""Rebuilds the report of a run folder (summary.json, learning_curve.png and report.html), or compares several runs.

  jsac-ros report runs/NAME
  jsac-ros report runs/NAME --baseline baseline.json --curve-only
  jsac-ros report runs/NAME --film                          also learning.webm, the whole training in a minute
  jsac-ros report runs/NAME --picture NAME.png              also what the robot saw early and late, beside the curve
  jsac-ros report runs/A runs/B runs/C --out comparison.html

The report is made from the tables and the replay store in the folder, even after a crash; without a store it has no films. A
comparison of several runs is one page with their curves, the differences of their configurations, and which of them reaches a
level sooner. Runs that differ only in their seed form a group, with 95 % intervals.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from jsac_ros.config import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", type=Path, nargs="+", help="a run folder, or several to compare")
    parser.add_argument("--baseline", type=Path, metavar="FILE", help="measured baselines (default: baseline.json of the run)")
    parser.add_argument("--curve-only", action="store_true", help="write only learning_curve.png")
    parser.add_argument(
        "--film", action="store_true", help="also write learning.webm, a film of the whole training in a minute"
    )
    parser.add_argument(
        "--picture", type=Path, metavar="FILE.png", help="also write a picture of what the robot saw, beside the curve"
    )
    parser.add_argument("--image", default="", metavar="NAME", help="camera in the picture (default: the first)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.html",
        help="page of a comparison (default: comparison.html beside the first run folder)",
    )


def main(arguments: argparse.Namespace) -> int:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # no large products here, and its threads spin
    folder, *others = arguments.run_folder
    if others:
        if arguments.curve_only or arguments.baseline or arguments.film or arguments.picture:
            options = "--curve-only, --baseline, --film and --picture"
            raise ConfigError(f"{options} do not apply to several runs; expected one run folder")
        from jsac_ros.report.compare import write_comparison

        print(write_comparison(arguments.run_folder, arguments.out))
        return 0
    if arguments.out:
        raise ConfigError(f"--out {arguments.out} does not apply to one run; expected several run folders")
    from jsac_ros.report.write import write, write_curve

    if not (folder / "episodes.csv").is_file():
        raise ConfigError(f"run folder {folder}: has no episodes.csv; expected the folder of a run")
    if arguments.curve_only:
        print(write_curve(folder, arguments.baseline))
        return 0
    for path in write(folder, arguments.baseline):
        print(path)
    if arguments.picture:
        from jsac_ros.report.picture import draw

        draw(folder, arguments.picture, arguments.baseline, arguments.image)
        print(arguments.picture)
    if arguments.film:
        from jsac_ros.report.learning_film import write_film

        print(write_film(folder, arguments.baseline))
    return 0
