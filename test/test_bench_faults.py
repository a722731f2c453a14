"""What a campaign of faults is judged by."""

import pytest

from jsac_ros.bench.faults import MOST_REST_MS, Outcome, keeps_promises, summarise

GOOD = Outcome("emergency_stop", 180.0, 0.3, 1.2, 0, 2.0)


def test_a_campaign_that_keeps_everything():
    others = [Outcome("protective_stop", 900.0, 0.3, None, 0, 2.0), Outcome("kill_replay", None, 0.3, 1.0, 0, 2.0)]
    assert MOST_REST_MS == 300.0 and keeps_promises(summarise([GOOD, *others], 0, []))


@pytest.mark.parametrize(
    "outcome",
    [
        GOOD._replace(rest_ms=301.0), GOOD._replace(rest_ms=float("inf")), GOOD._replace(violations=1),
        GOOD._replace(recovered_s=None),
    ],
)  # fmt: skip
def test_one_broken_promise_is_enough(outcome):
    assert not keeps_promises(summarise([GOOD, outcome], 0, []))


def test_what_was_lost_or_left_counts():
    assert not keeps_promises(summarise([GOOD], 1, [])) and not keeps_promises(summarise([GOOD], 0, ["/dev/shm/x"]))
