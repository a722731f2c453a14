"""The policy of both starters as a table: what happens, and what follows."""

import signal

import pytest

from jsac_ros import logs, run
from jsac_ros.config import SystemConfig
from jsac_ros.supervision import NO_ROOM, RESTART_WINDOW_S, STOP, End, GiveUp, Process, Restart, Supervision, how

PROCESSES = [
    Process("safety", environment={"A": "1"}, restart_environment={"LATCHED": "1"}),
    Process("replay"),
    Process("actor", ends_system=True),
    Process("player", restart=False, ends_system=True, grace_s=3.0),
    Process("dashboard", is_optional=True),
]
AGAIN, COMPLETE, AFTER_GRACE, FAILURE, NOTHING = "again", "complete", "after grace", "failure", "nothing"
WITHOUT = "without it"


@pytest.fixture
def supervision():
    supervision = Supervision(PROCESSES, max_restarts=2)
    for process in PROCESSES:
        supervision.started(process.name, 0.0)
    return supervision


def follows(decision) -> str:
    if decision is None:
        return NOTHING
    if isinstance(decision, Restart):
        return AGAIN if decision.delay_s > 0 and decision.line else "wrong"
    if isinstance(decision, GiveUp):
        return WITHOUT if decision.line else "wrong"
    if decision.failure:
        return FAILURE
    return AFTER_GRACE if decision.delay_s else COMPLETE


@pytest.mark.parametrize(
    ("name", "status", "running", "ending"),
    [
        ("replay", -signal.SIGKILL, AGAIN, FAILURE),
        ("replay", 1, AGAIN, FAILURE),
        ("replay", 0, AGAIN, NOTHING),  # it ended by itself, which nothing asked of it
        ("replay", -signal.SIGTERM, AGAIN, NOTHING),  # a process manager's
        ("replay", -signal.SIGHUP, AGAIN, NOTHING),
        ("replay", -STOP, AGAIN, NOTHING),  # asked before it could listen
        ("replay", 2, FAILURE, FAILURE),  # a wrong configuration stays wrong
        ("replay", NO_ROOM, FAILURE, FAILURE),  # at the first start: there never was any
        ("actor", 0, COMPLETE, NOTHING),
        ("actor", -signal.SIGTERM, AGAIN, NOTHING),
        ("actor", -signal.SIGINT, AGAIN, NOTHING),
        ("actor", 1, AGAIN, FAILURE),
        ("player", 0, AFTER_GRACE, NOTHING),
        ("player", -signal.SIGTERM, FAILURE, NOTHING),  # half a recording is no complete run
        ("player", 1, FAILURE, FAILURE),
        ("dashboard", -signal.SIGKILL, AGAIN, WITHOUT),
        ("dashboard", 2, WITHOUT, WITHOUT),  # an address that is none of this computer's: no reason to stop a robot
        ("dashboard", 0, AGAIN, NOTHING),
    ],
)
def test_what_follows_an_end(supervision, name, status, running, ending):
    assert follows(supervision.ended(name, status, 10.0)) == running
    supervision.stopping()
    assert follows(supervision.ended(name, status, 10.0)) == ending


def test_restarts_are_counted_in_a_window(supervision):
    for at_s in (10.0, 20.0):
        assert follows(supervision.ended("replay", -9, at_s)) == AGAIN
        supervision.started("replay", at_s + 1)
    late_s = 30.0 + RESTART_WINDOW_S
    assert follows(supervision.ended("replay", -9, 30.0)) == FAILURE
    assert follows(supervision.ended("replay", -9, late_s)) == AGAIN, "what is longer ago does not count"
    assert follows(supervision.ended("safety", -9, 30.0)) == AGAIN, "each process has its own"


def test_a_process_that_finds_its_disk_full_is_tried_until_there_is_room(supervision):
    assert follows(supervision.ended("replay", -9, 10.0)) == AGAIN
    for at_s in range(20, 120, 10):  # more often than it may crash
        supervision.started("replay", at_s)
        decision = supervision.ended("replay", NO_ROOM, at_s + 1.0)
        assert follows(decision) == AGAIN and "needs room on the disk" in decision.line
    supervision.started("replay", 130.0)
    assert follows(supervision.ended("replay", -9, 140.0)) == AGAIN
    supervision.started("replay", 141.0)
    assert follows(supervision.ended("replay", -9, 150.0)) == FAILURE


def test_an_optional_process_that_keeps_crashing_is_given_up(supervision):
    for at_s in (10.0, 20.0):
        assert follows(supervision.ended("dashboard", 1, at_s)) == AGAIN
        supervision.started("dashboard", at_s + 1)
    assert supervision.ended("dashboard", 1, 30.0) == GiveUp("dashboard: exit status 1; the run continues without it")


def test_the_lines_name_process_and_reason(supervision):
    assert supervision.ended("replay", -9, 1.0).line == "replay died (signal SIGKILL); starting it again (1)"
    assert supervision.ended("replay", 2, 1.0) == End(0.0, "replay: exit status 2")
    assert how(-40) == "signal 40"


def test_a_restarted_process_knows_that_it_is_one():
    supervision = Supervision(PROCESSES, max_restarts=2)
    assert supervision.environment("safety") == {"A": "1"}
    supervision.started("safety", 0.0)
    assert supervision.environment("safety") == {"A": "1", "LATCHED": "1"}


def test_a_log_that_has_grown_large_begins_anew_and_its_process_writes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "MOST_BYTES", 1000)
    (tmp_path / "logs").mkdir()
    with open(tmp_path / "logs" / "actor.log", "ab", buffering=0) as log:
        for number in range(100):
            log.write(b"line %d of a hundred\n" % number)
            logs.rotate(tmp_path)
    kept = [tmp_path / "logs" / "actor.log.old", tmp_path / "logs" / "actor.log"]
    lines = b"".join(file.read_bytes() for file in kept).splitlines()
    assert all(0 < file.stat().st_size < 1030 for file in kept)
    assert lines == [b"line %d of a hundred" % number for number in range(100 - len(lines), 100)], "the newest, in order"


def test_where_no_log_can_be_written_a_process_is_started_without(tmp_path, capsys):
    """The folder is gone, or the disk takes no new file."""
    process = Process("zen", module="this")
    supervisor = run.Supervisor(SystemConfig(), tmp_path, [process], "/")
    supervisor._start(process)
    assert supervisor.running["zen"].wait(30) == 0
    assert capsys.readouterr().out == "zen has no log: No such file or directory\n"
