"""The frames of a URDF: the pose of each joint's child link relative to its parent link, as robot_state_publisher does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jsac_ros.robots.urdf import axis_of, parsed

Quaternion = tuple[float, float, float, float]  # x, y, z, w
_TURNS = ("revolute", "continuous")


class Transform(NamedTuple):
    parent: str
    child: str
    position: tuple[float, float, float]  # m
    rotation: Quaternion


class Frames:
    """`fixed` contains the constant transforms."""

    def __init__(self, urdf: str):
        """Raises ConfigError if the URDF cannot be read."""
        joints = parsed(urdf, "robot_description").joints
        self.fixed = [_transform(joint, *_origin(joint)) for joint in joints if joint.type == "fixed"]
        moving = [joint for joint in joints if joint.type in (*_TURNS, "prismatic")]
        self._moving = [(joint, *_origin(joint), _direction(joint)) for joint in moving]

    def moved(self, positions: Mapping[str, float]) -> list[Transform]:
        """Those of the joints in `positions`, rad (m if prismatic), and of the joints that mimic them."""
        found = []
        for joint, xyz, rotation, direction in self._moving:
            mimic = joint.mimic
            position = positions.get(mimic.joint if mimic else joint.name)
            if position is None:
                continue
            if mimic:
                position = (1.0 if mimic.multiplier is None else mimic.multiplier) * position + (mimic.offset or 0.0)
            if joint.type in _TURNS:
                found.append(_transform(joint, xyz, _times(rotation, _about(direction, position))))
            else:
                found.append(_transform(joint, xyz + position * _turned(rotation, direction), rotation))
        return found


def _origin(joint: Any) -> tuple[np.ndarray, Quaternion]:
    if joint.origin is None:
        return np.zeros(3), (0.0, 0.0, 0.0, 1.0)
    roll, pitch, yaw = joint.origin.rpy or (0.0, 0.0, 0.0)
    about_x, about_y, about_z = _about((1, 0, 0), roll), _about((0, 1, 0), pitch), _about((0, 0, 1), yaw)
    return np.array(joint.origin.xyz or (0.0, 0.0, 0.0)), _times(about_z, _times(about_y, about_x))


def _transform(joint: Any, xyz: np.ndarray, rotation: Quaternion) -> Transform:
    x, y, z = xyz.tolist()
    return Transform(joint.parent, joint.child, (x, y, z), rotation)


def _direction(joint: Any) -> np.ndarray:
    """[3], of length 1."""
    axis = np.array(axis_of("robot_description", joint), np.float64)
    return axis / np.linalg.norm(axis)


def _about(axis: Any, angle: float) -> Quaternion:
    s = math.sin(angle / 2)
    return s * axis[0], s * axis[1], s * axis[2], math.cos(angle / 2)


def _times(a: Quaternion, b: Quaternion) -> Quaternion:
    (ax, ay, az, aw), (bx, by, bz, bw) = a, b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def _turned(rotation: Quaternion, vector: np.ndarray) -> np.ndarray:
    x, y, z, w = rotation
    along = np.array((x, y, z))
    return vector + 2 * np.cross(along, np.cross(along, vector) + w * vector)
