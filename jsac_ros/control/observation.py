"""From frames to the image of an observation: the stack of this tick and the S - 1 before it, live and from a bag."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from jsac_ros.types import Spec


class FrameStack:
    """The newest S frames of one episode, its first frame repeated while there are fewer.

    Without a camera (H = 0) frames are not looked at and images are empty.
    """

    def __init__(self, spec: Spec):
        self._spec = spec
        self._frames: deque[np.ndarray] = deque(maxlen=spec.stack)

    def reset(self, frame: np.ndarray) -> np.ndarray:
        """The first frame of an episode, uint8 [H, W, C] -> image uint8 [H, W, C*S], an array of its own."""
        self._frames.extend([frame] * self._spec.stack)
        return self._image(frame)

    def push(self, frame: np.ndarray) -> np.ndarray:
        """The next frame, uint8 [H, W, C] -> image uint8 [H, W, C*S], oldest frame first, an array of its own."""
        self._frames.append(frame)
        return self._image(frame)

    def _image(self, newest: np.ndarray) -> np.ndarray:
        spec = self._spec
        if not spec.height:
            return np.zeros(spec.image_shape, np.uint8)
        if newest.shape != spec.frame_shape or newest.dtype != np.uint8:
            raise ValueError(f"frame is {newest.dtype}{list(newest.shape)}; expected uint8{list(spec.frame_shape)}")
        # Ten times as fast as concatenating along the last axis, in a place where the control thread waits.
        return cv2.merge(list(self._frames)).reshape(spec.image_shape)
