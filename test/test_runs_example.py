"""`jsac-ros new task` and the example of a lab's own package, as their users have them: built, run, and named by no file here."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from live_system import environment, leftovers

from jsac_ros.config import ConfigError
from jsac_ros.new.cli import write

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "pick_lab"


def own_tests(folder: Path) -> subprocess.CompletedProcess:
    """Its own tests, in a process that finds it by PYTHONPATH."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder / "test"), "--rootdir", str(folder)]
    path = os.pathsep.join((str(folder), *filter(None, [os.environ.get("PYTHONPATH")])))
    own = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}  # of ours: our other files
    return subprocess.run(command, env=own | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=110)


def test_a_new_task_passes_its_own_test_as_it_stands(tmp_path):
    folder = write("task", "wipe_the_desk", tmp_path)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"package.xml", "setup.py", "wipe_the_desk/task.py", "config/wipe_the_desk.yaml"} <= files
    assert "class WipeTheDesk(Task):" in (folder / "wipe_the_desk" / "task.py").read_text()
    assert not [path for path in files if "NAME" in path]
    run = own_tests(folder)
    assert run.returncode == 0 and "2 passed" in run.stdout, run.stdout + run.stderr


@pytest.mark.parametrize("name", ["Wipe", "2fast", "wipe-desk", "class", "jsac_ros", "numpy", "json", "", "a__b", "../x"])
def test_a_name_that_no_package_can_have_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="expected a package name"):
        write("task", name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over_or_into_nowhere(tmp_path):
    write("task", "wipe", tmp_path)
    with pytest.raises(ConfigError, match="exists; expected a new folder"):
        write("task", "wipe", tmp_path)
    with pytest.raises(ConfigError, match="expected a folder"):
        write("task", "wipe", tmp_path / "nowhere")


def test_no_file_of_ours_knows_the_example():
    searched = [ROOT / name for name in ("jsac_ros", "config", "launch", "msg", "tools", "CMakeLists.txt", "pyproject.toml")]
    files = [path for root in searched for path in ([root] if root.is_file() else root.rglob("*")) if path.is_file()]
    assert len(files) > 100
    assert [path for path in files if b"pick_lab" in path.read_bytes() and path.suffix != ".pyc"] == []


@pytest.mark.timeout(240)
def test_the_example_is_built_beside_us_and_runs(tmp_path):
    """In a workspace with `colcon build`, then by its installed name and configuration with every process."""
    shutil.copytree(EXAMPLE, tmp_path / "src" / "pick_lab", ignore=shutil.ignore_patterns("__pycache__"))
    run = own_tests(tmp_path / "src" / "pick_lab")
    assert run.returncode == 0 and "3 passed" in run.stdout, run.stdout + run.stderr
    build = subprocess.run(
        [Path(sys.executable).with_name("colcon"), "build"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert build.returncode == 0, build.stdout + build.stderr
    share = tmp_path / "install" / "pick_lab" / "share" / "pick_lab"
    overrides = ["task.type=pick_lab", "replay.warmup_steps=20", "replay.batch_size=8", f"run.folder={tmp_path / 'runs'}"]
    overrides += ["run.report=false", "agent.conv_channels=[4,4,4,4]", "agent.latent_dim=8", "agent.hidden=[16]"]
    command = f'. install/local_setup.sh && exec "{sys.executable}" -m jsac_ros run {share}/config/pick_lab.yaml ' + " ".join(
        overrides
    )
    system = subprocess.Popen(
        ["sh", "-c", command + " --duration 5"], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        output, _ = system.communicate(timeout=110)
    finally:
        if system.poll() is None:
            system.send_signal(signal.SIGTERM)
            system.wait(30)
    assert system.returncode == 0 and "Traceback" not in output, output
    (run_folder,) = (tmp_path / "runs").iterdir()
    assert list((run_folder / "replay").iterdir()), output
    assert leftovers() == []
