"""Tables, percentiles and the summary of a run."""

import csv
import math
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from report_cases import write_run

from jsac_ros.report import figures
from jsac_ros.report.histograms import Histogram, read_histograms
from jsac_ros.report.processes import Processes
from jsac_ros.report.summary import Totals, read_totals, summarise
from jsac_ros.report.tables import Table, flatten, number, read_rows


def test_a_status_becomes_columns():
    message = {
        "header": object(), "ticks": 7, "state": "acting", "ok": True,
        "lateness_ms": np.float32([1, 2, 3, 4]), "metric_names": ["loss", "q"], "metric_values": [0.5, 1.5],
        "rule_names": ["box"], "rule_counts": [3],
    }  # fmt: skip
    assert flatten("x", message) == {
        "x.ticks": 7, "x.state": "acting", "x.ok": True, "x.lateness_ms.p50": 1, "x.lateness_ms.p99": 2,
        "x.lateness_ms.p999": 3, "x.lateness_ms.max": 4, "x.metric.loss": 0.5, "x.metric.q": 1.5, "x.rule.box": 3,
    }  # fmt: skip


def test_a_row_is_on_disk_when_append_returns(tmp_path):
    table = Table(tmp_path / "t.csv", ["a", "b"])
    table.append({"a": 1, "b": math.nan})
    assert (tmp_path / "t.csv").read_text() == "a,b\n1,\n"


def test_a_column_that_comes_late_is_empty_before(tmp_path):
    table = Table(tmp_path / "t.csv", ["a"])
    table.append({"a": 1})
    table.append({"a": 2, "loss": 0.25})
    table.append({"a": 3})
    rows = read_rows(tmp_path / "t.csv")
    assert [(row["a"], row["loss"]) for row in rows] == [("1", ""), ("2", "0.25"), ("3", "")]


def test_a_table_goes_on_where_it_was(tmp_path):
    first = Table(tmp_path / "t.csv", ["a", "text"])
    first.append({"a": 2**64 - 1, "text": 'with, "comma"\nand line'})
    first.close()
    second = Table(tmp_path / "t.csv", ["a", "text", "new"])
    assert second.rows == [{"a": str(2**64 - 1), "text": 'with, "comma" and line'}]
    second.append({"a": 5, "new": 6.0})
    assert [number(row, "new") for row in read_rows(tmp_path / "t.csv")] == pytest.approx([math.nan, 6], nan_ok=True)


def test_a_line_cut_short_by_a_crash_is_left_out(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,")
    assert read_rows(tmp_path / "t.csv") == [{"a": "1", "b": "2"}]
    table = Table(tmp_path / "t.csv", ["a", "b"])
    table.append({"a": 4, "b": 5})
    assert [row["a"] for row in read_rows(tmp_path / "t.csv")] == ["1", "4"]


GOOD = b"1,2\n"
DAMAGED = {
    "not UTF-8": (b"a,b\n" + GOOD + b"\xff\xfe,2\n" + GOOD, [1, None, 1]),
    "a long field": (b"a,b\n" + GOOD + b"1" * 200_000 + b",2\n" + GOOD, [1, 1]),
    "a quote": (b"a,b\n" + GOOD + b'"1,2\n' + b"x" * 200_000 + b"\n" + GOOD, [1, 1]),
    "zeros": (b"a,b\n" + GOOD + bytes(500) + b"\n" + GOOD, [1, 1]),
    "a long header": (b"a" * 200_000 + b",b\n" + GOOD, []),
    "nothing but damage": (bytes(range(256)) * 10, []),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_what_a_damaged_table_still_holds_is_read(tmp_path, damage):
    content, values = DAMAGED[damage]
    (tmp_path / "t.csv").write_bytes(content)
    rows = read_rows(tmp_path / "t.csv")
    if damage != "nothing but damage":  # what its header is, is anybody's guess
        found = [number(row, "a") for row in rows]
        assert [None if math.isnan(value) else value for value in found] == values
    table = Table(tmp_path / "t.csv", ("a", "c"))
    table.append({"a": 3.0, "c": 4.0})
    table.close()
    assert read_rows(tmp_path / "t.csv")[-1]["c"] == "4"


def test_quantiles_of_a_histogram_are_those_of_its_values():
    values = np.random.default_rng(0).gamma(2.0, 3.0, 50_000)
    edges = np.linspace(0, 30, 301)
    histogram = Histogram(edges, np.histogram(values, np.append(edges, np.inf))[0], values.max())
    for q in (0.5, 0.99, 0.999, 1.0):
        assert histogram.quantile(q) == pytest.approx(np.quantile(values, q), abs=0.15)


def test_a_histogram_file_that_is_none_counts_as_absent(tmp_path):
    (tmp_path / "control_histograms.json").write_text('{"lateness": {"edges_ms": [0, 1], "counts": [1]')
    assert read_histograms(tmp_path) == {}


def test_every_timing_of_the_control_loop_is_drawn(tmp_path):
    histograms = read_histograms(write_run(tmp_path, minutes=1))
    figure = figures.timing(histograms)
    titles = [axes.get_title("left") for axes in figure.axes if axes.get_visible()]
    figures.plt.close(figure)
    assert titles == list(figures.HISTOGRAMS.values()) and len(titles) == len(histograms)
    assert {"image_joint_skew", "policy_age"} <= set(histograms)


def test_summary_has_the_documented_keys(tmp_path):
    summary = summarise(read_totals(write_run(tmp_path, minutes=2)), read_histograms(tmp_path))
    assert list(summary) == [
        "env_steps", "episodes", "updates", "duration_s", "return_first10_mean", "return_last10_mean",
        "success_first10", "success_last10", "control", "transitions", "learner", "policy_age_s", "peak_rss_mb",
    ]  # fmt: skip
    control = {name: list(v) if isinstance(v, dict) else v for name, v in summary["control"].items()}
    assert control == {
        "ticks": 3000, "missed": 1, "jitter_ms": ["p50", "p99", "p999", "max"],
        "obs_to_command_ms": ["p50", "p99"], "image_age_ms": ["p50", "p99"],
    }  # fmt: skip
    assert list(summary["transitions"]) == ["sent", "received", "lost"]
    assert list(summary["learner"]) == ["updates_per_s", "update_ms_p50", "batch_wait_share"]
    assert list(summary["policy_age_s"]) == ["p50", "max"]
    assert summary["env_steps"] == 1800 and summary["episodes"] == 18
    assert summary["return_last10_mean"] > 2 * summary["return_first10_mean"]
    assert summary["peak_rss_mb"]["learner"] > 1000


def test_an_empty_run_has_a_summary_without_figures():
    summary = summarise(Totals(), {})
    assert summary["episodes"] == 0 and summary["return_last10_mean"] is None
    assert summary["control"]["jitter_ms"] == {"p50": None, "p99": None, "p999": None, "max": None}


def _control(session, ticks, **more):
    row = {"time_s": str(ticks / 25), "control.session": session, "control.ticks": str(ticks), "control.rate_hz": "25"}
    return row | more


def test_counters_are_summed_over_restarts_of_the_actor():
    totals = Totals()
    for session, ticks in (("1", 100), ("1", 200), ("2", 25), ("2", 50)):
        totals.add_metrics(_control(session, ticks, **{"control.sent": str(ticks - 5)}))
    assert (totals.total("ticks"), totals.total("sent")) == (250, 240)


def test_what_a_resumed_store_held_before_is_not_counted():
    totals = Totals()
    for received, lost, received_before, lost_before in ((5010, 3, 5000, 3), (5080, 4, 5060, 4)):  # killed between
        row = {"replay.received": received, "replay.lost": lost}
        row |= {"replay.received_before": received_before, "replay.lost_before": lost_before}
        totals.add_metrics({name: str(value) for name, value in row.items()})
    assert (totals.of_replay("received"), totals.of_replay("lost")) == (80, 1)


def test_what_replay_has_before_the_actor_says_so_is_counted():
    totals = Totals()
    for sent, received in ((0, 0), (0, 46), (327, 385), (603, 603)):  # each says it once a second, at its own moment
        totals.add_metrics(_control("1", sent, **{"control.sent": str(sent), "replay.received": str(received)}))
    assert (totals.total("sent"), totals.of_replay("received")) == (603, 603)


def test_the_learner_is_judged_by_whole_seconds_of_learning():
    totals = Totals()
    for state, share in (("waiting", "1"), ("learning", "0.5"), ("learning", "0.002"), ("learning", "0.004")):
        totals.add_metrics({"time_s": "1", "learner.state": state, "learner.batch_wait_share": share})
    assert summarise(totals, {})["learner"]["batch_wait_share"] == pytest.approx(0.003)


def test_evaluation_and_broken_episodes_stay_out_of_the_means():
    totals = Totals()
    common = {"session": "1", "steps": "10", "terminated": "0", "evaluation": "0", "success": "0"}
    totals.add_episode(common | {"episode": "0", "episode_return": "10", "reason": "time limit"})
    totals.add_episode(common | {"episode": "1", "episode_return": "1", "reason": "stale image"})
    totals.add_episode(common | {"episode": "2", "episode_return": "99", "reason": "time limit", "evaluation": "1"})
    totals.add_episode(common | {"episode": "3", "episode_return": "20", "reason": "goal", "terminated": "1"})
    summary = summarise(totals, {})
    assert (summary["episodes"], summary["env_steps"], summary["return_last10_mean"]) == (3, 30, 15)


def test_steps_of_the_open_episode_count():
    totals = Totals()
    totals.add_episode({"session": "1", "episode": "0", "steps": "100", "reason": "time limit"})
    totals.add_metrics(_control("1", 110, **{"control.episode": "0", "control.step": "100"}))
    assert totals.env_steps == 100
    totals.add_metrics(_control("1", 150, **{"control.episode": "1", "control.step": "7"}))
    assert totals.env_steps == 107


def test_percentiles_without_histograms_are_close_to_the_true_ones(tmp_path):
    random = np.random.default_rng(1)
    ticks = random.gamma(1.5, 1.0, (1200, 25))
    totals = Totals()
    for k, second in enumerate(ticks):
        names = ("p50", "p99", "p999", "max")
        values = (*np.quantile(second, (0.5, 0.99, 0.999)), second.max())
        columns = {f"control.lateness_ms.{name}": str(value) for name, value in zip(names, values)}
        totals.add_metrics(_control("1", 25 * (k + 1), **columns))
    jitter = summarise(totals, {})["control"]["jitter_ms"]
    for name, q in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)):
        assert jitter[name] == pytest.approx(np.quantile(ticks, q), rel=0.08)


def test_processes_are_measured_and_their_end_is_seen(tmp_path):
    program = "import sys; held = bytearray(60_000_000); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    (tmp_path / "processes.json").write_text(f'{{"child": {child.pid}, "self": {os.getpid()}, "gone": 4194304}}')
    processes = Processes(tmp_path)
    deadline = time.monotonic() + 20
    while processes.sample().get("process.child.peak_rss_mb", 0) < 60 and time.monotonic() < deadline:
        time.sleep(0.02)
    columns = processes.sample()
    assert columns["process.child.peak_rss_mb"] >= 60
    assert columns["process.child.peak_rss_mb"] >= columns["process.child.rss_mb"] and "process.child.cpu" in columns
    assert not any(name.startswith("process.gone") for name in columns)
    assert processes.alive() == {"child", "self"}
    child.communicate()
    assert processes.alive() == {"self"}


def test_totals_live_and_read_back_are_the_same(tmp_path):
    write_run(tmp_path, minutes=1)
    with open(tmp_path / "metrics.csv", newline="") as file:
        metrics = list(csv.DictReader(file))
    live = Totals()
    for row in read_rows(tmp_path / "episodes.csv"):
        live.add_episode(row)
    for row in metrics:
        live.add_metrics(row)
    assert summarise(live, {}) == summarise(read_totals(tmp_path), {})


@pytest.mark.parametrize("field", ["ticks", "rule_counts"])
def test_a_count_that_nothing_of_ours_reaches_is_refused(field):
    message = {"ticks": 7, "rule_names": ["box"], "rule_counts": [3]}
    message[field] = 2**60 if field == "ticks" else [2**60]
    with pytest.raises(ValueError, match=f"is {2**60}; expected at most"):
        flatten("x", message)


def test_what_a_person_did_is_drawn_where_one_did():
    rows = [{"time_s": str(60 * k), "steps": "10", "interventions": "2", "intervened_steps": "4"} for k in range(3)]
    assert figures.help_of_a_person([row | {"interventions": "0", "intervened_steps": "0"} for row in rows]) is None
    share, length = figures.help_of_a_person(rows).axes
    assert share.lines[0].get_ydata().tolist() == [40.0] * 3 and length.lines[0].get_ydata().tolist() == [2.0] * 3
