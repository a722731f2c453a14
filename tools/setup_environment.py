#!/usr/bin/env python3
"""`make setup`: the environment .venv, the built messages and the command .venv/bin/jsac-ros.

Needs nothing but Python. Four steps, each left out when what it is made from has not changed since it last succeeded:
  environment   .venv; where a ROS 2 Jazzy is sourced, one that sees the system's packages
  requirements  requirements/*.txt with pip; ROS 2 itself comes as wheels where none is sourced
  build         colcon build --symlink-install
  entry         every Python of .venv finds ROS 2, this source tree and its messages with nothing sourced
Then OpenGL for the simulators with contact, where there is none: with apt as root, else one line says how.
"""

import ctypes.util
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PREFIX = ROOT / "install" / "jsac_ros"
STAMP = VENV / "jsac_ros_setup.json"
PYTHONS = ((3, 11), (3, 12))
DISTRIBUTION = "jazzy"
OPENGL = ("libegl1", "libegl-mesa0", "libgl1-mesa-dri")  # Mesa's, which renders without a graphics card
NO_NETWORK = ("connection broken", "Name or service not known", "Temporary failure in name", "Network is unreachable")

# Runs at the start of every Python of .venv, before the wheels' own start-up (.pth files go by name).
STARTUP = '''\
"""Written by `make setup`: where ROS 2 and the messages of jsac_ros are."""
import os
import sys

PATHS = {paths!r}
USES_WHEELS = {wheels!r}

# install/setup.bash asks a Python of .venv what its shell lacks: that one must see the shell's environment as it is.
if any("_local_setup_util" in word for word in sys.orig_argv[1:2]):
    PATHS.clear()
    os.environ["_ROS_WHEELS_BOOTSTRAP_COMPLETE"] = "1"

changed = set()
for name, folders in PATHS.items():
    present = [folder for folder in os.environ.get(name, "").split(os.pathsep) if folder]
    if any(folder not in present for folder in folders):
        os.environ[name] = os.pathsep.join([*folders, *(folder for folder in present if folder not in folders)])
        changed.add(name)
if "LD_LIBRARY_PATH" in changed:  # the loader reads it only when a process starts
    if USES_WHEELS:  # their own start-up comes next and starts Python again
        os.environ.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None)
    else:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ)
'''

COMMAND = """\
#!/bin/sh
# Written by `make setup`. Works from any shell and folder with nothing sourced.
# Your packages stay on PYTHONPATH; those of a sourced ROS 2 are left out, which .venv finds by itself or replaces by wheels.
kept=
IFS=:
for folder in $PYTHONPATH; do
    case $folder in /opt/ros/* | "") ;; *) kept=$kept:$folder ;; esac
done
export PYTHONPATH="${{kept#:}}"
exec "{python}" -P -m jsac_ros "$@"
"""


class SetupError(Exception):
    """What is missing and what to do, in a line or two."""


def say(text):
    print(f"setup: {text}", flush=True)


def sourced_ros(environ):
    """True where a ROS 2 Jazzy with rclpy is sourced, False where no ROS is. Raises SetupError for another one."""
    prefixes = environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    rclpy = "share/ament_index/resource_index/packages/rclpy"
    distribution = environ.get("ROS_DISTRO", "")
    if not distribution or not any(p and (Path(p) / rclpy).exists() for p in prefixes):
        return False
    if distribution != DISTRIBUTION:
        raise SetupError(
            f"the sourced ROS 2 is {distribution!r}; expected {DISTRIBUTION!r}. "
            "Source that one, or use a shell with none: ROS 2 then comes from wheels."
        )
    return True


def check_machine(version=sys.version_info, which=shutil.which, find_spec=importlib.util.find_spec, include=None):
    """Raises SetupError naming everything that is missing and no pip can bring."""
    wanted = " or ".join(f"{a}.{b}" for a, b in PYTHONS)
    short = f"{version[0]}.{version[1]}"
    missing = []
    if tuple(version[:2]) not in PYTHONS:
        raise SetupError(f"Python is {short}; expected {wanted} (make setup PYTHON=python3.12 picks another one).")
    if not find_spec("ensurepip"):
        missing.append(f"Python's venv module: sudo apt install python{short}-venv")
    if not which("c++") or not which("cc") or not which("make"):
        missing.append("a C and C++ compiler and make: sudo apt install build-essential")
    header = Path(include or sysconfig.get_path("include")) / "Python.h"
    if not header.exists():
        missing.append(f"Python's headers ({header}): sudo apt install python{short}-dev")
    if missing:
        raise SetupError("missing on this machine:\n  " + "\n  ".join(missing))


def digest(paths, *facts):
    """Hash of files' names and contents, and of what else decides a step's outcome."""
    state = hashlib.sha256(repr(facts).encode())
    for path in sorted(paths):
        state.update(f"\0{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return state.hexdigest()


def run(command, environ, what, log=None):
    """Runs a step's command, its output kept for when it fails. Raises SetupError with the last of it."""
    done = subprocess.run(command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    output = done.stdout + done.stderr
    if done.returncode == 0:
        return
    if any(sign in output for sign in NO_NETWORK):
        raise SetupError(f"{what} failed: no network (the package index does not answer).")
    raise SetupError(f"{what} failed ({done.returncode}): {' '.join(map(str, command))}\n{output[-4000:]}")


def clean_environ(ros):
    """The caller's environment without other virtual environments, and without ROS where it is not used."""
    environ = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONHOME")}
    if not ros:
        for name in ("PYTHONPATH", "AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "COLCON_PREFIX_PATH"):
            environ.pop(name, None)
    environ["PATH"] = os.pathsep.join([str(VENV / "bin"), environ.get("PATH", os.defpath)])
    return environ


def make_environment(ros):
    if ros and importlib.util.find_spec("rclpy") is None:
        raise SetupError(f"ROS 2 {DISTRIBUTION} is sourced, but {sys.executable} has no rclpy; expected ROS's own Python.")
    run([sys.executable, "-m", "venv", *(["--system-site-packages"] if ros else []), VENV], dict(os.environ), "venv")


def install_requirements(ros):
    folder = ROOT / "requirements"
    parts = ["build", "python", "test"] if ros else ["ros", "build", "python", "test"]
    names = [arg for part in parts for arg in ("-r", folder / f"{part}.txt")] + ["-c", folder / "constraints.txt"]
    pip = [VENV / "bin/python", "-m", "pip", "--no-input", "--disable-pip-version-check", "--retries", "2"]
    run([*pip, "install", "--quiet", *names], clean_environ(ros), "pip install")
    if not ros:
        mend_wheels(VENV)


def mend_wheels(prefix):
    """Puts this machine's include folders where the wheels' CMake files name those of the machine that built them."""
    ask = "import numpy, sysconfig; print(sysconfig.get_path('include'), numpy.get_include(), sep='\\n')"
    answer = subprocess.run([prefix / "bin/python", "-c", ask], check=True, capture_output=True, text=True)
    python, numpy = answer.stdout.splitlines()
    for file in prefix.glob("share/*/cmake/*.cmake"):
        text = file.read_text()
        mended = re.sub(r"/opt/python/cp[^;\" ]*/numpy/_core/include", lambda _: numpy, text)
        mended = re.sub(r"/opt/python/cp[^;\"/ ]*/include/python[0-9.]+", lambda _: python, mended)
        if mended != text:
            file.write_text(mended)


def build(ros):
    environ = clean_environ(ros)
    if not ros:
        environ["AMENT_PREFIX_PATH"] = environ["CMAKE_PREFIX_PATH"] = str(VENV)
    python = f"-DPython3_EXECUTABLE={VENV / 'bin/python'}"
    colcon = [VENV / "bin/python", "-m", "colcon", "build", "--symlink-install", "--packages-select", "jsac_ros"]
    run([*colcon, "--cmake-args", python, "-DCMAKE_BUILD_TYPE=Release"], environ, "colcon build")


def site_packages(prefix):
    return prefix / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def write_entry(ros):
    """Leaves the start-up file of .venv's Pythons and the command jsac-ros."""
    environ = os.environ if ros else {}
    paths = {
        name: [first, *(p for p in environ.get(name, "").split(os.pathsep) if p and p != first)]
        for name, first in (("AMENT_PREFIX_PATH", str(PREFIX)), ("LD_LIBRARY_PATH", str(PREFIX / "lib")))
    }
    if not ros:
        paths["AMENT_PREFIX_PATH"].append(str(VENV))
    modules = [ROOT, site_packages(PREFIX), *filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))]
    site = site_packages(VENV)
    (site / "jsac_ros_environment.py").write_text(STARTUP.format(paths=paths, wheels=not ros))
    (site / "jsac_ros.pth").write_text("\n".join(["import jsac_ros_environment", *map(str, modules)]) + "\n")
    command = VENV / "bin/jsac-ros"
    command.write_text(COMMAND.format(python=VENV / "bin/python"))
    command.chmod(0o755)


def steps(ros):
    """(name, what it says, digest of what it is made from, function) in order; a changed step redoes those after it."""
    source = [ROOT / "package.xml", ROOT / "CMakeLists.txt", ROOT / "pyproject.toml", *(ROOT / "msg").glob("*.msg")]
    # Python files are linked, so only their names matter to the build.
    names = sorted(
        str(p.relative_to(ROOT))
        for folder in ("jsac_ros", "launch", "config", "test")
        for p in (ROOT / folder).rglob("*")
        if p.suffix not in ("", ".pyc")
    )
    requirements = list((ROOT / "requirements").glob("*.txt"))
    this = Path(__file__)
    ros_from = "the sourced ROS 2" if ros else "wheels"
    return [
        ("environment", "creating .venv", digest([]), make_environment),
        ("requirements", f"installing requirements, ROS 2 from {ros_from}", digest(requirements), install_requirements),
        ("build", "building the messages and the package", digest(source, names), build),
        ("entry", "writing .venv/bin/jsac-ros", digest([this], ros and os.environ["AMENT_PREFIX_PATH"]), write_entry),
    ]


def install_renderer(find=ctypes.util.find_library, is_root=None, which=shutil.which, call=subprocess.run):
    """Installs OpenGL if there is none and this is root; returns one line, "" if there was one."""
    if find("EGL") or find("OSMesa"):
        return ""
    if (os.geteuid() == 0 if is_root is None else is_root) and which("apt-get"):
        environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "-y", "--no-install-recommends", *OPENGL]):
            done = call(["apt-get", "-q", *command], env=environ, stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode == 0:
            return f"installed OpenGL for the simulators with contact: {' '.join(OPENGL)}"
    return f"no OpenGL, which the simulators with contact need (lift, insert, push): sudo apt install {' '.join(OPENGL)}"


def setup():
    ros = sourced_ros(os.environ)
    done = json.loads(STAMP.read_text()) if STAMP.exists() else {}
    if done.get("ros") and not ros:
        say("ready as it was made with a sourced ROS 2 (source it to bring .venv up to date): .venv/bin/jsac-ros")
        return
    if ros and done and not done["ros"]:
        raise SetupError(".venv holds ROS 2 from wheels, but one is sourced: remove .venv to use that one.")
    check_machine()
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if done.get("python", python) != python:
        raise SetupError(f".venv holds Python {done['python']}, this is {python}: remove .venv to change.")
    began, redo = time.monotonic(), False
    for name, text, made_from, function in steps(ros):
        redo = redo or done.get(name) != made_from
        if not redo:
            continue
        at = time.monotonic()
        say(f"{text} ...")
        function(ros)
        done.update({name: made_from, "ros": ros, "python": python})
        STAMP.write_text(json.dumps(done, indent=1))
        say(f"{text}: {time.monotonic() - at:.1f} s")
    if line := install_renderer():
        say(line)
    say(f"ready after {time.monotonic() - began:.1f} s: .venv/bin/jsac-ros")


def main():
    with open(ROOT / ".setup.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another setup of this folder is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            setup()
        except SetupError as error:
            say(str(error))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
