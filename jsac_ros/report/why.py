"""Shows what limits a run, derived from the measurements in its folder, and the setting or command that changes it.

  jsac-ros why runs/NAME
  jsac-ros why runs/NAME --json

The most important limit comes first. The command also works during the run.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path

from jsac_ros.report.advice import RULES, Advice, advise
from jsac_ros.report.evidence import read_evidence
from jsac_ros.report.progress import closing

WIDTH = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", type=Path, help="folder of a finished or running run")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def main(arguments: argparse.Namespace) -> int:
    evidence = read_evidence(arguments.run_folder)
    found = advise(evidence)
    if arguments.json:
        print(json.dumps([advice._asdict() for advice in found], indent=1))
        return 0
    print(closing(evidence.summary))
    for place, advice in enumerate(found, 1):
        print(f"\n{place}. {_told(advice)}")
    if not found:
        print(f"\nNone of the {len(RULES)} rules found a limit of this run.")
    return 0


def _told(advice: Advice) -> str:
    wrapped = [
        textwrap.fill(text, WIDTH, subsequent_indent="   ", break_on_hyphens=False) for text in (advice.finding, advice.cure)
    ]
    return f"{wrapped[0]}\n   {wrapped[1]}"
