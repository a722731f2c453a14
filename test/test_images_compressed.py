"""Compressed camera images: decoded in the colours that their format tells, refused in one line where they are damaged."""

from __future__ import annotations

import io
import struct
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from jsac_ros.control.images import to_rgb

HEIGHT, WIDTH = 48, 64


def picture(seed: int = 0) -> np.ndarray:
    """Smooth and noisy, so that a jpeg has something to lose."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    smooth = np.stack([columns * 3, rows * 5, np.full_like(rows, 90)], -1)
    return (smooth + np.random.default_rng(seed).integers(-10, 10, smooth.shape)).clip(0, 255).astype(np.uint8)


def compressed(data: bytes, form: str = "jpeg") -> SimpleNamespace:
    return SimpleNamespace(format=form, data=data)


def coded(extension: str, pixels: np.ndarray) -> bytes:
    """What OpenCV makes of an array that it takes for blue, green, red."""
    return cv2.imencode(f".{extension}", pixels)[1].tobytes()


def saved(pixels: np.ndarray, mode: str = "RGB", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "jpeg", quality=95, **options)
    return file.getvalue()


def close(image: np.ndarray, expected: np.ndarray) -> bool:
    return bool(np.abs(image.astype(int) - expected).mean() < 8)


def test_png_is_exact_and_jpeg_is_close():
    rgb = picture()
    np.testing.assert_array_equal(to_rgb(compressed(coded("png", rgb[..., ::-1]), "png")), rgb)
    assert close(to_rgb(compressed(coded("jpg", rgb[..., ::-1]))), rgb)
    assert to_rgb(compressed(coded("jpg", rgb[..., ::-1])), 1).shape == (HEIGHT, WIDTH, 1)


def test_grey_ones_become_what_is_asked():
    grey = picture()[..., 1]
    for extension in ("jpg", "png"):
        image = to_rgb(compressed(coded(extension, grey), "mono8; jpeg compressed "))
        assert image.shape == (HEIGHT, WIDTH, 3) and close(image[..., 2], grey)
        assert close(to_rgb(compressed(coded(extension, grey)), 1)[..., 0], grey)


@pytest.mark.parametrize("extension", ["jpg", "png"])
def test_the_pixel_order_of_the_format_is_followed(extension):
    """image_transport gives its compressor rgb where it is told to, and the format says so."""
    rgb = picture()
    plain, swapped = coded(extension, rgb[..., ::-1]), coded(extension, rgb)
    assert close(to_rgb(compressed(plain, "rgb8; jpeg compressed bgr8")), rgb)
    assert close(to_rgb(compressed(swapped, "rgb8; jpeg compressed rgb8")), rgb)
    assert close(to_rgb(compressed(swapped, "bgr8; jpeg compressed rgb8")), rgb)
    grey = to_rgb(compressed(swapped, "rgb8; jpeg compressed rgb8"), 1)[..., 0]
    assert close(grey, cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", bytes(4000)])
def test_what_is_no_picture_is_refused_in_one_line(data):
    with pytest.raises(ValueError, match=r"jpeg|png") as caught:
        to_rgb(compressed(data))
    assert "\n" not in str(caught.value)


def _cut(data: bytes) -> bytes:
    return data[: int(len(data) * 0.45)]


def _without_end(data: bytes) -> bytes:
    return data[:-2]


def _zeroed(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes(40) + data[len(data) // 2 + 40 :]


def _overwritten(data: bytes) -> bytes:
    middle = np.random.default_rng(len(data)).integers(0, 256, 40).astype(np.uint8).tobytes()
    return data[: len(data) // 2] + middle + data[len(data) // 2 + 40 :]


@pytest.mark.parametrize("damage", [_cut, _without_end, _zeroed])
def test_damaged_jpegs_are_refused(damage):
    """OpenCV decodes nearly all of them to a picture with a grey or shifted remainder."""
    for seed in range(20):
        data = damage(coded("jpg", picture(seed)[..., ::-1]))
        with pytest.raises(ValueError, match=f"jpeg of {len(data)} bytes: ") as caught:
            to_rgb(compressed(data))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("flags", [(), (cv2.IMWRITE_JPEG_OPTIMIZE, 1), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)])
@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_a_dark_or_flat_jpeg_is_not_taken_for_damaged(value, flags):
    """With tables of its own a flat image is nearly all zeros."""
    flat = np.full((480, 640, 3), value, np.uint8)
    for pixels in (flat, flat[..., 0].copy()):
        image = to_rgb(compressed(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90, *flags])[1].tobytes()))
        assert np.abs(image.astype(int) - value).max() <= 1


@pytest.mark.parametrize("damage", [_cut, _zeroed, _overwritten])
def test_damaged_pngs_are_refused(damage):
    data = damage(coded("png", picture()))
    with pytest.raises(ValueError, match=f"png of {len(data)} bytes: ") as caught:
        to_rgb(compressed(data, "png"))
    assert "\n" not in str(caught.value)


def huge(data: bytes) -> bytes:
    """A png whose header asks for 200,000 pixels a side, with the right checksum."""
    header = data[12:16] + struct.pack(">II", 200_000, 200_000) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def test_headers_that_ask_for_too_much_are_refused():
    with pytest.raises(ValueError, match="png of .*pixels"):
        to_rgb(compressed(huge(coded("png", picture())), "png"))
    data = bytearray(coded("jpg", picture()))
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", 60_000, 60_000)
    with pytest.raises(ValueError, match="jpeg of .* asks for 60000x60000 pixels"):
        to_rgb(compressed(bytes(data)))


def test_colours_of_print_and_turned_pictures_are_refused():
    with pytest.raises(ValueError, match="its colours are CMYK"):
        to_rgb(compressed(saved(picture(), "CMYK")))
    for orientation in (3, 6):
        exif = Image.Exif()
        exif[0x0112] = orientation
        with pytest.raises(ValueError, match=f"EXIF orientation is {orientation}"):
            to_rgb(compressed(saved(picture(), exif=exif)))
    upright = Image.Exif()
    upright[0x0112] = 1
    assert close(to_rgb(compressed(saved(picture(), exif=upright))), picture())
    assert close(to_rgb(compressed(saved(picture(), exif=b"Exif\x00\x00rubbish"))), picture())


def test_compressed_depth_is_scaled_as_depth_is():
    metres = np.linspace(0.2, 1.0, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    expected = np.rint(255 * (metres - 0.2) / 0.8)
    millimetres = coded("png", (metres * 1000).astype(np.uint16))
    for form, data in (
        ("16UC1; compressedDepth png", struct.pack("<iff", 0, 0.0, 0.0) + millimetres),
        ("16UC1; compressedDepth", struct.pack("<iff", 0, 0.0, 0.0) + millimetres),
        ("16UC1; png compressed ", millimetres),
    ):
        image = to_rgb(compressed(data, form), 1, (0.2, 1.0))
        assert np.abs(image[..., 0] - expected).max() <= 1
    a, b = 10_000.0, 40.0  # as the transport stores float depths: a / depth + b
    inverse = (a / metres + b).astype(np.uint16)
    inverse[0, 0] = 0  # not measured
    data = struct.pack("<iff", 0, a, b) + coded("png", inverse)
    image = to_rgb(compressed(data, "32FC1; compressedDepth png"), 1, (0.2, 1.0))
    assert image[0, 0, 0] == 0 and np.abs(image[..., 0].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("form", ["16UC1; compressedDepth rvl", "16UC1; compressedDepth png", "mono8; compressedDepth png"])
def test_other_compressed_depths_are_refused_by_their_format(form):
    data = struct.pack("<iff", 1, 0.0, 0.0) + struct.pack("<II", WIDTH, HEIGHT) + bytes(100)
    with pytest.raises(ValueError, match=f"compressed image of format '{form}'.*expected a png of 16UC1 or 32FC1"):
        to_rgb(compressed(data, form), 1, (0.2, 1.0))
