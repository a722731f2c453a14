"""Writes what `pip install` would leave beside the package, so that its version and plug-ins are found after colcon too.

Called by CMake: write_dist_info.py FOLDER, which then holds METADATA and entry_points.txt, made from pyproject.toml.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).resolve().parent.parent / "pyproject.toml").read_text())["project"]
folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
groups = {"console_scripts": project["scripts"], **project["entry-points"]}
lines = [
    line
    for group, entries in groups.items()
    for line in (f"[{group}]", *(f"{name} = {target}" for name, target in entries.items()), "")
]
(folder / "entry_points.txt").write_text("\n".join(lines))
(folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
print(project["version"], end="")
