"""What an actor holds until replay has it."""

from jsac_ros.replay.outbox import WINDOW, Outbox


def test_an_acknowledgement_is_cumulative_and_a_resend_gives_the_rest_in_order():
    box = Outbox(limit=10)
    assert [box.add(f"m{k}") for k in range(5)] == [0, 1, 2, 3, 4]
    assert box.acknowledge(2, resend=False) == []
    assert len(box) == 3 and box.oldest == 2
    assert box.acknowledge(3, resend=True) == ["m3", "m4"]
    assert box.acknowledge(5, resend=True) == [] and box.oldest == box.sent == 5


def test_an_old_acknowledgement_changes_nothing():
    box = Outbox(limit=10)
    for k in range(4):
        box.add(k)
    box.acknowledge(3, resend=False)
    assert box.acknowledge(1, resend=True) == [3]


def test_when_full_the_oldest_is_given_up_and_counted():
    box = Outbox(limit=3)
    for k in range(5):
        box.add(k)
    assert (box.dropped, box.oldest, len(box)) == (2, 2, 3)
    assert box.acknowledge(0, resend=True) == [2, 3, 4]


def test_much_is_sent_again_window_by_window():
    box = Outbox(limit=1000)
    for k in range(3 * WINDOW):
        box.add(k)
    assert box.acknowledge(10, resend=True) == list(range(10, 10 + WINDOW))
    assert box.acknowledge(10, resend=False) == []  # no progress, nothing more
    assert box.acknowledge(50, resend=False) == list(range(10 + WINDOW, 50 + WINDOW))
    assert box.acknowledge(2 * WINDOW + 50, resend=False) == list(range(2 * WINDOW + 50, 3 * WINDOW))
    assert box.acknowledge(2 * WINDOW + 60, resend=False) == []  # all is on its way


def test_what_nobody_acknowledges_is_sent_again():
    box = Outbox(limit=1000)
    for k in range(2 * WINDOW):
        box.add(k)
    assert box.stalled() == list(range(WINDOW))  # since the beginning
    box.acknowledge(5, resend=False)
    assert box.stalled() == []  # it goes on
    assert box.stalled() == list(range(5, 5 + WINDOW))
    box.acknowledge(2 * WINDOW, resend=False)
    assert box.stalled() == [] and box.stalled() == []
