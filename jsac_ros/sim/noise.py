"""Noise of a simulated camera."""

from __future__ import annotations

import cv2
import numpy as np

_STARTS = 65_536


class Noise:
    """Gaussian noise of a camera. Drawing it costs ten times as much as a image: one long strip is made and cut at
    random places."""

    def __init__(self, deviation: float, shape: tuple[int, int], seed: int):
        """`deviation`: of 255."""
        self._random = np.random.default_rng(seed)
        size = shape[0] * shape[1] * 3 + _STARTS
        self._strip = self._random.normal(0.0, deviation, size).round().astype(np.int16) if deviation else None

    def on(self, image: np.ndarray) -> np.ndarray:
        """RGB uint8 [H, W, 3] -> the same with noise."""
        if self._strip is None:
            return image
        start = int(self._random.integers(_STARTS))
        return cv2.add(image, self._strip[start : start + image.size].reshape(image.shape), dtype=cv2.CV_8U)
