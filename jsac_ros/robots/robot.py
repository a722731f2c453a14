"""A robot as the rest of the package uses it: joint names, ranges, speeds and forward kinematics.

A robot of your own is a class like those in this package (entry points of group `jsac_ros.robots`): its `Parameters`
extend `config.RobotParameters`; its constructor takes them and calls the one below. The safety process imports it,
so it must stay small and free of JAX.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from jsac_ros.config import ConfigError, RobotParameters
from jsac_ros.robots import chain

Frame = Literal["base", "base_link"]


class Robot:
    """A chain of N joints, revolute or prismatic. Arrays are float64 in the order of `names`; rad, or m if prismatic.

    `links` holds the fixed parts between the joints: T = L0 J0(q0) L1 J1(q1) ... L(N-1) J(N-1)(q(N-1)) LN, where J rotates
    about z or moves along it. It is None if only the joints are known (a recorded robot, a mobile base).
    """

    Parameters: type[RobotParameters] = RobotParameters
    is_base = False  # a mobile base: commanded in m/s forward and rad/s left; its joints are its wheels
    senses: tuple[str, ...] = ("joint_position", "joint_velocity")  # what a policy observes by default

    def __init__(
        self,
        parameters: RobotParameters,
        names: Sequence[str],
        lower: np.ndarray | None = None,
        upper: np.ndarray | None = None,
        max_velocity: np.ndarray | None = None,
        links: np.ndarray | None = None,
        prismatic: np.ndarray | None = None,
        base_turned: bool = False,
    ):
        """lower, upper: [N]; max_velocity: [N] per second; None: unlimited. links: [N + 1, 4, 4], in frame `base`.

        prismatic: bool [N]; base_turned: `base` is `base_link` rotated by pi about z, as in the UR drivers.
        Raises ConfigError if these or `robot.home` are not of one set of joints: safety judges by them.
        """
        self.model = parameters.type
        self.names = tuple(names)
        self.prefix = parameters.joint_prefix
        unlimited = np.full(len(self.names), np.inf)
        self.lower = -unlimited if lower is None else np.asarray(lower, np.float64)
        self.upper = unlimited if upper is None else np.asarray(upper, np.float64)
        self.max_velocity = unlimited if max_velocity is None else np.asarray(max_velocity, np.float64)
        self.links = links
        self.prismatic = np.zeros(len(self.names), bool) if prismatic is None else np.asarray(prismatic, bool)
        self._check()
        self._slides = self.prismatic.tolist()
        self._chain = () if links is None else chain.poses_of(links)
        self._turned_chain = tuple(chain.half_turned(pose) for pose in self._chain[:1]) + self._chain[1:]
        self.base_turned = base_turned
        home = parameters.home
        if len(home) not in (0, len(self.names)):
            raise ConfigError(f"robot.home has {len(home)} values; {self.model} has {len(self.names)} joints")
        self.home = np.array(home, np.float64) if home else np.zeros(len(self.names))

    def _check(self) -> None:
        n, what = len(self.names), f"robot {self.model!r}"
        if not n or len(set(self.names)) < n or not all(isinstance(name, str) and name for name in self.names):
            raise ConfigError(f"{what} has joints {list(self.names)}; expected one or more different names")
        for field in ("lower", "upper", "max_velocity", "prismatic"):
            if np.shape(getattr(self, field)) != (n,):
                raise ConfigError(f"{what}: {field} has shape {list(np.shape(getattr(self, field)))}; expected [{n}]")
        for name, low, high, speed in zip(self.names, self.lower, self.upper, self.max_velocity):
            if not (low < high and speed > 0):  # NaN too
                raise ConfigError(
                    f"{what}: {name} has range {low:g} to {high:g} and max_velocity {speed:g}; expected low < high, speed > 0"
                )
        if self.links is not None and not chain.are_poses(self.links, n + 1):
            raise ConfigError(
                f"{what}: links are not {n + 1} poses; expected [{n + 1}, 4, 4], each a rotation and a translation"
            )

    def __len__(self) -> int:
        """Joints."""
        return len(self.names)

    @property
    def motion_size(self) -> int:
        """Number of values of a motion command: one per joint, or two for a base."""
        return 2 if self.is_base else len(self.names)

    @property
    def units(self) -> tuple[str, ...]:
        """Of each joint's position: "rad", or "m" if it is prismatic."""
        return tuple("m" if slides else "rad" for slides in self._slides)

    @property
    def has_kinematics(self) -> bool:
        return self.links is not None

    @property
    def link_names(self) -> tuple[str, ...]:
        """Of the link that each joint moves, as `robot_description` and /tf have them."""
        return tuple(f"{name.removesuffix('_joint')}_link" for name in self.names)

    @property
    def description(self) -> str:
        """URDF; "" where the robot has no kinematics."""
        from jsac_ros.robots.description import urdf_of  # only here: no safety process needs it

        return urdf_of(self) if self.has_kinematics else ""

    def forward(self, q: np.ndarray, frame: Frame = "base") -> tuple[np.ndarray, np.ndarray]:
        """Pose of the tool at joint positions q [N] -> position [3] in m and rotation [3, 3], in `frame`.

        Raises ValueError if the robot has no kinematics or q is not [N].
        """
        return chain.position_and_rotation(self._frames(q, frame)[1])

    def tool_positions(self, q: np.ndarray, frame: Frame = "base") -> np.ndarray:
        """Positions only, for many poses at once: [M, N] -> m [M, 3]. Raises ValueError as `forward` does."""
        links = self._known_links()
        # From the tool back to the base, so that only a point is transformed.
        c, s = np.cos(q.T), np.sin(q.T)
        point = np.broadcast_to(links[-1][:3, 3:], (3, len(q)))
        for j in range(len(self.names) - 1, -1, -1):
            x, y, z = point
            if self.prismatic[j]:
                moved = np.array((x, y, z + q[:, j]))
            else:
                moved = np.array((c[j] * x - s[j] * y, s[j] * x + c[j] * y, z))
            point = links[j][:3, :3] @ moved + links[j][:3, 3:]
        return point.T * ((-1.0, -1.0, 1.0) if frame == "base_link" and self.base_turned else 1.0)

    def tool_rotations(self, q: np.ndarray, frame: Frame = "base") -> np.ndarray:
        """Rotations only, for many poses at once: [M, N] -> [M, 3, 3]. Raises ValueError as `forward` does."""
        links = self._known_links()
        c, s = np.cos(q.T), np.sin(q.T)
        turned = np.broadcast_to(links[-1][:3, :3, None], (3, 3, len(q)))
        for j in range(len(self.names) - 1, -1, -1):
            if not self.prismatic[j]:
                x, y, z = turned
                turned = np.stack((c[j] * x - s[j] * y, s[j] * x + c[j] * y, z))
            turned = np.tensordot(links[j][:3, :3], turned, 1)
        half = (-1.0, -1.0, 1.0) if frame == "base_link" and self.base_turned else (1.0, 1.0, 1.0)
        return turned.transpose(2, 0, 1) * np.array(half)[:, None]

    def jacobian(self, q: np.ndarray, frame: Frame = "base") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Position [3], rotation [3, 3] and geometric Jacobian [6, N] of the tool at q [N], all in `frame`.

        Jacobian times joint velocities: the tool's velocity in m/s, then in rad/s. Raises as `forward` does.
        """
        frames, tool = self._frames(q, frame)
        return *chain.position_and_rotation(tool), chain.jacobian(frames, self._slides, tool)

    def _frames(self, q: np.ndarray, frame: Frame) -> tuple[list[chain.Pose], chain.Pose]:
        """Poses of the joints and of the tool."""
        self._known_links()
        if len(q) != len(self.names):
            raise ValueError(f"q has {len(q)} joints; {self.model} has {len(self.names)}")
        turned = frame == "base_link" and self.base_turned
        return chain.joint_frames(self._turned_chain if turned else self._chain, self._slides, np.asarray(q).tolist())

    def joint_speeds(self, motion: np.ndarray) -> np.ndarray:
        """Joint speeds, [N] per second, for a motion command."""
        return motion

    def index(self, names: Sequence[str], field: str) -> np.ndarray:
        """Indices of joints, int [n], named with or without the prefix; all joints if `names` is empty.

        Raises ConfigError naming `field` if one is unknown or duplicate.
        """
        if not names:
            return np.arange(len(self.names))
        full = [name if name in self.names else self.prefix + name for name in names]
        if set(full) - set(self.names) or len(set(full)) != len(full):
            raise ConfigError(f"{field} is {list(names)}; expected different ones of {list(self.names)}")
        return np.array([self.names.index(name) for name in full])

    def _known_links(self) -> np.ndarray:
        if self.links is None:
            raise ValueError(f"robot {self.model!r} has no kinematics")
        return self.links


def links_from_dh(a: Sequence[float], d: Sequence[float], alpha: Sequence[float]) -> np.ndarray:
    """Denavit-Hartenberg (classic: Rz(q) Tz(d) Tx(a) Rx(alpha)), [N] each in m, m, rad -> links [N + 1, 4, 4]."""
    links = [np.eye(4)]
    for a_i, d_i, alpha_i in zip(a, d, alpha, strict=True):
        c, s = math.cos(alpha_i), math.sin(alpha_i)
        links.append(np.array(((1.0, 0.0, 0.0, a_i), (0.0, c, -s, 0.0), (0.0, s, c, d_i), (0.0, 0.0, 0.0, 1.0))))
    return np.array(links)
