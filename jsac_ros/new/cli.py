"""Writes a package for your own task: task class, simulated scene, a configuration that runs unchanged, launch file, test.

  jsac-ros new task pick_mug
  jsac-ros new task pick_mug --into ~/ws/src

It prints the next steps at the end.
"""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from string import Template

from jsac_ros.config import ConfigError

TEMPLATES = Path(__file__).parent
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")  # package names according to REP 144


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=("task",), help="what to create")
    parser.add_argument("name", metavar="NAME", help="name of the package and its task: lower case, digits, underscores")
    parser.add_argument(
        "--into", type=Path, default=Path("."), metavar="FOLDER", help="folder in which to create the package (default: here)"
    )


def main(arguments: argparse.Namespace) -> int:
    folder = write(arguments.kind, arguments.name, arguments.into)
    name = folder.name
    print(
        f"wrote {folder}\n\n"
        f"  try it here      PYTHONPATH={folder} jsac-ros run {folder}/config/{name}.yaml\n"
        f"  test it          PYTHONPATH={folder} {sys.executable} -m pytest {folder}/test\n"
        f"  build it         colcon build --packages-select {name}\n"
        f"  what to change   {folder}/{name}/task.py"
    )
    return 0


def write(kind: str, name: str, into: Path) -> Path:
    """Writes the package; returns its folder. Raises ConfigError if the name is invalid or the folder exists."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ConfigError(f"NAME is {name!r}; expected a package name such as pick_mug: lower case, digits, underscores")
    if (installed := find_spec(name)) is not None and installed.origin:  # else the new one would take its place
        raise ConfigError(f"NAME is {name!r}, a module that exists ({installed.origin}); expected a package name of your own")
    folder = into.expanduser().resolve() / name
    if folder.exists():
        raise ConfigError(f"{folder} exists; expected a new folder (another NAME, or --into another FOLDER)")
    if not into.is_dir():
        raise ConfigError(f"--into is {str(into)!r}; expected a folder")
    words = {"name": name, "title": name.replace("_", " "), "Class": "".join(map(str.capitalize, name.split("_")))}
    source = TEMPLATES / kind
    for template in sorted(source.rglob("*.in")):
        target = folder / str(template.relative_to(source)).replace("NAME", name).removesuffix(".in")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template(template.read_text()).substitute(words))
    return folder
