"""A pinhole camera for flat polygons: sufficient for a monitor or a room, without a renderer.

Pixels count from the image's upper left corner; a pixel's centre is at (0.5, 0.5).
"""

from __future__ import annotations

import cv2
import numpy as np

Colour = tuple[int, int, int]  # RGB

_SUPERSAMPLING = 4
_SHIFT = 4  # fractional bits of OpenCV's polygon corners
_NEAR = 0.01  # m, geometry closer than this to the camera's plane is clipped


class Pinhole:
    """Projects points; `view_width`: width of the view in m at one metre of distance. Pixels are square."""

    def __init__(self, height: int, width: int, view_width: float):
        self.shape = (height, width)
        self._scale = width / view_width
        self._centre = (width / 2, height / 2)

    @property
    def matrix(self) -> np.ndarray:
        """K [3, 3] for pixels whose centres have whole numbers, as OpenCV and ROS count them."""
        cx, cy = self._centre
        return np.array(((self._scale, 0.0, cx - 0.5), (0.0, self._scale, cy - 0.5), (0.0, 0.0, 1.0)))

    def project(self, polygon: np.ndarray, position: np.ndarray, axes: np.ndarray) -> np.ndarray:
        """Corners [N, 3] in m, camera at `position` with rows (right, down, forward) in `axes` -> pixels [M, 2].

        The polygon is clipped at the near plane; if nothing remains, M = 0.
        """
        seen = (polygon - position) @ axes.T
        if (seen[:, 2] < _NEAR).any():
            seen = _cut_near(seen)
        return seen[:, :2] / seen[:, 2:] * self._scale + self._centre


def _cut_near(polygon: np.ndarray) -> np.ndarray:
    """The part of a polygon [N, 3] in front of the near plane (Sutherland-Hodgman)."""
    kept = []
    for a, b in zip(polygon, np.roll(polygon, -1, axis=0)):
        if a[2] >= _NEAR:
            kept.append(a)
        if (a[2] >= _NEAR) != (b[2] >= _NEAR):
            kept.append(a + (b - a) * (_NEAR - a[2]) / (b[2] - a[2]))
    return np.array(kept).reshape(-1, 3)


def fill(image: np.ndarray, corners: np.ndarray, colour: Colour) -> None:
    """Fills a convex polygon (pixels [M, 2]) in an RGB image, with antialiasing."""
    if len(corners) > 2:
        cv2.fillConvexPoly(image, _fixed(corners), colour, lineType=cv2.LINE_AA, shift=_SHIFT)


def fill_exactly(image: np.ndarray, corners: np.ndarray, colour: Colour) -> None:
    """Fills a convex polygon, weighting each pixel by its covered share.

    The share of a colour near a threshold decides success, but OpenCV's polygons are half a pixel too large all
    around. So the region of the image around this polygon is drawn four times as large, inset by half of those pixels, and
    averaged.
    """
    if len(corners) < 3:
        return
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=0)), 0, (width, height)).astype(int)
    if left >= right or top >= bottom:
        return
    large = np.zeros(((bottom - top) * _SUPERSAMPLING, (right - left) * _SUPERSAMPLING), np.float32)
    outwards = corners - corners.mean(axis=0)
    outwards /= np.maximum(np.linalg.norm(outwards, axis=1, keepdims=True), 1e-6)
    outline = (corners - (left, top)) * _SUPERSAMPLING - 0.5 * outwards
    cv2.fillConvexPoly(large, _fixed(outline), 1.0, shift=_SHIFT)
    covered = cv2.resize(large, (right - left, bottom - top), interpolation=cv2.INTER_AREA)[..., None]
    part = image[top:bottom, left:right]
    part[:] = (part + covered * (np.array(colour, np.float32) - part) + 0.5).astype(np.uint8)


def _fixed(pixels: np.ndarray) -> np.ndarray:
    """OpenCV's fixed point, which counts from pixel centres; distant corners must stay inside its range."""
    return (np.clip(pixels - 0.5, -16_000, 16_000) * (1 << _SHIFT)).round().astype(np.int32)
