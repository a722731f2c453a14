"""Actor and replay over a channel that drops, doubles and reorders, with restarts of replay."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jsac_ros.config import ReplayConfig
from jsac_ros.replay.flow import ingest_waits_for, sampling_waits_for
from jsac_ros.replay.ingest import MOST_STREAMS, Ingest, Verdict
from jsac_ros.replay.outbox import HELD, Outbox

A, B = ("a", 1), ("b", 1)
EVENTS = ["send"] * 6 + ["drop", "double", "swap", "deliver", "deliver", "lose ack", "restart"]


def test_each_comes_once_and_in_order():
    ingest = Ingest({})
    assert ingest.judge(A, 0, 0) == Verdict(store=True)
    ingest.accept(A, 0)
    assert ingest.judge(A, 0, 0) == Verdict(store=False, duplicate=True)
    assert ingest.judge(A, 2, 0) == Verdict(store=False, resend=True)  # 1 can still be had
    assert ingest.judge(A, 2, 2) == Verdict(store=False, resend=True)  # 1 is gone, if that is said again
    assert ingest.judge(A, 2, 2) == Verdict(store=True, lost=1)
    assert ingest.judge(A, 2, 2) == Verdict(store=True)  # the disk was full: it comes again, 1 is counted once
    assert ingest.judge(B, 4, 3) == Verdict(store=False, resend=True)  # another actor, heard late
    assert ingest.judge(B, 5, 3) == Verdict(store=False, lost=3, resend=True)
    assert ingest.next == {A: 2, B: 3}


def test_a_replay_that_starts_asks_for_what_it_has_missed():
    ingest = Ingest({A: 10})
    assert ingest.judge(A, 9, 4) == Verdict(store=False, duplicate=True, resend=True)
    assert ingest.judge(A, 9, 4) == Verdict(store=False, duplicate=True)
    assert Ingest({A: 10}).judge(A, 30, 4) == Verdict(store=False, resend=True)
    assert Ingest({A: 10}).judge(A, 10, 4) == Verdict(store=True)


def test_a_far_number_of_a_stranger_skips_nothing_that_the_actor_holds():
    ingest = Ingest({A: 10})
    ingest.judge(A, 9, 5)
    for far in (12, 10**6, 2**62 - 1):
        assert ingest.judge(A, far, far) == Verdict(store=False, resend=True)
        assert ingest.judge(A, 10, 5) == Verdict(store=True)
    for wrong in ((2**64 - 1, 2**64 - 1), (10 + HELD, 10), (9, 10)):
        with pytest.raises(ValueError, match="sequence"):
            ingest.judge(A, *wrong)
    assert ingest.next == {A: 10}


def test_no_message_skips_more_than_an_outbox_can_hold():
    ingest, oldest = Ingest({A: 10}), 10 + 5 * HELD // 2
    assert not ingest.judge(A, oldest + 3, oldest).lost
    assert [ingest.judge(A, oldest + k, oldest) for k in (3, 3, 0)] == [
        Verdict(store=False, lost=HELD, resend=True),
        Verdict(store=False, lost=HELD, resend=True),
        Verdict(store=True, lost=HELD // 2),
    ]


def test_made_up_actors_are_forgotten_and_the_living_one_is_not():
    ingest = Ingest({A: 10})
    for session in range(3 * MOST_STREAMS):
        ingest.judge(("nobody", session), 0, 0)
        assert ingest.judge(A, 10, 5).store
    assert len(ingest.next) <= MOST_STREAMS and ingest.next[A] == 10
    with pytest.raises(ValueError, match="robot's name"):
        ingest.judge(("x" * 10**6, 1), 0, 0)


@settings(max_examples=200, deadline=None)
@given(
    limit=st.integers(1, 30),
    window=st.sampled_from((1, 2, 5, 100)),
    events=st.lists(st.sampled_from(EVENTS), max_size=120),
)
def test_whatever_the_channel_does_all_is_stored_or_counted(limit, window, events):
    box, ingest, stored, lost, channel = Outbox(limit, window), Ingest({}), [], 0, []

    def deliver(answer=True):
        nonlocal lost
        if not channel:
            return
        sequence, oldest = channel.pop(0)
        verdict = ingest.judge(A, sequence, oldest)
        lost += verdict.lost
        if verdict.store:
            stored.append(sequence)
            ingest.accept(A, sequence)
        if answer:
            channel.extend((s, box.oldest) for s, _ in box.acknowledge(ingest.next.get(A, 0), verdict.resend))

    def send():
        channel.extend((s, box.oldest) for s, _ in box.add(box.sent))

    for event in events:
        if event == "send":
            send()
        elif event == "drop" and channel:
            channel.pop(0)
        elif event == "double" and channel:
            channel.append(channel[0])
        elif event == "swap" and len(channel) > 1:
            channel[0], channel[-1] = channel[-1], channel[0]
        elif event == "restart":
            ingest = Ingest({A: ingest.next[A]} if A in ingest.next else {})
        else:
            deliver(answer=event != "lose ack")
    for _ in range(3 * len(events) + 3):  # the channel heals
        while channel:
            deliver()
        channel.extend((s, box.oldest) for s, _ in box.stalled())
    assert len(box) == 0
    assert stored == sorted(set(stored)) and len(stored) + lost == box.sent == ingest.next.get(A, 0)
    assert lost <= box.dropped


@pytest.mark.parametrize(
    "steps, batches, sampling, ingest",
    [
        (0, 0, "warm-up 0/100", ""),
        (99, 0, "warm-up 99/100", ""),
        (100, 0, "data (update-to-data limit)", ""),
        (110, 4, "", "learner (update-to-data limit)"),
        (110, 10, "", ""),
        (110, 19, "", ""),
        (110, 20, "data (update-to-data limit)", ""),
    ],
)
def test_flow_between_the_two_limits(steps, batches, sampling, ingest):
    config = ReplayConfig(warmup_steps=100, max_updates_per_step=2.0, min_updates_per_step=0.5)
    assert sampling_waits_for(config, steps, batches) == sampling
    assert ingest_waits_for(config, steps, batches) == ingest


def test_without_limits_only_the_warm_up_counts():
    config = ReplayConfig(warmup_steps=100)
    assert sampling_waits_for(config, 100, 10**9) == "" == ingest_waits_for(config, 10**9, 0)
