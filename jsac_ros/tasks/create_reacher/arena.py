"""The view of a camera on a mobile base: a walled rectangular floor with a green sign on one wall.

Frame `arena`: origin in a corner of the floor, x along the longer side, y along the shorter, z up; metres.
"""

from __future__ import annotations

import numpy as np

from jsac_ros.tasks.pinhole import Pinhole, fill, fill_exactly

LENGTH, WIDTH, WALL = 2.0, 1.5, 0.5
SIGN = 0.20  # edge of the green square
_SIGN_HEIGHT = 0.20  # of its centre
_CAMERA_HEIGHT = 0.15
_CAMERA_FORWARD = 0.10  # of the base's centre
_VIEW_WIDTH = 1.3  # width of the view in m at one metre of distance
_FLOOR, _GREEN = (120, 112, 104), (24, 176, 62)  # RGB
_WALLS = ((206, 204, 200), (186, 186, 190), (214, 210, 204), (178, 180, 178))
_ROOM = (98, 100, 106)


def _wall(ax: float, ay: float, bx: float, by: float) -> np.ndarray:
    return np.array(((ax, ay, 0.0), (bx, by, 0.0), (bx, by, WALL), (ax, ay, WALL)))


_FLOOR_CORNERS = np.array(((0.0, 0.0, 0.0), (LENGTH, 0.0, 0.0), (LENGTH, WIDTH, 0.0), (0.0, WIDTH, 0.0)))
_WALL_CORNERS = (
    _wall(LENGTH, 0.0, LENGTH, WIDTH),
    _wall(LENGTH, WIDTH, 0.0, WIDTH),
    _wall(0.0, WIDTH, 0.0, 0.0),
    _wall(0.0, 0.0, LENGTH, 0.0),
)


def sign_corners(y: float) -> np.ndarray:
    """[4, 3]: the green square on the wall at x = LENGTH, centred at y."""
    low, high = _SIGN_HEIGHT - SIGN / 2, _SIGN_HEIGHT + SIGN / 2
    left, right = y - SIGN / 2, y + SIGN / 2
    return np.array(((LENGTH, left, low), (LENGTH, right, low), (LENGTH, right, high), (LENGTH, left, high)))


class BaseCamera:
    """The camera looks straight ahead."""

    def __init__(self, height: int, width: int):
        self._pinhole = Pinhole(height, width, _VIEW_WIDTH)
        self.matrix = self._pinhole.matrix

    def render(self, x: float, y: float, heading: float, sign_y: float) -> np.ndarray:
        """Base's centre (m) and heading (rad, from x towards y) -> RGB uint8 [H, W, 3], a new array."""
        c, s = np.cos(heading), np.sin(heading)
        position = np.array((x + _CAMERA_FORWARD * c, y + _CAMERA_FORWARD * s, _CAMERA_HEIGHT))
        axes = np.array(((s, -c, 0.0), (0.0, 0.0, -1.0), (c, s, 0.0)))  # right, down, forward
        image = np.empty((*self._pinhole.shape, 3), np.uint8)
        image[:] = _ROOM
        fill(image, self._pinhole.project(_FLOOR_CORNERS, position, axes), _FLOOR)
        for corners, colour in zip(_WALL_CORNERS, _WALLS):  # seen from inside, no wall occludes another
            fill(image, self._pinhole.project(corners, position, axes), colour)
        fill_exactly(image, self._pinhole.project(sign_corners(sign_y), position, axes), _GREEN)
        return image
