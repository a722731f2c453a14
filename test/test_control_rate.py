"""The fixed-rate loop on a clock that the test moves."""

import threading
import time

import pytest

from jsac_ros.control.rate import FixedRate, ReceivedClock, SteadyClock

MS = 1_000_000


class FakeClock:
    """Sleeps take exactly as long as asked, plus whatever the test adds."""

    def __init__(self, start_ns=123 * MS):
        self.time_ns = start_ns
        self.oversleep_ns = 0

    def now_ns(self):
        return self.time_ns

    def sleep_until(self, due_ns, stop):
        self.time_ns = max(self.time_ns, due_ns) + self.oversleep_ns
        self.oversleep_ns = 0


def test_ticks_are_due_at_multiples_of_the_period():
    clock = FakeClock()
    rate = FixedRate(0.04, clock)
    ticks = []
    for _ in range(5):
        ticks.append(rate.wait())
        clock.time_ns += 10 * MS  # the work of a tick
    assert [t.number for t in ticks] == [0, 1, 2, 3, 4]
    assert [t.due_ns for t in ticks] == [123 * MS + k * 40 * MS for k in range(5)]
    assert all(t.begun_ns == t.due_ns and t.missed == 0 for t in ticks)


def test_lateness_does_not_accumulate():
    clock = FakeClock()
    rate = FixedRate(0.04, clock)
    rate.wait()
    clock.oversleep_ns = 7 * MS
    late = rate.wait()
    assert late.begun_ns - late.due_ns == 7 * MS
    on_time = rate.wait()
    assert on_time.due_ns == 123 * MS + 80 * MS and on_time.begun_ns == on_time.due_ns


@pytest.mark.parametrize("work_ms, number, missed", [(39, 1, 0), (79, 1, 0), (80, 2, 1), (81, 2, 1), (205, 5, 4)])
def test_ticks_late_by_a_period_are_counted_and_skipped(work_ms, number, missed):
    clock = FakeClock()
    rate = FixedRate(0.04, clock)
    rate.wait()
    clock.time_ns += work_ms * MS
    tick = rate.wait()
    assert (tick.number, tick.missed, rate.missed) == (number, missed, missed)
    assert 0 <= tick.begun_ns - tick.due_ns < 40 * MS
    following = rate.wait()  # never bunched: the next one is due in the future
    assert following.number == number + 1 and following.due_ns == 123 * MS + (number + 1) * 40 * MS


def test_stop_ends_the_loop():
    rate = FixedRate(0.04, FakeClock())
    assert rate.wait() is not None
    rate.stop()
    assert rate.wait() is None


@pytest.mark.parametrize("period", [0.0, -1.0, float("nan")])
def test_a_period_that_is_none_is_refused(period):
    with pytest.raises(ValueError, match="period_s"):
        FixedRate(period)


def test_steady_clock_never_begins_early():
    rate = FixedRate(0.002, SteadyClock())
    ticks = [rate.wait() for _ in range(20)]
    assert all(t.begun_ns >= t.due_ns for t in ticks)


def test_received_clock_drives_the_loop_and_may_start_again():
    clock = ReceivedClock()
    clock.set(1000 * MS)
    rate = FixedRate(0.04, clock)
    got = []
    thread = threading.Thread(target=lambda: [got.append(tick) for tick in iter(rate.wait, None)])
    thread.start()

    def wait_for(count):
        deadline = time.monotonic() + 5
        while len(got) < count and time.monotonic() < deadline:
            time.sleep(0.001)
        assert len(got) == count

    wait_for(1)
    clock.set(1041 * MS)
    wait_for(2)
    clock.set(500 * MS)  # the bag starts again
    wait_for(3)
    assert got[2].due_ns == got[2].begun_ns == 500 * MS and got[2].missed == 0
    clock.set(540 * MS)
    wait_for(4)
    rate.stop()
    clock.set(541 * MS)
    thread.join(5)
    assert not thread.is_alive() and len(got) == 4
    assert [t.number for t in got] == [0, 1, 2, 3]
