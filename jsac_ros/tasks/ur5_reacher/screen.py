"""The wrist camera's view in the visual reacher: a monitor that shows a red disc on white, in a dim room.

The monitor is a plane, so its image is a homography and a few polygons; no renderer is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jsac_ros.tasks.pinhole import Pinhole, fill, fill_exactly

SCREEN = (160.0, 90.0)  # width, height in the units of the published protocol
DISC_RADIUS = 7.0
MARGIN = 20.0  # from the disc's centre to every edge

_VIEW_WIDTH = 1.1  # width of the view in m at one metre of distance
_CIRCLE = np.stack([f(np.linspace(0, 2 * np.pi, 48, endpoint=False)) for f in (np.cos, np.sin)], axis=1)
_WALL, _BEZEL, _WHITE, _RED = (72, 74, 70), (18, 18, 20), (236, 238, 240), (222, 18, 24)  # RGB
_SCREEN_OUTLINE = np.array(((0.0, 0.0), (160.0, 0.0), (160.0, 90.0), (0.0, 90.0)))
_BEZEL_OUTLINE = _SCREEN_OUTLINE + 3.0 * np.sign(_SCREEN_OUTLINE - (80.0, 45.0))


@dataclass(frozen=True)
class Monitor:
    """A screen of `width` m by `height` m; its pose is in the arm's frame `base`."""

    centre: np.ndarray  # [3] m
    right: np.ndarray  # [3] unit vector along the image's rows
    down: np.ndarray  # [3] unit vector along its columns
    width: float = 0.60  # m, 27 inches
    height: float = 0.3375

    def points(self, screen: np.ndarray) -> np.ndarray:
        """Screen units [N, 2] (x right, y down, origin at the upper left) -> base frame, m [N, 3]."""
        metres = (np.asarray(screen) / SCREEN - 0.5) * (self.width, self.height)
        return self.centre + metres[:, :1] * self.right + metres[:, 1:] * self.down


def monitor_in_front(tool_position: np.ndarray, tool_rotation: np.ndarray, distance: float = 0.55) -> Monitor:
    """A monitor that faces a camera at this tool pose (frame `base`) and is centred in its image."""
    right, down, forward = camera_axes(tool_rotation)
    return Monitor(tool_position + distance * forward, right, down)


def camera_axes(tool_rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The camera looks along the tool's z and is mounted upright at the start pose: right, down, forward."""
    return -tool_rotation[:, 0], -tool_rotation[:, 1], tool_rotation[:, 2]


class WristCamera:
    """Renders the camera's image, in about 0.2 ms at 160x90."""

    def __init__(self, height: int, width: int, monitor: Monitor):
        self.monitor = monitor
        self._pinhole = Pinhole(height, width, _VIEW_WIDTH)
        self.matrix = self._pinhole.matrix

    def render(self, tool_position: np.ndarray, tool_rotation: np.ndarray, disc: np.ndarray) -> np.ndarray:
        """Tool pose in `base`, disc's centre in screen units [2] -> RGB uint8 [H, W, 3], a new array."""
        axes = np.stack(camera_axes(tool_rotation))

        def corners(outline: np.ndarray) -> np.ndarray:
            return self._pinhole.project(self.monitor.points(outline), tool_position, axes)

        image = np.empty((*self._pinhole.shape, 3), np.uint8)
        image[:] = _WALL
        fill(image, corners(_BEZEL_OUTLINE), _BEZEL)
        fill(image, corners(_SCREEN_OUTLINE), _WHITE)
        fill_exactly(image, corners(disc + DISC_RADIUS * _CIRCLE), _RED)
        return image


def random_disc(random: np.random.Generator) -> np.ndarray:
    """A disc's centre in screen units [2], uniform inside the margin."""
    return np.array([random.uniform(MARGIN, extent - MARGIN) for extent in SCREEN])
