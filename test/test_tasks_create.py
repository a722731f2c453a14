"""The mobile reacher: reward, end, reset."""

import numpy as np
import pytest

from jsac_ros.baseline import measure
from jsac_ros.config import ConfigError, from_parameters, load
from jsac_ros.robots.models import WHEELS, arm_of
from jsac_ros.tasks import make_task


@pytest.fixture
def config(request):
    return load(request.config.rootpath / "config/create_reacher.yaml")


def make(config, **task):
    config = config.model_copy(update={"task": config.task.model_copy(update=task)})
    return make_task(config, arm_of(config.robot))


def frame(share):
    picture = np.full((48, 64, 3), 200, np.uint8)
    picture.reshape(-1, 3)[: round(share * 48 * 64)] = (24, 176, 62)
    return picture


def test_every_step_costs_until_enough_green_ends_the_episode(config):
    task = make(config)
    assert task.score(frame(0.05)) == (-1.0, False, False)
    assert task.score(frame(0.12)) == (-1.0, True, True)
    assert make(config, reset_penalty=3.0).score(frame(0.12)).reward == -4.0
    assert make(config, reward="sparse").score(frame(0.12)) == (1.0, False, True)


def test_proprioception_is_wheels_bumper_battery_and_action(config):
    task = make(config)
    task.contact, task.battery = True, 0.5
    p = task.proprioception(np.zeros(2), np.zeros(2), np.array((0.1, -0.2), np.float32))
    np.testing.assert_allclose(p, (0, 0, 1, 0.5, 0.1, -0.2), rtol=1e-6)
    assert p.dtype == np.float32


def test_a_reset_backs_off_turns_and_rests(config):
    task = make(config, reset_s=2.0)
    task.begin_reset(np.zeros(2), 10.0)
    still = np.zeros(2)
    back, turn = task.reset_velocity(still, still, 10.2), task.reset_velocity(still, still, 11.5)
    assert back[0] < 0 and back[1] == 0 and turn[0] == 0 and turn[1] != 0
    assert (task.reset_velocity(still, np.full(2, 1.0), 12.1) == 0).all()  # still rolling
    assert task.reset_velocity(still, still, 12.1) is None


def test_no_episode_begins_on_a_low_battery(config):
    task = make(config)
    task.begin_reset(np.zeros(2), 0.0)
    task.battery = 0.1
    assert (task.reset_velocity(np.zeros(2), np.zeros(2), 60.0) == 0).all()
    task.battery = 0.9
    assert task.reset_velocity(np.zeros(2), np.zeros(2), 60.0) is None


@pytest.mark.parametrize("unmeasured", [np.nan, np.inf])
def test_a_battery_that_nobody_measures_is_full(config, unmeasured):
    task = make(config)
    task.begin_reset(np.zeros(2), 0.0)
    task.battery = unmeasured
    assert task.battery == 1.0
    assert task.proprioception(np.zeros(2), np.zeros(2), np.zeros(2, np.float32))[3] == 1.0
    assert task.reset_velocity(np.zeros(2), np.zeros(2), 60.0) is None


def test_baselines_of_the_base(config):
    figures = measure(config, 5)
    assert figures["servo"]["success"] == 1.0
    assert figures["servo"]["return_mean"] > figures["random"]["return_mean"] + 50


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("task", {"controlled_joints": 5}),
        ("robot", {"model": "ur5"}),
        ("task", {"action_scale": (1.0, 1.0, 1.0)}),
        ("task", {"observe": "proprioception"}),
    ],
)
def test_what_does_not_fit_is_refused(config, section, values):
    wrong = config.model_copy(update={section: getattr(config, section).model_copy(update=values)})
    with pytest.raises(ConfigError, match="expected"):
        make_task(wrong, arm_of(wrong.robot))


def test_the_joints_of_a_base_are_its_wheels_or_as_configured():
    assert arm_of(from_parameters({"robot.model": "diff_drive"}).robot).names == WHEELS
    named = from_parameters({"robot.model": "diff_drive", "robot.joints": ["l", "r"]})
    assert arm_of(named.robot).names == ("l", "r")
