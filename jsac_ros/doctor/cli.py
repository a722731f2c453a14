"""Checks this computer and, with a configuration, its cameras and robot, in 20 seconds.

  jsac-ros doctor                      checks the computer, JAX and DDS
  jsac-ros doctor my_ur5.yaml          also rate, age and exposure of the messages that its drivers publish now
  jsac-ros doctor my_ur5.yaml --json   prints JSON

green: good. amber: a run works, but not as well as it could. red: a run does not work; the exit status is then 1. Each amber
and red line has a cure. The command changes nothing and moves nothing.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor

from jsac_ros import domain
from jsac_ros.config import SystemConfig
from jsac_ros.doctor.devices import check_devices
from jsac_ros.doctor.finding import Finding
from jsac_ros.doctor.machine import check_machine
from jsac_ros.doctor.topics import check_topics
from jsac_ros.parameters import load, parse_override

COLOURS = {"green": "green", "amber": "yellow", "red": "bold red"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", nargs="?", default="", help="a file, or the name of a shipped configuration")
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value", help="section.field=value")
    parser.add_argument("--namespace", default="", metavar="NAME", help="namespace of the drivers' topics, unless absolute")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def main(arguments: argparse.Namespace) -> int:
    """Raises ConfigError if the configuration is wrong."""
    overrides = dict(map(parse_override, arguments.overrides))
    config = load(arguments.config, overrides) if arguments.config else SystemConfig()
    namespace = domain.absolute(arguments.namespace)
    with ThreadPoolExecutor() as pool:  # most of both is waiting
        devices = pool.submit(check_devices)
        topics = pool.submit(check_topics, config, arguments.config, overrides, namespace)
        found = [*check_machine(config), devices.result(), *topics.result()]
    if arguments.json:
        print(json.dumps([finding._asdict() for finding in found], indent=1))
    else:
        _show(found)
    return 1 if any(finding.level == "red" for finding in found) else 0


def _show(found: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in found:
        text = finding.said + (f"\n→ {finding.cure}" if finding.cure else "")
        table.add_row(f"[{COLOURS[finding.level]}]{finding.level}[/]", finding.name, _plain(text))
    Console(width=None if Console().is_terminal else 120, highlight=False).print(table)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
