"""The URDF of a robot with tabulated kinematics: like the `robot_description` of its driver, without meshes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

if TYPE_CHECKING:
    from jsac_ros.robots.robot import Robot

_UNLIMITED = 1000.0  # for values that are unlimited or, as the effort, unknown: the format requires a number
_RADIUS_M = 0.04  # of the cylinder that represents a link
_FLANGE = np.array(((0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)))  # x forward
_HALF_TURN = np.diag((-1.0, -1.0, 1.0, 1.0))  # about z


def urdf_of(robot: Robot) -> str:
    """Links `base_link`, one behind each joint, `flange` and `tool0`; for a UR also `base` and `base_link_inertia`.

    Raises ValueError where the robot has no kinematics.
    """
    if robot.links is None:
        raise ValueError(f"robot {robot.model!r} has no kinematics")
    root, prefix = ElementTree.Element("robot", name=robot.model), robot.prefix
    origins = _frames_along_the_axes(robot.links)
    parent = prefix + "base_link"
    ElementTree.SubElement(root, "link", name=parent)
    if robot.base_turned:
        for child, joint in (("base", "base_link-base_fixed_joint"), ("base_link_inertia", "base_link-base_link_inertia")):
            _fixed(root, prefix + joint, parent, prefix + child, _HALF_TURN)
        parent = prefix + "base_link_inertia"
    for k, (name, child) in enumerate(zip(robot.names, robot.link_names)):
        joint = _joint(root, name, _kind(robot, k), parent, child, origins[k])
        ElementTree.SubElement(joint, "axis", xyz="0 0 1")
        limits = {"effort": _UNLIMITED, "velocity": min(robot.max_velocity[k], _UNLIMITED)}
        if joint.get("type") != "continuous":
            limits |= {"lower": max(robot.lower[k], -_UNLIMITED), "upper": min(robot.upper[k], _UNLIMITED)}
        ElementTree.SubElement(joint, "limit", {name: repr(float(value)) for name, value in limits.items()})
        _cylinder(ElementTree.SubElement(root, "link", name=child), origins[k + 1][:3, 3])
        parent = child
    _fixed(root, f"{prefix}{_stem(parent, prefix)}-flange", parent, prefix + "flange", origins[-1] @ _FLANGE)
    _fixed(root, f"{prefix}flange-tool0", prefix + "flange", prefix + "tool0", _FLANGE.T)
    ElementTree.indent(root)
    return '<?xml version="1.0"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _stem(link: str, prefix: str) -> str:
    return link.removeprefix(prefix).removesuffix("_link")


def _frames_along_the_axes(links: np.ndarray) -> np.ndarray:
    """`Robot.links` with each frame moved along its joint's axis to the start of the next part: the same robot, with the
    frames of ur_description."""
    origins = links.copy()
    for k in range(len(links) - 1):
        along = np.eye(4)
        along[2, 3] = origins[k + 1][2, 3]
        origins[k] = origins[k] @ along
        origins[k + 1][2, 3] = 0.0
    return origins


def _kind(robot: Robot, k: int) -> str:
    if robot.prismatic[k]:
        return "prismatic"
    return "revolute" if np.isfinite((robot.lower[k], robot.upper[k])).all() else "continuous"


def _joint(root: ElementTree.Element, name: str, kind: str, parent: str, child: str, origin: np.ndarray):
    joint = ElementTree.SubElement(root, "joint", name=name, type=kind)
    ElementTree.SubElement(joint, "parent", link=parent)
    ElementTree.SubElement(joint, "child", link=child)
    _origin(joint, origin)
    return joint


def _fixed(root: ElementTree.Element, name: str, parent: str, child: str, origin: np.ndarray) -> None:
    ElementTree.SubElement(root, "link", name=child)
    _joint(root, name, "fixed", parent, child, origin)


def _origin(element: ElementTree.Element, pose: np.ndarray) -> None:
    words = (" ".join(repr(float(value) + 0.0) for value in values) for values in (pose[:3, 3], _roll_pitch_yaw(pose)))
    ElementTree.SubElement(element, "origin", dict(zip(("xyz", "rpy"), words)))


def _roll_pitch_yaw(pose: np.ndarray) -> tuple[float, float, float]:
    """rad, about the fixed axes; if only the sum of roll and yaw is determined, yaw is 0."""
    r = pose[:3, :3]
    level = math.hypot(r[0, 0], r[1, 0])
    pitch = math.atan2(-r[2, 0], level)
    if level < 1e-9:
        return math.atan2(-r[1, 2], r[1, 1]), pitch, 0.0
    return math.atan2(r[2, 1], r[2, 2]), pitch, math.atan2(r[1, 0], r[0, 0])


def _cylinder(link: ElementTree.Element, end: np.ndarray) -> None:
    """From the link's frame to the next one's."""
    visual, length, pose = ElementTree.SubElement(link, "visual"), float(np.linalg.norm(end)), np.eye(4)
    if length > _RADIUS_M:
        z = end / length
        x = np.cross(np.eye(3)[np.argmin(np.abs(z))], z)
        x /= np.linalg.norm(x)
        pose[:3, :3] = np.stack((x, np.cross(z, x), z), axis=1)
    pose[:3, 3] = end / 2
    _origin(visual, pose)
    cylinder = ElementTree.SubElement(ElementTree.SubElement(visual, "geometry"), "cylinder")
    cylinder.attrib |= {"radius": repr(_RADIUS_M), "length": repr(max(length, 2 * _RADIUS_M))}
