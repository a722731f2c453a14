"""What a run folder takes in a day, and what happens when its disk is full."""

import math

import numpy as np
import pytest
from full_disk import files_of_at_most
from tensorboard_cases import scalars_of

from jsac_ros.report import summary
from jsac_ros.report.events import Events
from jsac_ros.report.loggers.tensorboard import TensorBoard
from jsac_ros.report.summary import Series, Totals, summarise
from jsac_ros.report.tables import Table, read_rows


def test_rows_that_the_disk_does_not_take_are_written_when_it_has_room(tmp_path):
    table, rows = Table(tmp_path / "t.csv", ["a", "b"]), []
    with files_of_at_most(40):
        for k in range(30):
            rows.append(table.append({"a": k, "b": k / 8}))
        assert table.problem == f"{tmp_path / 't.csv'}: File too large"
        rows.append(table.append({"a": 30, "b": 0.5, "new": 1}))  # a column that cannot come yet
    rows.append(table.append({"a": 31, "b": 0.25, "new": 2}))
    assert table.problem == ""
    table.close()
    read = read_rows(tmp_path / "t.csv")
    assert [(row["a"], row["b"]) for row in read] == [(row["a"], row["b"]) for row in rows] and len(read) == 32
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_a_table_is_continued_by_a_process_that_starts_on_a_full_disk(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("a,b\n1,2\n3,")  # killed while it wrote
    with files_of_at_most(1):
        table = Table(file, ["a", "b", "new"])
        assert table.problem == f"{file}: File too large" and table.rows == [{"a": "1", "b": "2"}]
        table.append({"a": 4, "b": 5, "new": 6})
        assert file.read_text() == "a,b\n1,2\n3,"
    table.append({"a": 7})
    table.close()
    assert table.problem == "" and file.read_text() == "a,b,new\n1,2,\n4,5,6\n7,,\n"


def test_events_go_to_a_new_file_when_there_is_room_again(tmp_path):
    episode = {"evaluation": False, "episode_return": 1.0, "success": True, "steps": 4, "duration": 2.0}
    episode |= {"interventions": 0, "intervened_steps": 0, "robot": "ur5", "session": 1, "episode": 0}
    events = Events([TensorBoard(tmp_path / "tensorboard")])
    events.episode(10, episode)
    with files_of_at_most(1):
        for step in (20, 30):
            events.episode(step, episode)
            assert [f"{tmp_path / 'tensorboard'}: File too large"][: step == 20] == events.new_problems(), "said once"
    events.episode(40, episode | {"episode_return": 7.0})
    assert events.new_problems() == []
    events.close()
    assert scalars_of(tmp_path / "tensorboard", "episode/return") == [(10, 1.0), (40, 7.0)]


def test_a_day_of_rows_is_as_large_in_memory_as_an_hour():
    """And says the same: the mean and the largest exactly, quantiles of rows evenly in time."""
    values, series = np.random.default_rng(0).lognormal(size=90_000), Series(1000)
    for value in values:
        series.add(value)
    assert len(series._kept) <= 1000 and len(series) == 90_000
    assert series.mean() == pytest.approx(values.mean()) and series.quantile(1.0) == values.max()
    assert series.quantile(0.5) == pytest.approx(np.quantile(values, 0.5), rel=0.1)


def test_of_many_sessions_the_counters_are_kept_together(monkeypatch):
    monkeypatch.setattr(summary, "MOST_SESSIONS", 5)
    totals = Totals()
    for session in range(40):
        for ticks in ("10", "25"):
            row = {"control.session": str(1 + session), "control.ticks": ticks, "control.sent": "7", "time_s": str(session)}
            totals.add_metrics(row)
    assert all(len(sessions) == 5 for sessions in totals._of_session.values())
    told = summarise(totals, {})
    assert told["control"]["ticks"] == 40 * 25 and told["transitions"]["sent"] == 40 * 7


def test_a_day_of_episodes_keeps_the_first_and_the_last():
    totals, whole = Totals(most_episodes=100), Totals()
    for k in range(3000):
        row = {"evaluation": "0", "steps": "5", "episode_return": str(k), "success": str(k % 2), "reason": "time limit"}
        totals.add_episode(row)
        whole.add_episode(row)
    assert len(totals.episodes) == 100
    assert summarise(totals, {}) == summarise(whole, {}) and summarise(totals, {})["return_last10_mean"] == 2994.5
    assert math.isclose(summarise(totals, {})["return_first10_mean"], 4.5)
