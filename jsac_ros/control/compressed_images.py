"""jpeg, png and compressedDepth: decoded completely, or refused with one line.

OpenCV fills the rest of a truncated or incomplete jpeg with grey, and raises `cv2.error` for a header with a huge size.
libjpeg-turbo detects the damage, and `simplejpeg` raises it; png carries checksums, which Pillow checks.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image as png

MOST_PIXELS = 1 << 26  # of one image: the largest allocation that its header may request
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_DHT, _SOS, _APP1 = 0xC4, 0xDA, 0xE1  # segments of a jpeg: tables of codes, start of scan, EXIF
_STANDARD_TABLE = bytes((0x10, 0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125))  # of brightness: codes of each length
_LOST = bytes(16)
_ORIENTATION, _UPRIGHT = 0x0112, 1
_DEPTH_HEADER = struct.Struct("<iff")  # of compressed_depth_image_transport: compression, quantisation A and B
_PNG_MODES = {"L": "mono8", "RGB": "rgb8", "RGBA": "rgba8", "I;16": "mono16"}


def decoded(message: Any) -> tuple[str, np.ndarray]:
    """sensor_msgs/CompressedImage -> an encoding of sensor_msgs/Image and its pixels, [H, W, values].

    `format` is "jpeg", "png", or what image_transport's plug-ins write: "bgr8; jpeg compressed bgr8",
    "16UC1; compressedDepth png". Raises ValueError with one line if this is not such an image, or incomplete.
    """
    original, _, compression = message.format.partition(";")
    data = bytes(message.data)
    if "compressedDepth" in compression:
        return original, _depth(data, message.format)
    if data.startswith(_JPEG):
        name, pixels = jpeg(data)
    elif data.startswith(_PNG):
        name, pixels = _png(data)
    else:
        raise ValueError(f"compressed image of format {message.format!r}: {len(data)} bytes are neither jpeg nor png")
    if name == "mono16" and original == "16UC1":
        return original, pixels  # a depth
    if "compressed rgb" in compression:  # the compressor expects blue first but was given red first
        name = name.replace("rgb", "bgr")
    return name, pixels


def jpeg(data: bytes) -> tuple[str, np.ndarray]:
    """-> "rgb8" or "mono8", uint8 [H, W, 3 or 1]. Raises ValueError with one line at any detectable damage."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        _check_size(height, width)
        if colours in ("CMYK", "YCCK"):
            raise ValueError(f"its colours are {colours}; expected RGB or grey")
        _check_segments(data)
        if colours == "Gray":
            return "mono8", simplejpeg.decode_jpeg(data, "GRAY")
        return "rgb8", simplejpeg.decode_jpeg(data, "RGB")
    except ValueError as error:
        raise ValueError(f"jpeg of {len(data)} bytes: {error}") from None


def _check_segments(data: bytes) -> None:
    """Raises ValueError if the image asks for a rotation, or if zeros replace lost bytes.

    Zeros usually decode to something valid. With the standard tables, which cameras use, no valid code has that many
    zeros: every luminance block contains a one.
    """
    tables = b""
    for marker, content in _segments(data):
        if marker == _APP1 and (turned := _orientation(content)) != _UPRIGHT:
            raise ValueError(f"its EXIF orientation is {turned}; expected 1, an upright image")
        if marker == _DHT:
            tables += content
        if marker == _SOS and (not tables or _STANDARD_TABLE in tables) and _LOST in content:
            raise ValueError("bytes of it were lost and replaced by zeros")


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, content) of the segments before the pixels; the start of scan includes everything after it."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _SOS:
            yield marker, data[end:]
            return
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        yield marker, data[at + 4 : end]
        at = end


def _orientation(block: bytes) -> int:
    """The orientation in an APP1 segment, if it is EXIF."""
    exif = png.Exif()
    try:
        exif.load(block)
        return exif.get(_ORIENTATION, _UPRIGHT)
    except Exception:  # parsers raise many exceptions; an unreadable segment asks for no rotation
        return _UPRIGHT


def _png(data: bytes) -> tuple[str, np.ndarray]:
    try:
        with png.open(io.BytesIO(data), formats=("PNG",)) as image:
            _check_size(image.height, image.width)
            whole = image if image.mode in _PNG_MODES else image.convert("RGB")
            pixels = np.asarray(whole)
    except Exception as error:  # OSError, SyntaxError, DecompressionBombError: Pillow has one for each kind of damage
        raise ValueError(f"png of {len(data)} bytes: {error}") from None
    return _PNG_MODES[whole.mode], pixels.reshape(*pixels.shape[:2], -1)


def _depth(data: bytes, form: str) -> np.ndarray:
    """uint16 [H, W, 1], mm, 0 if unmeasured; or float32, m, NaN if unmeasured."""
    if form.startswith(("16UC1;", "32FC1;")):
        if data[_DEPTH_HEADER.size :].startswith(_PNG):
            name, values = _png(data[_DEPTH_HEADER.size :])
            if name == "mono16":
                return values if form.startswith("16UC1") else _metres(values, *_DEPTH_HEADER.unpack_from(data)[1:])
    raise ValueError(f"compressed image of format {form!r}, {len(data)} bytes; expected a png of 16UC1 or 32FC1")


def _metres(values: np.ndarray, a: float, b: float) -> np.ndarray:
    """The transport stores a / depth + b, and 0 if unmeasured."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values > 0, a / (values.astype(np.float32) - np.float32(b)), np.nan).astype(np.float32)


def _check_size(height: int, width: int) -> None:
    if not 0 < height * width <= MOST_PIXELS:
        raise ValueError(f"its header asks for {height}x{width} pixels; expected at most {MOST_PIXELS}")
