"""`jsac-ros status` and `jsac-ros runs`: what runs, and what has run."""

import json
import os
import subprocess
import sys
import time

import domains
import pytest
from report_cases import write_run

from jsac_ros import claims
from jsac_ros.__main__ import main
from jsac_ros.claims import Claim
from jsac_ros.files import write_text
from jsac_ros.report.demonstrations import demonstrations_left

HOLDS = "import sys; from jsac_ros.claims import claim; held = claim(sys.argv[1], 'actor'); print('held', flush=True); sys.stdin.read()"
DOMAIN = domains.take()


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A process that holds the actor's place in a namespace of another domain, with a run folder."""
    folder = write_run(tmp_path / "runs" / "first", minutes=1)
    environment = os.environ | {"ROS_DOMAIN_ID": str(DOMAIN), "JSAC_RUN_FOLDER": str(folder), "JSAC_STARTER_PID": ""}
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDS, "lab/left"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "held\n"
    write_text(folder / "processes.json", json.dumps({"actor": child.pid, "gone": 4194304}))
    yield folder, child
    child.communicate()


def test_what_runs_is_named_with_what_it_does(system, capsys):
    folder, child = system
    assert Claim(DOMAIN, "/lab/left", "actor") in claims.held()
    assert main(["status", "--namespace", "lab/left", "--json"]) == 0
    (status,) = json.loads(capsys.readouterr().out)
    assert (status["domain_id"], status["run_folder"]) == (DOMAIN, str(folder))
    assert abs(status["since_unix_s"] - time.time()) < 60
    assert status["processes"].keys() == {"actor"} and status["processes"]["actor"]["rss_mb"] > 1
    assert "acting" in status["progress"] and "episode" in status["progress"]
    assert main(["status", "--namespace", "lab/left"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"/lab/left on ROS domain {DOMAIN}") and "no status for" in told and "  actor" in told


def test_a_namespace_where_nothing_runs(capsys):
    assert main(["status", "--namespace", "nowhere"]) == 1
    assert capsys.readouterr().out == "no jsac_ros system is running in namespace /nowhere\n"
    assert main(["status", "--namespace", "no where"]) == 2


def test_runs_are_listed_oldest_first_with_their_state(system, capsys):
    folder, _ = system
    runs = folder.parent
    for name, age_s in (("second", 20), ("third", 10)):
        (runs / name).mkdir()
        write_text(runs / name / "config.yaml", (folder / "config.yaml").read_text())
        os.utime(runs / name / "config.yaml", (time.time() + age_s,) * 2)
    write_text(
        runs / "second" / "summary.json", json.dumps({"episodes": 1200, "duration_s": 3675, "return_last10_mean": 91.55})
    )
    write_text(runs / "second" / "report.html", "")
    write_text(runs / "third" / "processes.json", json.dumps({"actor": os.getpid()}))
    os.utime(runs / "third" / "processes.json", (0, 0))  # before this process began: its id was another one's
    assert main(["runs", str(runs), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(run["name"], run["state"]) for run in found] == [("first", "running"), ("third", "cut off"), ("second", "ended")]
    assert found[2]["return_last10"] == 91.55 and found[2]["success_last10"] is None and found[2]["task"] == "ur5_reacher"
    assert main(["runs", str(runs)]) == 0
    told = capsys.readouterr().out
    assert "1,200" in told and "1:01:15" in told and "running" in told
    assert main(["runs", str(folder)]) == 0


def test_a_folder_without_runs(tmp_path, capsys):
    assert main(["runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}: no run folder\n"
    assert main(["runs", str(tmp_path / "none")]) == 2


@pytest.mark.parametrize("content", [bytes(range(256)) * 40, b"x,y\n1,2\n"], ids=["no text", "another table"])
def test_a_run_with_damaged_tables_has_a_report_a_line_and_a_status(tmp_path, capsys, content):
    folder = tmp_path / "run"
    write_run(folder, minutes=1, histograms=False)
    for name in ("episodes.csv", "metrics.csv"):
        (folder / name).write_bytes(content)
    for words in (["report", str(folder)], ["why", str(folder)], ["runs", str(tmp_path)]):
        assert main(words) == 0, words
    assert (folder / "report.html").exists() and "ur5_reacher" in capsys.readouterr().out
    assert demonstrations_left(folder, 3) == 3
