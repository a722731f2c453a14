"""The visual reacher's reward, success and reset; shadow mode."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jsac_ros import config as configuration
from jsac_ros.config import ConfigError
from jsac_ros.control.safety import gate_of
from jsac_ros.robots.models import arm_of
from jsac_ros.robots.ur import ur_arm
from jsac_ros.tasks import make_task
from jsac_ros.tasks.home import plan_home
from jsac_ros.tasks.ur5_reacher import dense_reward, reached, red_mask

ARM = ur_arm("ur5")
DEMO = Path(__file__).resolve().parent.parent / "config" / "ur5_reacher_demo.yaml"


def make(**task):
    values = {f"task.{name}": value for name, value in task.items()}
    return make_task(configuration.from_parameters(values | {"camera.height": 32, "camera.width": 48}), ARM)


def frame_with(rows=slice(0, 0), columns=slice(0, 0)):
    frame = np.full((32, 48, 3), 240, np.uint8)
    frame[rows, columns] = (220, 20, 20)
    return frame


NEAR = frame_with(slice(13, 19), slice(21, 27))  # 36 of 1536 pixels, in the middle
OFF_CENTRE = frame_with(slice(0, 6), slice(0, 6))


def test_red_is_what_the_published_thresholds_say():
    pixels = np.array([[(120, 50, 50), (119, 0, 0), (255, 51, 0), (255, 0, 51), (255, 255, 255)]], np.uint8)
    assert red_mask(pixels).tolist() == [[True, False, False, False, False]]


def test_dense_reward_by_hand():
    mask = np.zeros((2, 4), bool)
    mask[0, 1] = True  # half a pixel from the centre both ways: (1/2 - 1/8)(1/2 - 1/4)
    assert dense_reward(mask) == pytest.approx(min(4.0, 800 / 8 * 0.375 * 0.25))
    assert dense_reward(np.ones((90, 160), bool)) == 4.0
    assert dense_reward(np.zeros((90, 160), bool)) == 0.0
    one = np.zeros((90, 160), bool)
    one[44, 79] = True
    assert dense_reward(one) == pytest.approx(800 / 14400 * (0.5 - 0.5 / 160) * (0.5 - 0.5 / 90))


@given(st.integers(0, 31), st.integers(0, 47))
def test_dense_reward_is_the_same_in_every_quarter_of_the_picture(row, column):
    mask = np.zeros((32, 48), bool)
    mask[row, column] = True
    assert dense_reward(mask) == pytest.approx(dense_reward(mask[::-1, ::-1]))
    assert dense_reward(mask) == pytest.approx(dense_reward(mask[:, ::-1]))


def test_a_share_of_red_off_centre_is_not_reached():
    assert reached(red_mask(NEAR))
    assert not reached(red_mask(OFF_CENTRE))
    assert not reached(red_mask(frame_with(slice(14, 18), slice(21, 26))))  # 20 pixels: too few


def test_success_is_held_for_five_ticks_and_starts_again():
    task = make()
    task.begin_episode()
    assert [task.score(NEAR).success for _ in range(6)] == [False] * 4 + [True] * 2
    assert not task.score(OFF_CENTRE).success
    assert [task.score(NEAR).success for _ in range(5)] == [False] * 4 + [True]
    task.begin_episode()
    assert not task.score(NEAR).success


def test_rewards_of_the_other_kinds():
    assert make(reward="sparse").score(NEAR)[:2] == (1.0, False)
    assert make(reward="sparse").score(frame_with())[:2] == (0.0, False)
    assert make(reward="minimum_time").score(frame_with())[:2] == (-1.0, False)
    assert make(reward="minimum_time", reset_penalty=2.0).score(NEAR)[:2] == (-3.0, True)
    assert make(reward="none").score(NEAR)[:2] == (0.0, False)


def test_proprioception_is_15_numbers_and_zero_at_rest_at_home():
    task = make(action_scale=(0.3,))
    home = np.array(configuration.TaskConfig().home)
    action = np.linspace(-1, 1, 5).astype(np.float32)
    p = task.proprioception(home, np.full(6, 0.15), action)
    assert p.shape == (15,) and p.dtype == np.float32
    np.testing.assert_allclose(p, np.concatenate((np.zeros(5), np.full(5, 0.5), action)))


def go_home(task, start, dt=0.04, longest=20.0):
    """Follows the reset with a perfect robot; -> its velocities [T, 6]."""
    q, qd, now, velocities = start.copy(), np.zeros(6), 100.0, []
    task.begin_reset(q, now)
    while (velocity := task.reset_velocity(q, qd, now)) is not None and now < 100.0 + longest:
        q, qd, now = q + velocity * dt, velocity, now + dt
        velocities.append(velocity)
    return q, np.array(velocities)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1.2, 1.2), min_size=6, max_size=6))
def test_every_reset_ends_at_home_within_the_limits(offset):
    config = configuration.SystemConfig()
    home = np.array(config.task.home)
    q, velocities = go_home(make(reset_s=0.5), home + offset)
    assert np.abs(q - home).max() <= 0.01
    assert np.abs(velocities).max(initial=0) <= config.safety.max_joint_speed_rad_s


@pytest.mark.parametrize("held_s", [0.0, 0.3, 1.0, 5.0])
def test_an_arm_that_was_held_up_at_a_wall_of_the_box_still_comes_home(held_s):
    """As an arm that slid along the wall: the gate lets nothing pass until it is quite at rest. The commands that the way
    home would have caught up with, each joint at its own limit, lead along the wall to a place without a way on."""
    config = configuration.load(DEMO, {})
    gate, task = gate_of(config, ARM), make_task(config, ARM)
    gate.program_running(True)
    q = np.array(config.task.home) + (0.0833, 0.7538, -0.4236, -0.319, -0.0659, 0.0)
    now, period = 100.0, 0.008
    task.begin_reset(q, now)
    for k in range(1, 2500):
        now += period
        qd = gate.velocity(now)
        q = q + qd * period
        gate.joints(q, now)
        if k % 5 == 0:
            if (velocity := task.reset_velocity(q, qd, now)) is None:
                break
            gate.command(now, velocity if now > 100.0 + held_s else np.zeros(6))
    assert velocity is None and now - 100.0 < held_s + 6.0, q - config.task.home


def test_a_short_way_takes_the_configured_time_and_a_long_one_more():
    home = np.zeros(6)
    assert plan_home(home + 0.01, home, 0.0, 2.0, 0.7, 1.4).duration_s == 2.0
    assert plan_home(home + 1.0, home, 0.0, 1.0, 0.7, 9.0).duration_s == pytest.approx(1.5 / (0.95 * 0.7))
    assert plan_home(home + 1.0, home, 0.0, 1.0, 9.0, 1.4).duration_s == pytest.approx((4.5 / (0.95 * 1.4)) ** 0.5)


def test_the_profile_of_the_way_home_is_the_integral_of_its_speed():
    move = plan_home(np.zeros(1), np.ones(1), 0.0, 3.0, 9.0, 9.0)
    times = np.linspace(0, 3, 3001)
    speeds = np.array([move.velocity(np.zeros(1), t, 0.0)[0] for t in times])
    places = np.array([move.velocity(np.zeros(1), t, 1.0)[0] for t in times]) - speeds
    np.testing.assert_allclose(np.gradient(places, times)[1:-1], speeds[1:-1], atol=2e-3)
    assert places[-1] == 1 and speeds[0] == speeds[-1] == 0 and speeds.max() == pytest.approx(0.5)
    assert np.abs(np.diff(speeds)).max() / 0.001 == pytest.approx(0.5, rel=1e-3)  # 4.5 / 3^2


def test_a_robot_that_is_pushed_off_is_brought_back_before_the_episode():
    task, home = make(), np.array(configuration.TaskConfig().home)
    task.begin_reset(home, 0.0)
    assert task.reset_velocity(home, np.zeros(6), 5.0) is None
    pushed = home + 0.1
    assert (task.reset_velocity(pushed, np.zeros(6), 5.0) < 0).all()
    assert task.reset_velocity(home, np.full(6, 0.3), 5.0) is not None  # there, but not at rest


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"task.home": [0.0] * 5}, "task.home has 5 values; ur5 has 6 joints"),
        ({"task.controlled_joints": 7}, "controlled_joints is 7"),
        ({"camera.height": 0, "camera.width": 0}, "needs a colour picture"),
        ({"camera.channels": 1}, "needs a colour picture"),
        ({"task.observe": "proprioception"}, "task.observe is 'proprioception'; expected 'image' or 'both'"),
    ],
)
def test_what_does_not_fit_is_refused(values, reason):
    with pytest.raises(ConfigError, match=reason):
        make_task(configuration.from_parameters(values), ARM)


@pytest.mark.parametrize("observe", ["both", "proprioception"])
def test_shadow_mode_rewards_nothing_and_never_moves(observe):
    joints = tuple("abcdefg")
    robot = {"robot.model": "joints", "robot.joints": joints, "robot.interface": "none"}
    config = configuration.from_parameters(
        robot | {"task.name": "shadow", "task.controlled_joints": 7, "task.observe": observe}
    )
    task = make_task(config, arm_of(config.robot))
    assert task.score(NEAR) == (0.0, False, False)
    assert task.reset_velocity(np.ones(7), np.zeros(7), 0.0) is None and not task.needs_new_target
    assert task.proprioception(np.ones(7), np.zeros(7), np.zeros(7, np.float32)).shape == (21,)
