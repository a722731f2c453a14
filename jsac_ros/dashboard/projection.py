"""Projects the safety box and the tool into the image of a calibrated camera. Pixels count from the upper left corner."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from jsac_ros.config import CameraConfig, SystemConfig
from jsac_ros.robots.robot import Robot
from jsac_ros.robots.rotations import HALF_TURN, rotation_of

_NEAR_M = 0.01  # near plane: closer parts of a line are cut off
_FAR_PX = 1e5  # pixel coordinates are clipped to this


class Eye(NamedTuple):
    """A pinhole camera."""

    position: np.ndarray  # [3] m
    rotation: np.ndarray  # [3, 3], columns: right, down, forward
    intrinsics: tuple[float, ...]  # fx, fy, cx, cy, pixels


def box_edges(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """The 12 edges, [12, 2, 3], of a box with these opposite corners, m [3] each."""
    corners = np.array(list(itertools.product(*zip(lower, upper))))
    pairs = [(a, b) for a, b in itertools.combinations(range(8), 2) if np.sum(corners[a] != corners[b]) == 1]
    return corners[np.array(pairs)]


def project(segments: np.ndarray, eye: Eye) -> np.ndarray:
    """Lines [N, 2, 3], m, in the frame of `eye` -> pixels [M, 2, 2]; parts behind the camera are cut off, so that M <= N."""
    seen = (segments - eye.position) @ eye.rotation
    seen = seen[(seen[..., 2] > _NEAR_M).any(axis=1)]
    seen = np.take_along_axis(seen, seen[..., 2:].argsort(axis=1), axis=1)
    near, far = seen[:, 0], seen[:, 1]
    depth = far[:, 2] - near[:, 2]
    share = np.divide(_NEAR_M - near[:, 2], depth, out=np.zeros_like(depth), where=depth > 0).clip(0.0, 1.0)
    cut = np.stack((near + share[:, None] * (far - near), far), axis=1)
    fx, fy, cx, cy = eye.intrinsics
    return (cut[..., :2] / cut[..., 2:] * (fx, fy) + (cx, cy)).clip(-_FAR_PX, _FAR_PX)


class Overlay:
    """The overlay for the images of cameras whose pose is configured."""

    def __init__(self, config: SystemConfig, robot: Robot):
        calibrated = config.cameras if robot.has_kinematics else {}
        self._cameras = {name: camera for name, camera in calibrated.items() if camera.is_calibrated}
        self._robot, self._frame = robot, config.safety.box_frame
        box = config.safety.box_lower, config.safety.box_upper
        self._edges = box_edges(*map(np.array, box)) if all(map(len, box)) else np.zeros((0, 2, 3))

    @property
    def is_empty(self) -> bool:
        return not self._cameras

    def at(self, q: np.ndarray) -> dict[str, dict[str, list]]:
        """At joint positions q [N]: {camera: {"box": lines [x1, y1, x2, y2], "tool": [[x, y]] or []}}, in source pixels."""
        position, rotation = self._robot.forward(q, self._frame)
        drawn = {}
        for name, camera in self._cameras.items():
            eye = self._eye(camera, position, rotation)
            lines, point = project(self._edges, eye), project(np.array([[position, position]]), eye)
            drawn[name] = {"box": lines.reshape(-1, 4).round(1).tolist(), "tool": point[:, 0].round(1).tolist()}
        return drawn

    def _eye(self, camera: CameraConfig, tool_position: np.ndarray, tool_rotation: np.ndarray) -> Eye:
        """The camera in the frame of the box."""
        position, rotation = np.array(camera.position_m), rotation_of(camera.orientation)
        if camera.mount == "tool":
            position, rotation = tool_position + tool_rotation @ position, tool_rotation @ rotation
        elif camera.mount != self._frame and self._robot.base_turned:
            position, rotation = HALF_TURN @ position, HALF_TURN @ rotation
        return Eye(position, rotation, camera.intrinsics_px)
