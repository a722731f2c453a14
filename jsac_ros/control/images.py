"""From a camera's message to the frame that everything else uses: the only conversion, live, from a bag and in tests.

Pure: a message is anything with the fields of sensor_msgs/Image or sensor_msgs/CompressedImage, whether rclpy or
`rosbags` made it. The arrays equal those of cv_bridge (a test compares them), without its compiled part, because the apt
build fails with NumPy 2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np

from jsac_ros.config import CameraConfig
from jsac_ros.control import compressed_images


class _Encoding(NamedTuple):
    """The layout of the pixels in a message for one name of sensor_msgs/image_encodings.hpp."""

    values: int  # of a pixel
    to_rgb: int | None  # OpenCV's conversion code; None: no conversion
    to_grey: int | None
    type: str = "u1"  # NumPy dtype of a value; of u2 the upper byte is kept
    unit_m: float = 0.0  # of a depth
    planes: float = 1.0  # rows of values for each row of pixels


_UYVY = _Encoding(2, cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2GRAY_UYVY)
_YUYV = _Encoding(2, cv2.COLOR_YUV2RGB_YUY2, cv2.COLOR_YUV2GRAY_YUY2)
_EIGHT_BITS = {
    "rgb8": _Encoding(3, None, cv2.COLOR_RGB2GRAY),
    "bgr8": _Encoding(3, cv2.COLOR_BGR2RGB, cv2.COLOR_BGR2GRAY),
    "rgba8": _Encoding(4, cv2.COLOR_RGBA2RGB, cv2.COLOR_RGBA2GRAY),
    "bgra8": _Encoding(4, cv2.COLOR_BGRA2RGB, cv2.COLOR_BGRA2GRAY),
    "mono8": _Encoding(1, cv2.COLOR_GRAY2RGB, None),
    # The name gives the upper left four pixels; OpenCV's old names start one row and one column later.
    "bayer_rggb8": _Encoding(1, cv2.COLOR_BayerRGGB2RGB, cv2.COLOR_BayerRGGB2GRAY),
    "bayer_bggr8": _Encoding(1, cv2.COLOR_BayerBGGR2RGB, cv2.COLOR_BayerBGGR2GRAY),
    "bayer_gbrg8": _Encoding(1, cv2.COLOR_BayerGBRG2RGB, cv2.COLOR_BayerGBRG2GRAY),
    "bayer_grbg8": _Encoding(1, cv2.COLOR_BayerGRBG2RGB, cv2.COLOR_BayerGRBG2GRAY),
}
_ENCODINGS = {
    **_EIGHT_BITS,
    **{f"{name[:-1]}16": encoding._replace(type="u2") for name, encoding in _EIGHT_BITS.items()},
    # OpenCV's own types name no colours: its order is blue first.
    "8UC1": _EIGHT_BITS["mono8"],
    "8UC3": _EIGHT_BITS["bgr8"],
    "8UC4": _EIGHT_BITS["bgra8"],
    "16UC1": _Encoding(1, cv2.COLOR_GRAY2RGB, None, "u2", unit_m=1e-3),  # depths: REP 118
    "32FC1": _Encoding(1, cv2.COLOR_GRAY2RGB, None, "f4", unit_m=1.0),
    "uyvy": _UYVY,
    "yuv422": _UYVY,
    "yuyv": _YUYV,
    "yuv422_yuy2": _YUYV,
    "nv12": _Encoding(1, cv2.COLOR_YUV2RGB_NV12, cv2.COLOR_YUV2GRAY_NV12, planes=1.5),
    "nv21": _Encoding(1, cv2.COLOR_YUV2RGB_NV21, cv2.COLOR_YUV2GRAY_NV21, planes=1.5),
}


def to_rgb(message: Any, channels: int = 3, depth_range_m: tuple[float, ...] = ()) -> np.ndarray:
    """uint8 [H, W, 3] RGB, or [H, W, 1] grey with `channels` 1; may share memory with the message.

    `depth_range_m`: the depths, m, that become 0 and 255; unmeasured pixels become 0.
    Raises ValueError with one line if the encoding is unknown or the data do not match the message's fields.
    """
    name, pixels = compressed_images.decoded(message) if hasattr(message, "format") else _pixels(message)
    encoding = _ENCODINGS[name]
    if encoding.unit_m:
        pixels = _scaled(pixels, name, encoding.unit_m, depth_range_m)
    elif pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    code = encoding.to_rgb if channels == 3 else encoding.to_grey
    image = pixels if code is None else cv2.cvtColor(pixels, code)
    return image.reshape(*image.shape[:2], channels)


def _scaled(depth: np.ndarray, name: str, unit_m: float, range_m: tuple[float, ...]) -> np.ndarray:
    """Depths in units of `unit_m`, 0 and NaN if unmeasured, any shape -> uint8."""
    if not range_m:
        raise ValueError(f"image encoding {name!r} holds depths; expected camera.depth_range_m: [nearest, farthest]")
    near, far = (limit / unit_m for limit in range_m)
    share = np.clip((depth.astype(np.float32) - near) / (far - near), 0.0, 1.0)
    return np.rint(255 * np.where((depth > 0) & ~np.isnan(depth), share, 0.0)).astype(np.uint8)


def _pixels(message: Any) -> tuple[str, np.ndarray]:
    """Name of the encoding; uint8, uint16 or float32 [H * planes, W, values], contiguous, in this machine's byte order,
    without the padding at the end of rows."""
    height, width, name = message.height, message.width, message.encoding
    if name not in _ENCODINGS:
        raise ValueError(f"image encoding {name!r}; expected one of {', '.join(_ENCODINGS)}")
    encoding = _ENCODINGS[name]
    of_value = np.dtype((">" if message.is_bigendian else "<") + encoding.type)
    bytes_per_row, rows = width * encoding.values * of_value.itemsize, height * encoding.planes
    data = np.frombuffer(message.data, np.uint8)
    if not height or not width or message.step < bytes_per_row or data.size != rows * message.step:
        raise ValueError(
            f"image of {height}x{width} {name} with step {message.step} has {data.size} bytes; "
            f"expected step >= {bytes_per_row} and {rows:g} times step bytes"
        )
    if (encoding.values == 2 or encoding.planes > 1) and (width % 2 or rows % 1):
        raise ValueError(f"image of {height}x{width} {name}: expected an even height and width")
    data = np.ascontiguousarray(data.reshape(int(rows), message.step)[:, :bytes_per_row])
    values = data.view(of_value).astype(of_value.newbyteorder("="), copy=False)
    return name, values.reshape(int(rows), width, encoding.values)


class FrameMaker:
    """Decodes, checks the size, crops and resizes, in this order, as configured for the camera."""

    def __init__(self, camera: CameraConfig):
        self._camera = camera

    def __call__(self, message: Any) -> np.ndarray:
        """-> frame uint8 [height, width, channels], contiguous, read-only. Raises ValueError with one line."""
        return self.of_image(to_rgb(message, self._camera.channels, self._camera.depth_range_m))

    def of_rgb(self, image: np.ndarray) -> np.ndarray:
        """As above, for the image of a simulator, RGB uint8 [H, W, 3]."""
        return self.of_image(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if self._camera.channels == 1 else image)

    def of_image(self, image: np.ndarray) -> np.ndarray:
        """As above, for a decoded image, uint8 [H, W, channels]."""
        camera = self._camera
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
        frame = np.ascontiguousarray(image).reshape(camera.height, camera.width, camera.channels)
        frame.setflags(write=False)
        return frame
