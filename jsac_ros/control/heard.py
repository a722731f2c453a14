"""Converts the messages of drivers to sensed values: live, in shadow mode on a recording, and offline.

Pure: a message is anything with the fields of its type, whether rclpy or `rosbags` made it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jsac_ros.config import Stamps
from jsac_ros.rig import JOINTS, Rig
from jsac_ros.robots.joint_map import JointMap
from jsac_ros.types import Arrays, Sensed


class Times(NamedTuple):
    """The times of one message."""

    stamp_ns: int  # identifies it: see `known_by`
    taken_s: float  # on the loop's clock, as is `arrived_s`
    arrived_s: float


class Frame(NamedTuple):
    pixels: np.ndarray  # uint8 [H, W, C]
    times: Times
    changed_s: float  # when the pixels last changed, on the loop's clock
    lacks: tuple[str, ...] = ()


class Joints(NamedTuple):
    position: np.ndarray  # [N]
    velocity: np.ndarray  # [N]
    effort: np.ndarray  # [N], NaN if not measured
    outputs: Arrays  # {gripper: float64 [1]}, m
    times: Times  # `taken_s`: of the oldest part
    lacks: tuple[str, ...]  # joints that the newest message does not contain


class Reading(NamedTuple):
    values: np.ndarray  # float64 [n]
    times: Times
    lacks: tuple[str, ...] = ()


Heard = Frame | Joints | Reading


def known_by(stamp_ns: int, published_ns: int, stamps: Stamps) -> int:
    """The stamp that identifies a message, live and in a recording: that of its header or, if it has none or its stamps do not
    count, the time of publication, which the middleware gives to every subscriber alike."""
    return stamp_ns if stamps == "header" and stamp_ns else published_ns


class JointReader:
    """Converts the joint states of one or several drivers to the state of the robot and its grippers."""

    def __init__(self, rig: Rig):
        self._robot, self._grippers = rig.robot, rig.grippers
        names = (*rig.robot.names, *(gripper.config.joint for gripper in rig.grippers.values()))
        self.map = JointMap(names)
        self._place = {name: place for place, name in enumerate(names)}
        self._effort = np.full(len(names), math.nan)

    def __call__(self, message: Any, times: Times, number: int | None = None) -> Joints | None:
        """None if the message contains none of the rig's joints, or if some of these have never been received.

        number: the publisher's message number, if known. Raises ValueError if the message cannot be used.
        """
        joints = self.map(message.name, message.position, message.velocity, times.stamp_ns, number)
        if joints is None:
            return None
        if not (np.isfinite(joints.position).all() and np.isfinite(joints.velocity).all()):
            raise ValueError("position or velocity is not finite")
        measured = len(message.effort) == len(message.name)
        for i, name in enumerate(message.name):
            if name in self._place:
                self._effort[self._place[name]] = message.effort[i] if measured else math.nan
        n = len(self._robot)
        openings = (gripper.opening(joint) for gripper, joint in zip(self._grippers.values(), joints.position[n:]))
        return Joints(
            joints.position[:n], joints.velocity[:n], self._effort[:n].copy(),
            {name: np.array([opening]) for name, opening in zip(self._grippers, openings)},
            times._replace(taken_s=times.taken_s - (times.stamp_ns - joints.oldest_ns) * 1e-9), joints.lacks,
        )  # fmt: skip


def sensed_of(rig: Rig, heard: Mapping[str, Heard], time_s: float, events: tuple[str, ...] = ()) -> Sensed:
    """The sensed values at a tick. heard: {source: its newest value}; a sensor without age limit may be missing: zeros."""
    joints = heard[JOINTS]
    return Sensed(
        time_s=time_s,
        frames={name: heard[name].pixels for name in rig.images},
        position=joints.position, velocity=joints.velocity, effort=joints.effort,
        sensors={
            name: heard[name].values if name in heard else np.zeros(sensor.space.size)
            for name, sensor in rig.sensors.items()
        },
        events=events, outputs=joints.outputs,
    )  # fmt: skip
