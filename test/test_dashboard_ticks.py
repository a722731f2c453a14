"""The latency strip: columns from the stamps of commands alone."""

import numpy as np
import pytest

from jsac_ros.dashboard.ticks import Strip

PERIOD_S, ZERO_S = 0.04, 1.7e9 + 0.0123  # where the actor's first period began: in no message


def told(delays_ms, strip=None, first=0, safety_ms=1.0, done_ms=None):
    """A strip that heard a command a period, so long after its begin; None: none. The actor's median comes once a second."""
    strip, tick = strip or Strip(PERIOD_S), first
    for place, delay_ms in enumerate(delays_ms, first):
        if place % 25 == 24:
            strip.align(np.median([d for d in delays_ms if d is not None]) if done_ms is None else done_ms)
        if delay_ms is not None:
            stamp_s = ZERO_S + place * PERIOD_S + delay_ms * 1e-3
            strip.commanded(tick, stamp_s, stamp_s - 0.02)
            if safety_ms is not None:
                strip.applied(tick, stamp_s + safety_ms * 1e-3)
            tick += 1
    return strip


def test_every_column_says_how_long_after_its_period_began_the_command_was_published_and_sent():
    delays = 3.0 + np.random.default_rng(0).uniform(-1.0, 1.0, 200)
    columns = told(delays).take()
    assert 170 <= len(columns) <= 176, "all but the first second, whose periods are not known yet"
    np.testing.assert_allclose([c[0] for c in columns], delays[-len(columns) :], atol=0.25)
    np.testing.assert_allclose([c[1] - c[0] for c in columns], 1.0, atol=0.02)


def test_a_period_without_a_command_is_a_column_too():
    delays = [3.0] * 60
    delays[40:42] = [None, 30.0]
    columns = told(delays).take()
    assert columns.count(None) == 1 and len(columns) == 60 - 24
    at = columns.index(None)
    assert columns[at + 1][0] == pytest.approx(30.0, abs=0.2) and columns[at - 1][0] == pytest.approx(3.0, abs=0.2)


def test_a_long_silence_is_no_row_of_late_ticks():
    assert None not in told([3.0] * 40 + [None] * 100 + [3.0] * 40).take()


def test_a_clock_that_is_set_back_ends_nothing():
    strip = told([3.0] * 50)
    strip.take()
    told([3.0] * 60, strip, first=-90_000)
    assert len(strip.take()) >= 55


def test_safety_may_be_heard_first_or_not_at_all():
    strip = told([3.0] * 30)
    strip.take()
    strip.applied(30, ZERO_S + 30 * PERIOD_S + 5e-3)
    strip.commanded(30, ZERO_S + 30 * PERIOD_S + 4e-3, 0.0)
    ((command_ms, sent_ms),) = strip.take()
    assert (command_ms, sent_ms) == (pytest.approx(4.0, abs=0.2), pytest.approx(5.0, abs=0.2))
    assert all(len(column) == 1 for column in told([3.0] * 50, safety_ms=None).take())


def test_ticks_that_follow_a_camera_count_from_its_images():
    strip = Strip(PERIOD_S, by_camera=True)
    for tick in range(50):
        image_s = ZERO_S + tick * 0.0333
        strip.commanded(tick, image_s + 0.012 + (0.010 if tick == 45 else 0.0), image_s)
        if tick == 24:
            strip.align(2.0)
    columns = [column[0] for column in strip.take()]
    assert len(columns) == 24 and columns[0] == pytest.approx(2.0, abs=0.1) and max(columns) == pytest.approx(12.0, abs=0.1)


def test_nothing_is_drawn_before_the_actor_has_said_how_long_its_commands_take():
    strip = told([3.0] * 20)
    strip.align(float("nan"))
    assert strip.take() == []
