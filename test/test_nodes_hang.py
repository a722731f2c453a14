"""A process in which a thread hangs writes all its stacks, dies and is started again; one that waits or works long does not."""

import os
import subprocess
import sys
import time
from pathlib import Path

import domains
import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from rig_cases import REACHER

from jsac_ros import run, system
from jsac_ros.parameters import dump, from_parameters
from jsac_ros.supervision import HANGS, Process

pytestmark = pytest.mark.timeout(60)
STACKS = {"Executor": "in stand_still", "Worker": "in work"}  # where it hangs -> what its log says


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A run folder, for processes of the module `hanging`."""
    values = {
        "ROS_DOMAIN_ID": str(domains.take()),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "JSAC_RUN_FOLDER": str(tmp_path),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(Path(__file__).parent), *filter(None, sys.path))))
    dump(from_parameters(REACHER), tmp_path / "config.yaml")
    (tmp_path / "logs").mkdir()
    return tmp_path


def ended(folder, hangs, **environment):
    """-> the exit status of a process, and what it has written."""
    command = [sys.executable, "-m", "hanging", "--ros-args", *system.ros_arguments(folder, "/", "hanging")]
    environment = os.environ | {"JSAC_STARTER_PID": str(os.getpid()), "HANGS": hangs} | environment
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    return done.returncode, done.stderr


@pytest.mark.parametrize("hangs", STACKS)
def test_a_hanging_thread_ends_its_process_with_all_stacks(folder, hangs):
    status, words = ended(folder, hangs)
    assert status == -HANGS and STACKS[hangs] in words and words.count("most recent call first") >= 2, words


def test_a_thread_that_waits_for_what_may_take_for_ever_does_not_hang(folder):
    assert ended(folder, "Waiting") == (0, "")


def test_a_gate_whose_watch_hangs_is_started_again_and_is_latched(folder, monkeypatch, capsys):
    """By the supervisor, as in a run."""
    monkeypatch.setenv("HANGS", "Watch")
    config = from_parameters(REACHER)
    (safety,) = (process for process in system.processes(config) if process.name == "safety")
    again = Process("safety", module="hanging", restart_environment=safety.restart_environment)
    supervisor = run.Supervisor(config, folder, [again], "/")
    log, deadline = folder / "logs" / "safety.log", time.monotonic() + 30
    try:
        while not (log.exists() and "the safety process had died" in log.read_text()):
            assert time.monotonic() < deadline, log.read_text()
            supervisor._start_what_is_due()
            supervisor._look_for_ends()
            time.sleep(0.05)
    finally:
        supervisor._stop_all()
    assert supervisor.failure == "" and "in _watch" in log.read_text()
    assert "safety died (it hung; the stacks of its threads are in its log); starting it again (1)" in capsys.readouterr().out
