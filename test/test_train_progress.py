"""How far a training is: rate, time left, mean of the last ten; a line now and then where there is no terminal."""

from __future__ import annotations

import math

import pytest

from jsac_ros.config import SystemConfig
from jsac_ros.training import progress
from jsac_ros.training.evaluation import Episode
from jsac_ros.training.log import TrainingLog


@pytest.fixture
def now(monkeypatch):
    """The clock of the bar: a list with one number."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_every_ten_seconds_with_rate_time_left_and_the_last_episodes(now, capsys):
    bar = progress.ProgressBar("Pendulum-v1", begin=1_000, total=20_000)
    bar.show(1_100, math.nan)
    assert capsys.readouterr().out == ""
    now[0] += 10
    bar.show(1_500, math.nan)
    bar.show(1_501, math.nan)
    now[0] += 10
    bar.show(2_000, -431.26)
    bar.say("a line")
    bar.close()
    assert capsys.readouterr().out.splitlines() == [
        "Pendulum-v1 1,500/20,000 steps  50 steps/s, 6:10 left",
        "Pendulum-v1 2,000/20,000 steps  50 steps/s, 6:00 left, mean of last 10: -431.3",
        "a line",
    ]


def test_nothing_is_written_where_it_is_not_shown(now, capsys):
    bar = progress.ProgressBar("Pendulum-v1", begin=0, total=10, shown=False)
    now[0] += 100
    bar.show(5, 1.0)
    bar.say("a line")
    bar.close()
    assert capsys.readouterr().out == ""


def test_on_a_terminal_it_is_a_bar(now, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # what makes rich take standard output for a terminal
    monkeypatch.setenv("COLUMNS", "160")
    bar = progress.ProgressBar("Pendulum-v1", begin=0, total=2_000)
    now[0] += 2
    bar.show(500, 12.0)
    bar.say("a line")
    bar.close()
    out = capsys.readouterr().out
    assert "500/2000" in out and "250 steps/s, 0:06 left, mean of last 10: 12.0" in out and "a line" in out


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (59.9, "0:59"), (3_599, "59:59"), (36_061, "10:01:01"), (-3, "0:00")]
)
def test_a_clock(seconds, text):
    assert progress.clock(seconds) == text


def test_the_mean_is_of_the_last_ten_training_episodes(tmp_path):
    log = TrainingLog(tmp_path, SystemConfig(), "gymnasium", session=1)
    assert math.isnan(log.last_ten)
    for k in range(15):
        log.episode(Episode(k, float(k), 1, False, False, evaluation=False), number=k, updates=0)
        log.episode(Episode(k, 1000.0, 1, False, False, evaluation=True), number=k, updates=0)
    assert log.last_ten == sum(range(5, 15)) / 10
    log.close()
