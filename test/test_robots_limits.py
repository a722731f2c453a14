"""What the configuration allows a joint, in rad for one that turns and in m for one that slides."""

import numpy as np
import pytest
from gate_cases import gated
from lab_cases import LAB

from jsac_ros.config import ConfigError
from jsac_ros.robots.joint_sources import JointSources
from jsac_ros.tasks.home import plan_home

SLIDES = {
    "safety.max_prismatic_speed_m_s": 0.1, "safety.max_prismatic_acceleration_m_s2": 0.4, "safety.prismatic_jump_m": 0.03,
    "safety.prismatic_following_error_m": 0.01, "safety.max_joint_speed_rad_s": 3.0, "safety.joint_jump_rad": 0.3,
    "safety.following_error_rad": 0.2,
}  # fmt: skip


def gate_of(**changes):
    return gated(LAB | SLIDES | changes)[2]


def test_every_joint_has_the_limits_of_its_kind_and_of_its_model():
    limits = gate_of().limits
    np.testing.assert_allclose(limits.speed, (0.1, 0.1, 2.0))  # the turntable's own 2.0 rad/s
    np.testing.assert_allclose(limits.acceleration, (0.4, 0.4, 2.0))
    assert limits.jerk is None
    smooth = gate_of(**{"safety.max_joint_jerk_rad_s3": 50.0, "safety.max_prismatic_jerk_m_s3": 5.0}).limits
    np.testing.assert_allclose(smooth.jerk, (5.0, 5.0, 50.0))


@pytest.mark.parametrize("field", ["max_joint_jerk_rad_s3", "max_prismatic_jerk_m_s3"])
def test_a_limit_of_jerk_is_for_both_kinds_or_for_none(field):
    with pytest.raises(ConfigError, match=r"max_joint_jerk_rad_s3 is .* expected both or none for lab_cases:Gantry"):
        gate_of(**{f"safety.{field}": 20.0})


def test_a_slow_slide_is_named_if_it_cannot_come_to_rest_in_time():
    with pytest.raises(ConfigError, match=r"safety.max_joint or max_prismatic_...: at full speed .* 10.1 s to rest"):
        gate_of(**{"safety.max_prismatic_acceleration_m_s2": 0.01})


@pytest.mark.parametrize(
    "moved, accepted", [((0.02, 0, 0), True), ((0.04, 0, 0), False), ((0, 0, 0.2), True), ((0, 0, 0.4), False)]
)
def test_a_jump_is_one_in_the_unit_of_its_joint(moved, accepted):
    gate, q = gate_of(), np.array((0.2, 0.1, 0.5))
    gate.joints(q, 10.0)
    gate.joints(q + moved, 10.008)
    gate.watch(10.009)
    assert ("joint_jump" in gate.reasons) is not accepted


def test_a_slide_that_lags_by_more_than_its_error_does_not_follow():
    """By 2 cm: a fifth of what a joint that turns is allowed in rad."""
    gate, q, held = gate_of(), np.array((0.2, 0.1, 0.5)), set()
    for k in range(40):  # 0.32 s at 0.1 m/s; the slide stands
        now = 10.0 + 0.008 * k
        gate.joints(q, now)
        if k % 5 == 0:
            gate.command(now, np.array((0.1, 0.0, 0.0)))
        gate.watch(now)
        held |= gate.reasons.keys()
    assert "not_following" in held


def test_a_pose_outside_is_named_in_the_unit_of_its_joint():
    bounds = gate_of().bounds
    assert bounds.outside(np.array((0.5, 0.0, 0.0))) == "x is at 0.5000 m; the limits are 0.0000 to 0.4000"
    assert bounds.outside(np.array((0.1, 0.0, 4.0))) == "turn is at 4.0000 rad; the limits are -3.0000 to 3.0000"


def test_the_way_home_takes_as_long_as_the_joint_that_needs_longest():
    away, speed, acceleration = np.array((0.2, 0.0, 0.5)), np.array((0.1, 0.1, 2.0)), np.full(3, 50.0)
    move = plan_home(np.zeros(3), away, 0.0, 0.5, speed, acceleration)
    assert move.duration_s == pytest.approx(1.5 * 2.0 / 0.95)


def test_a_second_source_of_a_slide_differs_by_millimetres():
    """8 mm to and fro, which is nothing for a joint in rad."""

    def second(prismatic):
        sources = JointSources(("rail",), prismatic)
        for k in range(40):
            sources.take((0,), (0.3 + 0.008 * (k % 2),), (0.001,), 8_000_000 * k, None)
        return sources.second

    assert second([True]).startswith("rail has two sources") and second([False]) == ""
