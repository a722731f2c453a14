"""The visual reacher's reward, success and reset."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig_cases import REACHER, config_of, rig_of, sensed_of

from jsac_ros.config import ConfigError
from jsac_ros.control.safety import gate_of
from jsac_ros.parameters import load
from jsac_ros.rig import Rig
from jsac_ros.tasks.home import plan_home
from jsac_ros.tasks.ur5_reacher.task import dense_reward, reached, red_mask


def image_with(rows=slice(0, 0), columns=slice(0, 0)):
    image = np.full((32, 48, 3), 240, np.uint8)
    image[rows, columns] = (220, 20, 20)
    return image


NEAR = image_with(slice(13, 19), slice(21, 27))  # 36 of 1536 pixels, in the middle
OFF_CENTRE = image_with(slice(0, 6), slice(0, 6))


class Scored:
    """A task that is shown one image after the other."""

    def __init__(self, **changes):
        self.rig = rig_of(**{f"task__{name}": value for name, value in changes.items()})
        self.begin()

    def begin(self):
        self.rig.task.begin(sensed_of(self.rig))

    def score(self, image):
        before = sensed_of(self.rig)
        return self.rig.task.score(before, {}, before._replace(frames={"wrist": image}))


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
def test_dense_reward_is_the_same_in_every_quarter_of_the_image(row, column):
    mask = np.zeros((32, 48), bool)
    mask[row, column] = True
    assert dense_reward(mask) == pytest.approx(dense_reward(mask[::-1, ::-1]))
    assert dense_reward(mask) == pytest.approx(dense_reward(mask[:, ::-1]))


def test_a_share_of_red_off_centre_is_not_reached():
    assert reached(red_mask(NEAR))
    assert not reached(red_mask(OFF_CENTRE))
    assert not reached(red_mask(image_with(slice(14, 18), slice(21, 26))))  # 20 pixels: too few


def test_success_is_held_for_five_ticks_and_starts_again():
    task = Scored()
    assert [task.score(NEAR).success for _ in range(6)] == [False] * 4 + [True] * 2
    assert not task.score(OFF_CENTRE).success
    assert [task.score(NEAR).success for _ in range(5)] == [False] * 4 + [True]
    task.begin()
    assert not task.score(NEAR).success


def test_rewards_of_the_other_kinds():
    assert Scored().score(NEAR).reward == pytest.approx(dense_reward(red_mask(NEAR)))
    assert Scored(reward="sparse").score(NEAR)[:2] == (1.0, False)
    assert Scored(reward="sparse").score(image_with())[:2] == (0.0, False)
    assert Scored(reward="minimum_time").score(image_with())[:2] == (-1.0, False)
    assert Scored(reward="minimum_time", reset_penalty=2.0).score(NEAR)[:2] == (-3.0, True)
    assert Scored(reward="none").score(NEAR)[:2] == (0.0, False)


def go_home(rig, start, dt=0.04, longest=20.0):
    """Follows the reset with a perfect robot and a target that comes at once; -> where it ends, velocities [T, 6]."""
    reset, now, velocities = rig.task.reset(), 100.0, []
    sensed = sensed_of(rig, now, position=start.copy())
    reset.begin(sensed)
    while (command := reset.step(sensed)) is not None and now < 100.0 + longest:
        if reset.service:
            reset.answered(True, "")
        now, velocity = now + dt, command.motion
        sensed = sensed._replace(time_s=now, position=sensed.position + velocity * dt, velocity=velocity)
        velocities.append(velocity)
    return sensed.position, np.array(velocities)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1.2, 1.2), min_size=6, max_size=6))
def test_every_reset_ends_at_home_within_the_limits(offset):
    rig = rig_of(task__reset_s=0.5)
    q, velocities = go_home(rig, rig.robot.home + offset)
    assert np.abs(q - rig.robot.home).max() <= 0.01
    assert np.abs(velocities).max(initial=0) <= rig.config.safety.max_joint_speed_rad_s


@pytest.mark.parametrize("held_s", [0.0, 0.3, 1.0, 5.0])
def test_an_arm_that_was_held_up_at_a_wall_of_the_box_still_comes_home(held_s, request):
    """As an arm that slid along the wall: the gate lets nothing pass until it is quite at rest. The commands that the way
    home would have caught up with, each joint at its own limit, lead along the wall to a place without a way on."""
    rig = Rig.of(load(request.config.rootpath / "config/ur5_reacher_demo.yaml"))
    gate, reset = gate_of(rig.config, rig.robot), rig.task.reset()
    gate.program_running(True)
    q = rig.robot.home + (0.0833, 0.7538, -0.4236, -0.319, -0.0659, 0.0)
    now, period = 100.0, 0.008
    reset.begin(sensed_of(rig, now, position=q))
    for k in range(1, 2500):
        now += period
        qd = gate.velocity(now)
        q = q + qd * period
        gate.joints(q, now)
        if k % 5 == 0:
            command = reset.step(sensed_of(rig, now, position=q, velocity=qd))
            if reset.service:
                reset.answered(True, "")
            if command is None:
                break
            gate.command(now, command.motion if now > 100.0 + held_s else np.zeros(6))
    assert command is None and now - 100.0 < held_s + 6.0, q - rig.robot.home


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


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"robot__home": (0.0,) * 5}, "robot.home has 5 values; ur5 has 6 joints"),
        ({"cameras__wrist__channels": 1}, "cameras.wrist.channels is 1; expected 3: ur5_reacher scores its image"),
        ({"task__camera": "scene"}, "task.camera is 'scene'; expected one of wrist"),
    ],
)
def test_what_does_not_fit_is_refused(changes, reason):
    with pytest.raises(ConfigError) as refused:
        rig_of(**changes)
    assert str(refused.value) == reason


def test_without_a_camera_there_is_nothing_to_score():
    blind = {name: value for name, value in REACHER.items() if not name.startswith("cameras.")}
    with pytest.raises(ConfigError, match="task.camera is ''; expected one of the cameras .none configured."):
        rig_of(blind)
    rig = Rig.of(config_of(blind, task__type="shadow"))
    assert rig.spaces.images == () and rig.spaces.vector_size == 15


@pytest.mark.parametrize("observe", [(), ("joint_position", "joint_velocity", "previous_action")])
def test_shadow_mode_rewards_nothing_and_never_moves(observe):
    joints = tuple("abcdefg")
    rig = rig_of(
        {"cameras.eye.height": 32, "cameras.eye.width": 48, "robot.type": "joints", "robot.joints": joints,
         "robot.interface": "none", "actions.arm.type": "joint_velocity", "task.type": "shadow"},
        task__observe=observe,
    )  # fmt: skip
    sensed = sensed_of(rig, frames={"eye": NEAR}, position=np.ones(7))
    assert rig.task.score(sensed, {}, sensed) == (0.0, False, False)
    reset = rig.task.reset()
    reset.begin(sensed)
    assert reset.step(sensed) is None and not reset.service and not rig.task.moves_robot
    assert rig.spaces.vector_size == 21
