"""From a camera's message to the frame that everything else sees: the one way in, live, from a bag and in tests.

Pure: a message is anything with the fields of sensor_msgs/Image or sensor_msgs/CompressedImage, whether rclpy or
`rosbags` made it. Raw images go through cv_bridge where it works; where it does not (its apt build is compiled against
NumPy 1 and fails beside NumPy 2, some encodings are unknown to some releases), OpenCV is called as cv_bridge would.
"""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import cv2
import numpy as np

from jsac_ros.config import CameraConfig


class _Encoding(NamedTuple):
    bytes_per_pixel: int
    to_rgb: int | None  # OpenCV's conversion code; None: as it is
    to_grey: int | None


_UYVY = _Encoding(2, cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2GRAY_UYVY)
_YUYV = _Encoding(2, cv2.COLOR_YUV2RGB_YUY2, cv2.COLOR_YUV2GRAY_YUY2)
_ENCODINGS = {  # names of sensor_msgs/image_encodings.hpp
    "rgb8": _Encoding(3, None, cv2.COLOR_RGB2GRAY),
    "bgr8": _Encoding(3, cv2.COLOR_BGR2RGB, cv2.COLOR_BGR2GRAY),
    "rgba8": _Encoding(4, cv2.COLOR_RGBA2RGB, cv2.COLOR_RGBA2GRAY),
    "bgra8": _Encoding(4, cv2.COLOR_BGRA2RGB, cv2.COLOR_BGRA2GRAY),
    "mono8": _Encoding(1, cv2.COLOR_GRAY2RGB, None),
    "uyvy": _UYVY,
    "yuv422": _UYVY,
    "yuyv": _YUYV,
    "yuv422_yuy2": _YUYV,
}


@lru_cache
def _cv_bridge() -> Any | None:
    """A CvBridge that was seen to work, or None."""
    try:
        from cv_bridge import CvBridge

        bridge = CvBridge()
        one = SimpleNamespace(height=1, width=1, encoding="bgr8", is_bigendian=0, step=3, data=bytes(3))
        bridge.imgmsg_to_cv2(one, "rgb8")  # its compiled part is loaded only now
        return bridge
    except Exception:  # ImportError, AttributeError, SystemError: whatever a NumPy of another age provokes
        return None


def to_rgb(message: Any, channels: int = 3) -> np.ndarray:
    """uint8 [H, W, 3] RGB, or [H, W, 1] grey with `channels` 1; may share memory with the message.

    Raises ValueError with one line where the encoding is not known or the data are not what the message says.
    """
    image = _decompress(message, channels) if hasattr(message, "format") else _convert(message, channels)
    return image.reshape(*image.shape[:2], channels)


def _decompress(message: Any, channels: int) -> np.ndarray:
    """jpeg or png, 8 bits."""
    data = np.frombuffer(message.data, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE) if data.size else None
    if image is None:
        raise ValueError(f"compressed image format {message.format!r}: {data.size} bytes are no jpeg or png")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image) if channels == 3 else image


def _convert(message: Any, channels: int) -> np.ndarray:
    pixels = _pixels(message)
    bridge = _cv_bridge()
    if bridge is not None:
        whole = SimpleNamespace(
            height=message.height, width=message.width, encoding=message.encoding,
            is_bigendian=message.is_bigendian, step=pixels.strides[0], data=pixels,
        )  # fmt: skip
        try:
            return bridge.imgmsg_to_cv2(whole, "rgb8" if channels == 3 else "mono8")
        except (KeyError, TypeError):  # an encoding that this release does not know (CvBridgeError is a TypeError)
            pass
    encoding = _ENCODINGS[message.encoding]
    code = encoding.to_rgb if channels == 3 else encoding.to_grey
    return pixels if code is None else cv2.cvtColor(pixels, code)


def _pixels(message: Any) -> np.ndarray:
    """uint8 [H, W, bytes per pixel], contiguous, without the padding that rows may end with."""
    height, width = message.height, message.width
    if message.encoding not in _ENCODINGS:
        raise ValueError(f"image encoding {message.encoding!r}; expected one of {', '.join(_ENCODINGS)}")
    depth = _ENCODINGS[message.encoding].bytes_per_pixel
    data = np.frombuffer(message.data, np.uint8)
    if not height or not width or message.step < width * depth or data.size != height * message.step:
        raise ValueError(
            f"image of {height}x{width} {message.encoding} with step {message.step} has {data.size} bytes; "
            f"expected step >= {width * depth} and {height} times step bytes"
        )
    if depth == 2 and width % 2:
        raise ValueError(f"image of {height}x{width} {message.encoding}: expected an even width")
    return np.ascontiguousarray(data.reshape(height, message.step)[:, : width * depth]).reshape(height, width, depth)


class FrameMaker:
    """Decode, check the size, crop, resize: what the camera's configuration says, in this order."""

    def __init__(self, camera: CameraConfig):
        self._camera = camera

    def __call__(self, message: Any) -> np.ndarray:
        """-> frame uint8 [height, width, channels], contiguous. Raises ValueError with one line."""
        camera = self._camera
        image = to_rgb(message, camera.channels)
        rows, columns = image.shape[:2]
        if (camera.source_height or rows, camera.source_width or columns) != (rows, columns):
            raise ValueError(
                f"image on {camera.topic} is {rows}x{columns}; "
                f"expected camera.source_height x source_width {camera.source_height}x{camera.source_width}"
            )
        if camera.crop:
            top, left, height, width = camera.crop
            if top + height > rows or left + width > columns:
                raise ValueError(
                    f"camera.crop {list(camera.crop)}; expected [top, left, height, width] inside {rows}x{columns}"
                )
            image = image[top : top + height, left : left + width]
        if image.shape[:2] != (camera.height, camera.width):
            image = cv2.resize(image, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(image).reshape(camera.height, camera.width, camera.channels)
