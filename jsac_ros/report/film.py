"""Writes frames to a video file that browsers play: VP9 in MP4, or VP8 in WebM.

With OpenCV's settings of the encoders, noisy camera images take seven times as long in VP9 as in VP8.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from jsac_ros.files import replaced

_CODES = {".mp4": "vp09", ".webm": "VP80"}


def write(path: Path, frames: Iterable[np.ndarray], rate_hz: float) -> None:
    """Writes RGB frames, uint8 [H, W, 3], all of one size. Raises OSError if the file cannot be written."""
    if path.suffix not in _CODES:
        raise OSError(f"{path}: {path.suffix or 'no suffix'}; expected {' or '.join(_CODES)}")
    writer = None
    with replaced(path) as beside:
        try:
            for frame in frames:
                if writer is None:
                    (height, width, _), code = frame.shape, cv2.VideoWriter_fourcc(*_CODES[path.suffix])
                    with _muted():
                        writer = cv2.VideoWriter(str(beside), cv2.CAP_FFMPEG, code, rate_hz, (width, height))
                    if not writer.isOpened():
                        raise OSError(f"{path}: cannot be written as a video")
                writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        finally:
            if writer is not None:
                writer.release()


@contextmanager
def _muted() -> Iterator[None]:
    """Mutes standard error: OpenCV complains there that WebM has no tag for VP8, which WebM does not need."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        for descriptor in (kept, nowhere):
            os.close(descriptor)
