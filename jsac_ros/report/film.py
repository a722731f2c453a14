"""Pictures to a video file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from jsac_ros.files import replaced


def write(path: Path, frames: Iterable[np.ndarray], rate_hz: float) -> None:
    """An MP4 of RGB frames, uint8 [H, W, 3], all of one size. Raises OSError where it cannot be written."""
    writer = None
    with replaced(path) as beside:
        try:
            for frame in frames:
                if writer is None:
                    height, width, _ = frame.shape
                    writer = cv2.VideoWriter(str(beside), cv2.VideoWriter_fourcc(*"mp4v"), rate_hz, (width, height))
                    if not writer.isOpened():
                        raise OSError(f"{path}: cannot be written as a video")
                writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        finally:
            if writer is not None:
                writer.release()
