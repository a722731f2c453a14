"""Message packages of real drivers, with their real definitions, where they are not installed: test/driver_messages, built once
a test process."""

import atexit
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCES = Path(__file__).parent / "driver_messages"


@functools.cache
def environment() -> dict[str, str]:
    """{variable: value} of the environment in which all of them are found."""
    missing = [folder for folder in SOURCES.iterdir() if not importlib.util.find_spec(folder.name)]
    if not missing:
        return {}
    workspace, python = Path(tempfile.mkdtemp(prefix="driver_messages")), Path(sys.executable)
    atexit.register(shutil.rmtree, workspace, ignore_errors=True)
    for folder in missing:
        shutil.copytree(folder, workspace / "src" / folder.name)
    prefixes = os.pathsep.join(filter(None, [os.environ.get("AMENT_PREFIX_PATH"), sys.prefix]))
    paths = dict.fromkeys(("AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH"), prefixes)
    path = {"PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]])}
    command = [python, "-m", "colcon", "build", "--merge-install", "--cmake-args", f"-DPython3_EXECUTABLE={python}"]
    built = subprocess.run(command, cwd=workspace, env=os.environ | paths | path, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (site,) = (workspace / "install").glob("lib/python3*/site-packages")
    found = {"PYTHONPATH": site, "LD_LIBRARY_PATH": workspace / "install" / "lib"}
    return {name: os.pathsep.join(filter(None, [str(value), os.environ.get(name)])) for name, value in found.items()}
