"""The mobile reacher: reward, end, reset."""

import numpy as np
import pytest
from rig_cases import BASE, rig_of, sensed_of

from jsac_ros.baseline import measure
from jsac_ros.config import ConfigError
from jsac_ros.parameters import load


def score(share, **task):
    rig = rig_of(BASE, **{f"task__{name}": value for name, value in task.items()})
    image = np.full((36, 48, 3), 200, np.uint8)
    image.reshape(-1, 3)[: round(share * 36 * 48)] = (24, 176, 62)
    before = sensed_of(rig)
    return rig.task.score(before, {}, before._replace(frames={"front": image}))


def test_every_step_costs_until_enough_green_ends_the_episode():
    assert score(0.05) == (-1.0, False, False)
    assert score(0.12) == (-1.0, True, True)
    assert score(0.12, reset_penalty=3.0).reward == -4.0
    assert score(0.12, reward="sparse") == (1.0, False, True)
    assert score(0.12, reward="none") == (0.0, False, True)
    assert 0 < score(0.05, reward="dense").reward <= 4.0


class Resets:
    """A reset of the base that began at 10 s."""

    def __init__(self, **changes):
        self.rig = rig_of(BASE, **changes)
        self.charge = 1.0
        self.reset = self.rig.task.reset()
        self.reset.begin(self.sensed(10.0))

    def sensed(self, time_s, wheels=0.0):
        sensors = {"bumper": np.zeros(1), "battery": np.array([self.charge])}
        sensors = {name: value for name, value in sensors.items() if name in self.rig.sensors}
        return sensed_of(self.rig, time_s, velocity=np.full(2, wheels), sensors=sensors)

    def at(self, time_s, wheels=0.0):
        command = self.reset.step(self.sensed(time_s, wheels))
        return None if command is None else command.motion


def test_a_reset_backs_off_turns_and_rests():
    base = Resets(task__reset_s=2.0, task__settle_s=0.2)
    back, turn = base.at(10.0), base.at(11.5)
    assert back[0] < 0 and back[1] == 0 and turn[0] == 0 and turn[1] != 0
    assert (base.at(12.1, wheels=1.0) == 0).all(), "still rolling"
    assert (base.at(12.2) == 0).all() and base.reset.reason == "settling"
    assert base.at(12.5) is None


def test_a_battery_in_percent_is_said_and_holds():
    """0 to 100, as some drivers have it: 12 of it would pass for full."""
    base = Resets()
    base.at(10.0)
    base.charge = 12.0
    assert (base.at(60.0) == 0).all()
    said = "battery at 12, expected 0 to 1: for a driver in percent set sensors.battery.scale to 0.01"
    assert base.reset.reason == said
    base.charge = 1.02  # a gauge
    base.at(60.1)
    assert base.reset.reason != said


def test_no_episode_begins_on_a_low_battery():
    base = Resets()
    base.at(10.0)
    base.charge = 0.1
    assert (base.at(60.0) == 0).all()
    assert base.reset.reason == "battery at 10%, expected 15%: charge it"
    base.charge = 0.9
    assert (base.at(61.0) == 0).all() and base.at(62.0) is None


def test_a_base_without_a_measured_battery_starts_all_the_same():
    base = Resets(**{f"sensors__battery__{name}": None for name in ("topic", "type", "fields", "nan_as")})
    base.at(10.0), base.at(60.0)
    assert base.at(61.0) is None


@pytest.mark.parametrize(("measured", "is_full"), [(np.nan, True), (0.5, False)])
def test_a_battery_that_is_not_measured_is_full(measured, is_full):
    """As drivers have it: a percentage of NaN. Infinity is no charge, and refused as it is for every sensor."""
    sensor = rig_of(BASE).sensors["battery"]
    assert sensor.scaled(np.array([measured])) == (1.0 if is_full else measured)
    with pytest.raises(ValueError):
        sensor.scaled(np.array([np.inf]))


def test_baselines_of_the_base(request):
    figures = measure(load(request.config.rootpath / "config/create_reacher.yaml"), 3)
    assert figures["servo"]["success"] == 1.0
    assert figures["servo"]["return_mean"] > figures["random"]["return_mean"] + 50


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"robot__type": "ur5"}, "actions.base.type is 'base_velocity'; ur5 is not a mobile base"),
        ({"actions__base__scale": (1.0, 1.0, 1.0)}, "actions.base.scale is .*at most 2 items"),
        ({"cameras__front__channels": 1}, "cameras.front.channels is 1; expected 3"),
        ({"robot__joints": ("l", "r", "rear")}, "robot.joints is .*at most 2 items"),
    ],
)
def test_what_does_not_fit_is_refused(changes, reason):
    with pytest.raises(ConfigError, match=reason):
        rig_of(BASE, **changes)


def test_the_joints_of_a_base_are_its_wheels_or_as_configured():
    assert rig_of(BASE).robot.names == ("left_wheel_joint", "right_wheel_joint")
    assert rig_of(BASE, robot__joints=("l", "r")).robot.names == ("l", "r")
