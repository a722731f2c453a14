"""Small rigs, and plug-ins of a lab's own for them: a task and an action part that are found by `rig_cases:Class`."""

from __future__ import annotations

from typing import Any

import numpy as np

from jsac_ros import plugins
from jsac_ros.config import SensorConfig, SystemConfig, TaskParameters
from jsac_ros.control.session import View
from jsac_ros.parameters import from_parameters
from jsac_ros.rig import Rig
from jsac_ros.robots.robot import Robot
from jsac_ros.spaces import VectorSpace
from jsac_ros.tasks.reset import ResetPart
from jsac_ros.tasks.task import Task
from jsac_ros.types import Command, Score, Sensed

HOME = (1.5707, -2.0, 2.17, -3.0415, -1.5707, 3.1415)
FIVE = ("shoulder_pan_joint", "shoulder_lift_joint", "elbow_joint", "wrist_1_joint", "wrist_2_joint")
# The reacher in the demo's size.
REACHER = {
    "cameras.wrist.height": 32, "cameras.wrist.width": 48, "cameras.wrist.stack": 2, "robot.home": HOME,
    "actions.arm.type": "joint_velocity", "actions.arm.joints": FIVE,
}  # fmt: skip
BASE = {
    "cameras.front.height": 36, "cameras.front.width": 48, "robot.type": "diff_drive", "robot.interface": "twist",
    "actions.base.type": "base_velocity", "actions.base.scale": (0.3, 2.0), "task.type": "create_reacher",
    "sensors.bumper.topic": "bumper", "sensors.bumper.type": "std_msgs/msg/Bool", "sensors.bumper.fields": ("data",),
    "sensors.battery.topic": "battery_state", "sensors.battery.type": "sensor_msgs/msg/BatteryState",
    "sensors.battery.fields": ("percentage",), "sensors.battery.nan_as": (1.0,),
}  # fmt: skip
WRENCH = {
    "sensors.wrench.topic": "wrench", "sensors.wrench.type": "geometry_msgs/msg/WrenchStamped",
    "sensors.wrench.fields": ("wrench.force.x", "wrench.force.y", "wrench.force.z"), "sensors.wrench.scale": (0.1,),
}  # fmt: skip
# Three joints, of which two are moved, before one camera of 2x2 pixels.
LINE = {
    "cameras.eye.height": 2, "cameras.eye.width": 2, "cameras.eye.stack": 2, "robot.type": "joints",
    "robot.joints": ("a", "b", "c"), "actions.arm.type": "joint_velocity", "actions.arm.joints": ("a", "b"),
    "actions.arm.scale": (0.2,), "task.type": "rig_cases:Line", "task.episode_s": 0.16,
}  # fmt: skip


def config_of(base: dict[str, Any] = REACHER, /, **changes: Any) -> SystemConfig:
    """`changes` as task__reward="sparse"; None leaves a field of `base` out."""
    values = base | {name.replace("__", "."): value for name, value in changes.items()}
    return from_parameters({name: value for name, value in values.items() if value is not None})


def rig_of(base: dict[str, Any] = REACHER, /, **changes: Any) -> Rig:
    return Rig.of(config_of(base, **changes))


def robot_of(kind: str, **parameters: Any) -> Robot:
    """The robot of a type without the rest of a rig."""
    return plugins.make("robot", kind, plugins.load("robot", kind).Parameters(type=kind, **parameters))


def sensed_of(rig: Rig, time_s: float = 0.0, **changes: Any) -> Sensed:
    """At rest at home, black frames, sensors at zero."""
    robot = rig.robot
    return Sensed(
        time_s=time_s,
        frames={name: np.zeros(space.frame_shape, np.uint8) for name, space in rig.images.items()},
        position=robot.home.copy(), velocity=np.zeros(len(robot)), effort=np.full(len(robot), np.nan),
        sensors={name: np.zeros(sensor.space.size) for name, sensor in rig.sensors.items()},
    )._replace(**changes)  # fmt: skip


def view_of(rig: Rig, tick: int, problem: str = "", period_s: float = 0.04, **changes: Any) -> View:
    """`changes` of what is sensed; nothing is sensed where there is a problem."""
    sources, time_s = rig.sources, tick * period_s
    return View(
        time_s=time_s, stamp_ns=1000 + tick, lateness_s=0.001,
        sensed=None if problem else sensed_of(rig, time_s, **changes),
        source_stamps_ns={name: 500 + 100 * k + tick for k, name in enumerate(sources)},
        ages_s=dict.fromkeys(sources, 0.01), problem=problem,
    )  # fmt: skip


class TicksHome(ResetPart):
    """So many ticks of one motion."""

    reason = "moving home"

    def __init__(self, ticks: int, velocity: float, joints: int):
        self._left, self._command = ticks, Command(np.full(joints, velocity), {})

    def step(self, sensed: Sensed) -> Command | None:
        self._left -= 1
        return self._command if self._left >= 0 else None


class Line(Task):
    """Three ticks home, then steps; pixel value 9 is a terminal state, 7 a success, any value its reward."""

    home_ticks = 3

    def reset(self):
        return TicksHome(self.home_ticks, 0.5, len(self.rig.robot))

    def score(self, before, action, after):
        value = int(next(iter(after.frames.values())).flat[0])
        return Score(float(value), value == 9, value == 7)


class Faulty(Line):
    """It raises in the method that `fails_in` names, or gives what it must not."""

    class Parameters(TaskParameters):
        fails_in: str = ""

    vectors = (VectorSpace("slope", 2, "m/s"),)
    sensors = {"pressure": SensorConfig(topic="pressure", type="std_msgs/msg/Float64", fields=("data",))}

    def _maybe_fail(self, where):
        if self.parameters.fails_in == where:
            raise KeyError(f"lost in {where}")

    def reset(self):
        self._maybe_fail("reset")
        return super().reset()

    def begin(self, sensed):
        self._maybe_fail("begin")

    def observe(self, sensed):
        self._maybe_fail("observe")
        wrong = {"size": np.zeros(3), "nan": np.full(2, np.nan)}
        return {"slope": wrong.get(self.parameters.fails_in, sensed.velocity[:2])}

    def score(self, before, action, after):
        self._maybe_fail("score")
        score = super().score(before, action, after)
        return score._replace(reward=float("nan")) if self.parameters.fails_in == "reward" else score
