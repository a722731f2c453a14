"""What `pip install .` brings: the package without its nodes, with the configurations and message definitions."""

import subprocess
import sys
import zipfile
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ("jsac_ros", "config", "msg", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
# Only the wheel and the libraries of this environment: neither the source nor the built messages.
INSTALLED = """
import sys
sys.path[:] = [{site!r}, *(path for path in sys.path if path not in {others!r})]
sys.modules.update(dict.fromkeys(("rclpy", "std_msgs", "control_msgs")))
from jsac_ros import __main__, parameters, shipped
statuses = [__main__.main(words) for words in (["start"], ["run", "lift"])]
print(shipped.folder("msg"), parameters.load("lift").task.type, *statuses)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The contents of the wheel, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCE:
        if (ROOT / name).is_dir():
            copytree(ROOT / name, folder / "source" / name, ignore=ignore_patterns("__pycache__"))
        else:
            (folder / "source" / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "setup.py", "--quiet", "bdist_wheel", "--dist-dir", str(folder)]
    done = subprocess.run(build, cwd=folder / "source", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("jsac_ros-*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def files(folder):
    return {file.relative_to(folder) for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("name", ["config", "msg"])
def test_it_holds_what_ships_with_the_package(site, name):
    assert files(site / "jsac_ros/share" / name) == files(ROOT / name)


def test_it_holds_no_nodes_and_says_that_it_is_typed(site):
    assert not (site / "jsac_ros/nodes").exists() and (site / "jsac_ros/py.typed").is_file()


def test_it_works_without_ros_and_says_in_one_line_what_does_not(site):
    others = [path for path in sys.path if (Path(path) / "jsac_ros").is_dir()]
    code = INSTALLED.format(site=str(site), others=others)
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=site.parent, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert done.stdout == f"{site}/jsac_ros/share/msg lift 2 2\n"
    for line in done.stderr.splitlines():
        assert line.startswith("error: not installed: jsac_ros.nodes, jsac_ros.msg") and "`make setup`" in line
    assert done.stderr.count("\n") == 2
