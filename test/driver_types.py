"""Message packages of real drivers, with their real definitions, where they are not installed: test/driver_messages, built once
for a Python and a state of their files."""

import fcntl
import functools
import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).parent / "driver_messages"
BUILT = Path(__file__).resolve().parent.parent / "build" / "driver_messages"


@functools.cache
def environment(*names: str) -> dict[str, str]:
    """{variable: value} of the environment in which the packages of these names are found."""
    missing = [SOURCES / name for name in names if not importlib.util.find_spec(name)]
    if not missing:
        return {}
    install = _built(missing)
    (site,) = install.glob("lib/python3*/site-packages")
    found = {"PYTHONPATH": site, "LD_LIBRARY_PATH": install / "lib"}
    return {name: os.pathsep.join(filter(None, [str(value), os.environ.get(name)])) for name, value in found.items()}


def _built(packages: list[Path]) -> Path:
    """Where they are installed; other test processes wait for the one that builds them."""
    state = hashlib.sha256(f"{sys.executable} {sys.version}".encode())
    for file in sorted(path for package in packages for path in package.rglob("*") if path.is_file()):
        state.update(f"{file.relative_to(SOURCES)}".encode() + file.read_bytes())
    workspace = BUILT / state.hexdigest()[:16]
    workspace.mkdir(parents=True, exist_ok=True)
    with (workspace / "done").open("a") as done:
        fcntl.flock(done, fcntl.LOCK_EX)
        if not os.fstat(done.fileno()).st_size:
            _build(packages, workspace)
            done.write("built")
    return workspace / "install"


def _build(packages: list[Path], workspace: Path) -> None:
    prefixes = os.pathsep.join(filter(None, [os.environ.get("AMENT_PREFIX_PATH"), sys.prefix]))
    paths = dict.fromkeys(("AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH"), prefixes)
    path = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    command = [sys.executable, "-m", "colcon", "build", "--merge-install", "--paths", *packages]
    command += ["--cmake-args", f"-DPython3_EXECUTABLE={sys.executable}"]
    built = subprocess.run(command, cwd=workspace, env=os.environ | paths | path, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
