"""Histograms and percentiles of durations."""

import json
import math

import numpy as np
import pytest

from jsac_ros.control.timing import EDGES_MS, NOTHING, Timing, write_histograms


def test_last_is_exact_and_starts_afresh():
    timing = Timing()
    values = np.random.default_rng(0).exponential(3.0, 1000)
    for value in values:
        timing.add(value)
    last = timing.last()
    assert last == pytest.approx((*np.quantile(values, [0.5, 0.99, 0.999]), values.max()))
    assert math.isnan(timing.last().p50)
    timing.add(2.0)
    assert timing.last() == (2.0, 2.0, 2.0, 2.0)


def test_run_keeps_everything_to_a_bin_width():
    timing = Timing()
    values = np.random.default_rng(1).lognormal(0.0, 1.5, 20_000)
    for value in values:
        timing.add(value)
        timing.last()
    run = timing.run()
    assert run.max == values.max()
    assert run[:3] == pytest.approx(np.quantile(values, [0.5, 0.99, 0.999]), rel=0.06)


@pytest.mark.parametrize("value", [-5.0, 0.0, 0.00999, 0.01, 0.1, 1.0, 9.99, 100.0, 9999.0, 1e6])
def test_every_value_falls_into_the_bin_that_holds_it(value):
    timing = Timing()
    timing.add(value)
    index = timing.counts.index(1)
    if value >= 0:
        assert EDGES_MS[index] <= value * (1 + 1e-9)
    if index + 1 < len(EDGES_MS):
        assert value < EDGES_MS[index + 1]
    assert timing.run().max == value


def test_what_is_not_finite_is_left_out():
    timing = Timing()
    for value in (math.nan, math.inf, -math.inf):
        timing.add(value)
    assert sum(timing.counts) == 0 and all(map(math.isnan, timing.run())) and all(map(math.isnan, NOTHING))


def test_histograms_are_read_back_from_the_run_folder(tmp_path):
    from jsac_ros.report.histograms import FILE, read_histograms

    timing = Timing()
    for value in (0.5, 1.0, 1.0, 70.0):
        timing.add(value)
    write_histograms(tmp_path / FILE, {"lateness": timing, "never": Timing()})
    read = read_histograms(tmp_path)["lateness"]
    assert read.counts.sum() == 4 and read.max == 70.0
    assert read.quantile(0.5) == pytest.approx(timing.run().p50)
    assert json.loads((tmp_path / FILE).read_text())["never"]["max"] == 0.0
    assert [p.name for p in tmp_path.iterdir()] == [FILE]
