"""Seconds since an event of a run, across restarts and changes of the wall clock."""

import time
from types import SimpleNamespace

import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from jsac_ros import elapsed
from jsac_ros.nodes.actor import Actor
from jsac_ros.nodes.reporter import Reporter

HOUR_S = 3600.0


@pytest.fixture
def clock(monkeypatch):
    """The computer's clock, which is set, and the time since its boot, which is not."""
    clock = SimpleNamespace(unix_s=1.8e9, boot_s=500.0)
    monkeypatch.setattr(time, "time", lambda: clock.unix_s)
    monkeypatch.setattr(elapsed, "now_s", lambda: clock.boot_s)
    return clock


def written(_, write):
    write()


def reporter_of(folder, rows=()):
    """What counts the time in a reporter."""
    table = SimpleNamespace(rows=list(rows))
    node = SimpleNamespace(folder=folder, metrics_table=table, episodes_table=table, written=written)
    node.began_s = Reporter._run_began(node)
    return lambda: float(Reporter._times(node)["time_s"])


def test_the_rows_of_a_run_never_go_back_in_time(tmp_path, clock):
    time_s = reporter_of(tmp_path)
    assert time_s() == 0.0
    clock.boot_s += 10.0
    clock.unix_s -= HOUR_S
    assert time_s() == 10.0
    clock.boot_s += 5.0
    assert reporter_of(tmp_path)() == 15.0, "it was started again"
    (tmp_path / "began").write_text("another-boot 3.0")
    assert reporter_of(tmp_path, [{"time_s": "0.0"}, {"time_s": "15.0"}])() == 15.0


def test_a_restarted_actor_acts_for_what_is_left(tmp_path, clock):
    acted_for_s = lambda: Actor._acted_for_s(SimpleNamespace(folder=tmp_path, written=written))
    assert acted_for_s() == 0.0
    clock.boot_s += 30.0
    for step_s in (-HOUR_S, 2 * HOUR_S):
        clock.unix_s += step_s
        assert acted_for_s() == 30.0


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"1.0", b"a b", b"{boot} nan", b"{boot} 1e300", b"other 3.0", b"{boot} 3 4"]
)
def test_what_keeps_no_moment_of_this_boot_counts_from_now(tmp_path, clock, content):
    boot = elapsed.BOOT_ID.read_bytes().strip()
    (tmp_path / "first_action").write_bytes(content.replace(b"{boot}", boot))
    acted_for_s = lambda: Actor._acted_for_s(SimpleNamespace(folder=tmp_path, written=written))
    assert acted_for_s() == 0.0
    clock.boot_s += 2.0
    assert acted_for_s() == 2.0
