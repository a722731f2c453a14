"""Any arm of revolute joints in a row, from its URDF (read by urdfdom_py, the ROS package of the same name)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from urdf_parser_py.urdf import URDF, Joint, Robot

from jsac_ros.config import ConfigError
from jsac_ros.robots.arm import Arm


def urdf_arm(path: str, base_link: str, tool_link: str) -> Arm:
    """The joints between two links of the URDF at `path`; fixed joints on the way become part of the links.

    Positions are in `base_link`. Raises ConfigError with one line where the file, the chain or a joint is wrong.
    """
    robot = _read(path)
    for name, link in (("robot.base_link", base_link), ("robot.tool_link", tool_link)):
        if link not in robot.link_map:
            raise ConfigError(f"{name} is {link!r}; {path} has {', '.join(robot.link_map)}")
    try:
        chain = [robot.joint_map[name] for name in robot.get_chain(base_link, tool_link, joints=True, links=False)]
    except KeyError:
        raise ConfigError(f"{path}: {tool_link!r} does not hang on {base_link!r}") from None
    moving = [joint for joint in chain if joint.type != "fixed"]
    if not moving:
        raise ConfigError(f"{path}: no joint moves between {base_link!r} and {tool_link!r}")
    limits = np.array([_limits(path, joint) for joint in moving])
    return Arm(
        model="urdf",
        names=tuple(joint.name for joint in moving),
        lower=limits[:, 0],
        upper=limits[:, 1],
        max_velocity=limits[:, 2],
        links=_links(path, chain),
    )


def _read(path: str) -> Robot:
    try:
        return URDF.from_xml_string(Path(path).expanduser().read_bytes())
    except OSError as error:
        raise ConfigError(f"robot.urdf {path!r}: {error.strerror}; expected a URDF file") from None
    except Exception as error:  # the parser raises bare Exceptions, some of several lines
        raise ConfigError(f"robot.urdf {path!r}: {' '.join(str(error).split())}; expected a URDF") from None


def _limits(path: str, joint: Joint) -> tuple[float, float, float]:
    """Lower and upper in rad, speed in rad/s."""
    if joint.type not in ("revolute", "continuous"):
        raise ConfigError(f"{path}: joint {joint.name} is {joint.type}; expected revolute or continuous")
    if joint.mimic is not None:
        raise ConfigError(f"{path}: joint {joint.name} follows {joint.mimic.joint}; expected one that moves by itself")
    limit = joint.limit
    if limit is None:
        raise ConfigError(f"{path}: joint {joint.name} has no velocity limit; expected <limit velocity> above 0")
    if not 0 < limit.velocity < math.inf:  # NaN too
        raise ConfigError(f"{path}: joint {joint.name} has <limit velocity> {limit.velocity}; expected more than 0")
    if joint.type == "continuous":
        return -math.inf, math.inf, limit.velocity
    if limit.lower is None or limit.upper is None or not limit.lower < limit.upper:
        raise ConfigError(f"{path}: joint {joint.name} has no range; expected <limit lower> below <upper>")
    return limit.lower, limit.upper, limit.velocity


def _links(path: str, chain: list[Joint]) -> np.ndarray:
    """[N + 1, 4, 4] of `Arm`: each joint's axis is turned onto z before it and back after it."""
    links, link = [], np.eye(4)
    for joint in chain:
        link = link @ _origin(path, joint)
        if joint.type != "fixed":
            turned = _onto_z(_axis(path, joint))
            links.append(link @ turned)
            link = turned.T
    return np.array([*links, link])


def _origin(path: str, joint: Joint) -> np.ndarray:
    pose = np.eye(4)
    if joint.origin is not None:
        xyz, rpy = joint.origin.xyz or (0.0, 0.0, 0.0), joint.origin.rpy or (0.0, 0.0, 0.0)
        if not np.isfinite((xyz, rpy)).all():
            raise ConfigError(f"{path}: joint {joint.name} has <origin> xyz {xyz}, rpy {rpy}; expected finite numbers")
        roll, pitch, yaw = rpy
        pose[:3, :3] = _about("z", yaw) @ _about("y", pitch) @ _about("x", roll)
        pose[:3, 3] = xyz
    return pose


def _axis(path: str, joint: Joint) -> tuple[float, float, float]:
    axis = joint.axis or (1.0, 0.0, 0.0)
    if not 0 < np.linalg.norm(axis) < math.inf:  # NaN too
        raise ConfigError(f"{path}: joint {joint.name} has <axis xyz> {axis}; expected a direction, such as 0 0 1")
    return axis


def _about(axis: str, angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    rotation = {"x": ((1, 0, 0), (0, c, -s), (0, s, c)), "y": ((c, 0, s), (0, 1, 0), (-s, 0, c))}
    return np.array(rotation.get(axis, ((c, -s, 0), (s, c, 0), (0, 0, 1))), np.float64)


def _onto_z(axis: tuple[float, float, float]) -> np.ndarray:
    """A rotation [4, 4] whose z is the axis."""
    z = np.array(axis, np.float64) / np.linalg.norm(axis)
    x = np.cross(np.eye(3)[np.argmin(np.abs(z))], z)
    x /= np.linalg.norm(x)
    pose = np.eye(4)
    pose[:3, :3] = np.stack((x, np.cross(z, x), z), axis=1)
    return pose
