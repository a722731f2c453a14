"""The timeline of a run: what happened when, from its tables alone."""

from __future__ import annotations

import pytest
from report_cases import write_run

from jsac_ros.report.run_events import events_of
from jsac_ros.report.summary import Totals, read_totals
from jsac_ros.report.tables import read_rows
from jsac_ros.report.timeline import LANES, MOST_LISTED, MOST_RULES, drawn_timeline, lines_of
from jsac_ros.report.write import plt, write


def row(time_s, **cells):
    return {"time_s": str(time_s), "unix_s": str(1e9 + time_s)} | {k.replace("__", "."): str(v) for k, v in cells.items()}


def told(folder, rows, totals=None):
    return [(e.begin_s, e.end_s, e.kind, e.text, e.count) for e in events_of(folder, rows, totals or Totals())]


def test_a_hold_is_one_event_while_its_reason_is_the_same(tmp_path):
    reasons = ["", "image 0.31 s old", "image 1.31 s old", "image 2.31 s old", ""]
    rows = [
        row(k, control__state="holding" if reason else "acting", control__reason=reason) for k, reason in enumerate(reasons)
    ]
    assert told(tmp_path, rows) == [(1.0, 3.0, "hold", "holding: image … s old", 3)]


def test_rules_are_counted_as_they_grow_also_over_a_restart_of_safety(tmp_path):
    counts = [0, 4, 6, 6, 6, 6, 6, 6, 6, 7, 2]
    rows = [row(k, safety__rule__box=count, safety__ticks=125 * (k % 10 + 1)) for k, count in enumerate(counts)]
    assert told(tmp_path, rows) == [
        (1.0, 2.0, "rule", "box", 6), (9.0, 10.0, "rule", "box", 3), (10.0, 10.0, "restart", "safety restarted", 1),
    ]  # fmt: skip


def test_processes_that_start_again_are_seen(tmp_path):
    cells = [(1, 5, 0), (1, 5, 90), ("", 6, ""), (2, 6, 10), (2, 6, 20)]
    rows = [row(10 * k, control__session=a, learner__session=b, replay__batches=c) for k, (a, b, c) in enumerate(cells)]
    assert [(t, text) for t, _, _, text, _ in told(tmp_path, rows)] == [
        (20.0, "learner restarted"), (30.0, "actor restarted"), (30.0, "replay restarted"),
    ]  # fmt: skip


def test_two_robots_are_no_restart(tmp_path):
    rows = [row(k, control__robot=robot, control__session=robot) for k in range(4) for robot in ("left", "right")]
    assert told(tmp_path, rows) == []


def test_stops_checkpoints_a_persons_help_and_cut_episodes(tmp_path):
    totals = Totals()
    common = {"duration": "4", "interventions": "0", "reason": "time limit"}
    totals.add_episode(common | {"time_s": "6", "episode": "0", "interventions": "2"})
    totals.add_episode(common | {"time_s": "20", "episode": "1", "reason": "image 0.4 s old"})
    rows = [
        row(
            k, safety__emergency_stop=int(k in (30, 31)), safety__reason="a person", learner__checkpoint=(-1, 100, 300)[k // 15]
        )
        for k in range(40)
    ]
    assert told(tmp_path, rows, totals) == [
        (2.0, 6.0, "person", "a person took over", 2),
        (15.0, 15.0, "checkpoint", "checkpoint written", 1),
        (20.0, 20.0, "episode cut", "episode 1: image … s old", 1),
        (30.0, 30.0, "checkpoint", "checkpoint written", 1),
        (30.0, 31.0, "emergency stop", "a person", 2),
    ]


def test_of_a_training_the_checkpoints_are_those_in_its_folder(tmp_path):
    import os

    for name, time_s in (("200", 12.0), ("9", 1e6), ("a.tmp", 12.0)):  # of the run, copied, half written
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
        os.utime(tmp_path / "checkpoints" / name, (1e9 + time_s, 1e9 + time_s))
    assert told(tmp_path, [row(0), row(20)]) == [(12.0, 12.0, "checkpoint", "checkpoint written", 1)]


def test_a_day_has_as_many_events_as_an_hour(tmp_path):
    rows = [
        row(10 * k, control__state=("acting", "holding")[k % 2], control__reason=f"reason {'abcdef'[k % 6]}",
            **{f"safety__rule__{name}": k // 7 for name in "abcdefghijklmnopqrst"})
        for k in range(8640)
    ]  # fmt: skip
    events = events_of(tmp_path, rows, Totals())
    assert len(events) <= 200 * (20 + 6)
    lines, left_out = lines_of(events, 0.0)
    assert len(lines) <= MOST_LISTED and left_out == len(events) - len(lines)
    figure = drawn_timeline(events, 0.0, 86_400.0)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    plt.close(figure)
    assert names[0] == "hold" and len(names) == 1 + MOST_RULES


def test_the_page_has_it_as_a_drawing_and_as_text(tmp_path):
    write_run(tmp_path, minutes=2, histograms=False)
    write(tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "What happened" in text and "actor restarted" in text and ">joint limits</text>" in text
    rows, totals = read_rows(tmp_path / "metrics.csv"), read_totals(tmp_path)
    kinds = {event.kind for event in events_of(tmp_path, rows, totals)}
    assert kinds == {"restart", "rule"} and kinds <= set(LANES)


@pytest.mark.parametrize("text", ["", "time_s\n", "nonsense\n1\n", "time_s,control.state\nx,holding\n"])
def test_tables_that_are_none_cost_no_page(tmp_path, text):
    write_run(tmp_path, minutes=0.5, histograms=False)
    (tmp_path / "metrics.csv").write_text(text)
    write(tmp_path)
    assert "What happened" in (tmp_path / "report.html").read_text()
