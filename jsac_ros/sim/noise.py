"""Noise of a simulated camera."""

from __future__ import annotations

import cv2
import numpy as np

_STARTS = 65_536


class Noise:
    """Gaussian noise. Drawing it for each image would cost ten times as much as the image: a long strip is drawn once, and
    each image gets a section of it that starts at a random place."""

    def __init__(self, deviation: float, shape: tuple[int, int], seed: int):
        """deviation: standard deviation, on a scale of 0..255."""
        self._random = np.random.default_rng(seed)
        size = shape[0] * shape[1] * 3 + _STARTS
        self._strip = self._random.normal(0.0, deviation, size).round().astype(np.int16) if deviation else None

    def on(self, image: np.ndarray) -> np.ndarray:
        """Adds noise to an image, RGB uint8 [H, W, 3]."""
        if self._strip is None:
            return image
        start = int(self._random.integers(_STARTS))
        return cv2.add(image, self._strip[start : start + image.size].reshape(image.shape), dtype=cv2.CV_8U)
