"""One rule for stamps: what they can mean, and what is refused in one line with its cure."""

import pytest

from jsac_ros.control.stamps import StampError, taken_ns, why_old

SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND


@pytest.mark.parametrize("age_ns", [0, SECOND // 100, 5 * SECOND, 600 * SECOND])
def test_a_stamp_says_when_it_was_taken_and_its_age_is_for_a_limit_to_judge(age_ns):
    assert taken_ns(NOW - age_ns, NOW, "header") == NOW - age_ns


def test_a_little_ahead_is_now():
    assert taken_ns(NOW + SECOND // 50, NOW, "header") == NOW


@pytest.mark.parametrize(
    "stamp_ns, said",
    [
        (0, "not set"),
        (12_345 * SECOND, "behind this computer's clock: another clock"),  # since boot, or a simulation's
        (NOW - 86_400 * SECOND, "86400 s behind"),
        (NOW + 86_400 * SECOND, "86400 s ahead of"),
        (NOW + SECOND, "1.00 s in the future: synchronise"),
    ],
)
def test_what_cannot_be_meant_is_named_with_the_cure(stamp_ns, said):
    with pytest.raises(StampError, match=said) as refused:
        taken_ns(stamp_ns, NOW, "header")
    assert "`stamps: arrival`" in str(refused.value)
    assert taken_ns(stamp_ns, NOW, "arrival") == NOW


def test_late_and_lost_are_told_apart():
    assert why_old(0.01, 0.0, 0.06) == "" and why_old(2.0, 2.0, 0.06) == ""
    assert "by its stamp, 0.01 s by its arrival" in why_old(5.0, 0.01, 0.06)
    assert "lacks wrist" in why_old(5.0, 0.01, 0.06, ("wrist",))
