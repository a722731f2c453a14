"""What an actor holds until replay has it."""

import pytest

from jsac_ros.replay.outbox import MOST_SEQUENCES, WINDOW, Outbox


def test_an_acknowledgement_is_cumulative_and_a_resend_gives_the_rest_in_order():
    box = Outbox(limit=10)
    assert [box.add(f"m{k}") for k in range(5)] == [[(k, f"m{k}")] for k in range(5)]
    assert box.acknowledge(2, resend=False) == []
    assert len(box) == 3 and box.oldest == 2
    assert box.acknowledge(3, resend=True) == [(3, "m3"), (4, "m4")]
    assert box.acknowledge(5, resend=True) == [] and box.oldest == box.sent == 5


def test_an_old_acknowledgement_changes_nothing():
    box = Outbox(limit=10)
    for k in range(4):
        box.add(k)
    box.acknowledge(3, resend=False)
    assert box.acknowledge(1, resend=True) == [(3, 3)]


def test_when_full_the_oldest_is_given_up_and_counted():
    box = Outbox(limit=3)
    for k in range(5):
        box.add(k)
    assert (box.dropped, box.oldest, len(box)) == (2, 2, 3)
    assert box.acknowledge(0, resend=True) == [(k, k) for k in (2, 3, 4)]


def test_no_more_than_a_window_is_on_its_way():
    """As while replay is started again: what comes meanwhile follows in order, each once, as it catches up."""
    box = Outbox(limit=1000, window=3)
    assert [len(box.add(k)) for k in range(6)] == [1, 1, 1, 0, 0, 0]
    assert box.acknowledge(0, resend=False) == []
    assert box.acknowledge(2, resend=False) == [(3, 3), (4, 4)]
    assert box.add(6) == []
    assert box.acknowledge(5, resend=False) == [(5, 5), (6, 6)]
    assert box.add(7) == [(7, 7)] and box.add(8) == []
    assert box.acknowledge(5, resend=True) == [(5, 5), (6, 6), (7, 7)], "from where it asks, then on"
    with pytest.raises(ValueError, match="expected at most 8, as was sent"):
        box.acknowledge(9, resend=False)
    assert box.acknowledge(8, resend=False) == [(8, 8)] and box.add(9) == [(9, 9)]


def test_much_is_sent_again_window_by_window():
    box = Outbox(limit=1000)
    for k in range(3 * WINDOW):
        box.add(k)
    assert box.acknowledge(10, resend=True) == [(k, k) for k in range(10, 10 + WINDOW)]
    assert box.acknowledge(10, resend=False) == []  # no progress, nothing more
    assert box.acknowledge(50, resend=False) == [(k, k) for k in range(10 + WINDOW, 50 + WINDOW)]
    assert box.acknowledge(50 + WINDOW, resend=False) == [(k, k) for k in range(50 + WINDOW, 50 + 2 * WINDOW)]
    assert box.acknowledge(50 + 2 * WINDOW, resend=False) == [(k, k) for k in range(50 + 2 * WINDOW, 3 * WINDOW)]
    assert box.acknowledge(2 * WINDOW + 60, resend=False) == []  # all is on its way


def test_what_nobody_acknowledges_is_sent_again():
    box = Outbox(limit=1000)
    for k in range(2 * WINDOW):
        box.add(k)
    assert box.stalled() == [(k, k) for k in range(WINDOW)]  # since the beginning
    box.acknowledge(5, resend=False)
    assert box.stalled() == []  # it continues
    assert box.stalled() == [(k, k) for k in range(5, 5 + WINDOW)]
    assert box.acknowledge(5 + WINDOW, resend=False) == [(k, k) for k in range(5 + WINDOW, 2 * WINDOW)]
    box.acknowledge(2 * WINDOW, resend=False)
    assert box.stalled() == [] and box.stalled() == []


def test_what_was_never_sent_cannot_be_acknowledged():
    box = Outbox(limit=10)
    for k in range(5):
        box.add(f"m{k}")
    for far in (6, 10**6, 2**64 - 1):
        with pytest.raises(ValueError, match="expected at most 5, as was sent"):
            box.acknowledge(far, resend=True)
    assert len(box) == 5
    box.acknowledge(2, resend=False)  # replay itself
    assert box.stalled() == [] and box.stalled() == [(k, f"m{k}") for k in (2, 3, 4)]


def test_where_replay_expects_what_was_never_sent_all_that_is_held_gets_its_numbers():
    box = Outbox(limit=10)
    for k in range(5):
        box.add(f"m{k}")
    box.acknowledge(2, resend=False)
    assert box.stalled() == []
    with pytest.raises(ValueError):
        box.acknowledge(1000, resend=False)  # a stranger, or replay after a stranger's message with a far number
    assert box.stalled() == [(2, "m2"), (3, "m3"), (4, "m4")]
    with pytest.raises(ValueError):
        box.acknowledge(1000, resend=False)  # replay, to what was sent again
    assert box.stalled() == [(1000, "m2"), (1001, "m3"), (1002, "m4")] and box.oldest == 1000
    assert box.add("m5") == [(1003, "m5")] and box.sent == 6
    assert box.acknowledge(1004, resend=False) == [] and len(box) == 0
    with pytest.raises(ValueError):
        box.acknowledge(MOST_SEQUENCES, resend=False)
    box.add("m6")
    for _ in range(3):
        assert box.stalled() in ([], [(1004, "m6")])  # numbers are not used up
        with pytest.raises(ValueError):
            box.acknowledge(MOST_SEQUENCES, resend=False)
