"""Any serial arm of revolute and prismatic joints, from its URDF (read by urdfdom_py, the ROS package of that name)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from jsac_ros.config import ConfigError, RobotParameters
from jsac_ros.robots.robot import Robot

_MOST_BYTES = 1 << 20  # a UR5's has 25,000; a second of parsing


class UrdfArm(Robot):
    """The joints between two links of a URDF; fixed joints between them become part of the links."""

    class Parameters(RobotParameters):
        urdf: str  # path of the URDF file
        base_link: str  # first link of the chain, and frame of positions
        tool_link: str  # last link of the chain

    def __init__(self, parameters: UrdfArm.Parameters):
        """Raises ConfigError with one line if the file, the chain or a joint is invalid."""
        path = parameters.urdf
        self._text = _read(path)
        chain = _chain(self._text, path, parameters.base_link, parameters.tool_link)
        moving = [joint for joint in chain if joint.type != "fixed"]
        limits = np.array([_limits(path, joint) for joint in moving])
        super().__init__(
            parameters,
            names=[parameters.joint_prefix + joint.name for joint in moving],
            lower=limits[:, 0],
            upper=limits[:, 1],
            max_velocity=limits[:, 2],
            links=_links(path, chain),
            prismatic=np.array([joint.type == "prismatic" for joint in moving]),
        )

    @property
    def description(self) -> str:
        """The unchanged file, including all other links."""
        return self._text.decode(errors="replace")


def _chain(urdf: bytes, path: str, base_link: str, tool_link: str) -> list[Any]:
    """urdf_parser_py's joints from one link to the other, at least one of which moves."""
    robot = parsed(urdf, f"robot.urdf {path!r}")
    for name, link in (("robot.base_link", base_link), ("robot.tool_link", tool_link)):
        if link not in robot.link_map:
            raise ConfigError(f"{name} is {link!r}; {path} has {', '.join(robot.link_map)}")
    try:
        chain = [robot.joint_map[name] for name in robot.get_chain(base_link, tool_link, joints=True, links=False)]
    except KeyError:
        raise ConfigError(f"{path}: {tool_link!r} is not attached to {base_link!r}") from None
    if all(joint.type == "fixed" for joint in chain):
        raise ConfigError(f"{path}: no joint moves between {base_link!r} and {tool_link!r}")
    return chain


def _read(path: str) -> bytes:
    try:
        with open(Path(path).expanduser(), "rb") as file:
            return file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"robot.urdf {path!r}: {error.strerror}; expected a URDF file") from None


def parsed(urdf: bytes | str, where: str) -> Any:
    """urdf_parser_py's robot. Raises ConfigError, which names `where` it is from."""
    from urdf_parser_py.urdf import URDF  # only here: the parser takes megabytes that the safety process of a UR does not need

    try:
        if len(urdf) > _MOST_BYTES:
            raise ValueError(f"longer than {_MOST_BYTES} bytes")
        return URDF.from_xml_string(urdf.encode() if isinstance(urdf, str) else urdf)  # libxml2 bounds depth and entities
    except Exception as error:  # the parser raises bare Exceptions, some with several lines
        raise ConfigError(f"{where}: {' '.join(str(error).split())}; expected a URDF") from None


def _limits(path: str, joint: Any) -> tuple[float, float, float]:
    """Lower and upper limit in rad (m if prismatic), speed per second."""
    if joint.type not in ("revolute", "continuous", "prismatic"):
        raise ConfigError(f"{path}: joint {joint.name} is {joint.type}; expected revolute, continuous or prismatic")
    if joint.mimic is not None:
        raise ConfigError(f"{path}: joint {joint.name} follows {joint.mimic.joint}; expected an independent joint")
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


def _links(path: str, chain: list[Any]) -> np.ndarray:
    """[N + 1, 4, 4] of `Robot`: each joint's axis is rotated onto z before it and back after it."""
    links, link = [], np.eye(4)
    for joint in chain:
        link = link @ _origin(path, joint)
        if joint.type != "fixed":
            turned = _onto_z(axis_of(path, joint))
            links.append(link @ turned)
            link = turned.T
    return np.array([*links, link])


def _origin(path: str, joint: Any) -> np.ndarray:
    pose = np.eye(4)
    if joint.origin is not None:
        xyz, rpy = joint.origin.xyz or (0.0, 0.0, 0.0), joint.origin.rpy or (0.0, 0.0, 0.0)
        if not np.isfinite((xyz, rpy)).all():
            raise ConfigError(f"{path}: joint {joint.name} has <origin> xyz {xyz}, rpy {rpy}; expected finite numbers")
        roll, pitch, yaw = rpy
        pose[:3, :3] = _about("z", yaw) @ _about("y", pitch) @ _about("x", roll)
        pose[:3, 3] = xyz
    return pose


def axis_of(path: str, joint: Any) -> tuple[float, float, float]:
    """The axis of a joint of urdf_parser_py, of any length. Raises ConfigError if it is not a direction."""
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
