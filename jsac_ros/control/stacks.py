"""From frames to the images of an observation: the frames of this tick and the S - 1 before it, live and from a bag."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import cv2
import numpy as np

from jsac_ros.spaces import ImageSpace, check_array
from jsac_ros.types import Arrays


class FrameStacks:
    """The newest S frames of every image in one episode; the first frame is repeated while there are fewer."""

    def __init__(self, images: tuple[ImageSpace, ...]):
        self._images = images
        self._frames: dict[str, deque[np.ndarray]] = {image.name: deque(maxlen=image.stack) for image in images}

    def reset(self, frames: Mapping[str, np.ndarray]) -> Arrays:
        """The first frames of an episode, {image: uint8 [H, W, C]} -> {image: uint8 [H, W, S*C]}, new arrays."""
        return self._next(frames, repeat=True)

    def push(self, frames: Mapping[str, np.ndarray]) -> Arrays:
        """The next frames -> the images, oldest frame first. Raises ValueError naming a frame of another shape."""
        return self._next(frames, repeat=False)

    def _next(self, frames: Mapping[str, np.ndarray], repeat: bool) -> Arrays:
        images = {}
        for image in self._images:
            frame, held = frames[image.name], self._frames[image.name]
            check_array(f"frame {image.name!r}", frame, image.frame_shape, np.uint8)
            held.extend([frame] * (image.stack if repeat else 1))
            # Ten times as fast as concatenating along the last axis; the control thread waits for it.
            images[image.name] = cv2.merge(list(held)).reshape(image.shape)
        return images
