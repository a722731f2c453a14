"""Camera messages to frames: every encoding, cv_bridge and our own conversion alike, and what is refused."""

from __future__ import annotations

import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from jsac_ros.config import CameraConfig
from jsac_ros.control import images
from jsac_ros.control.images import FrameMaker, to_rgb

HEIGHT, WIDTH = 24, 32
DEPTH = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1, "uyvy": 2, "yuv422": 2, "yuyv": 2, "yuv422_yuy2": 2}


def picture(depth: int = 3) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([(rows * (3 + c) + columns * (5 - c) + 40 * c) % 256 for c in range(depth)], -1).astype(np.uint8)


def raw(pixels: np.ndarray, encoding: str, padding: int = 0) -> SimpleNamespace:
    rows = np.pad(pixels.reshape(len(pixels), -1), ((0, 0), (0, padding)), constant_values=7)
    return SimpleNamespace(
        height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, is_bigendian=0, step=rows.shape[1],
        data=array.array("B", rows.tobytes()),
    )  # fmt: skip


def coded(extension: str, rgb: np.ndarray) -> SimpleNamespace:
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    return SimpleNamespace(format=extension, data=cv2.imencode(f".{extension}", bgr)[1].tobytes())


@pytest.fixture(params=["cv_bridge", "own"])
def conversion(request, monkeypatch):
    if request.param == "cv_bridge":
        if images._cv_bridge() is None:
            pytest.skip("cv_bridge cannot be imported here")
    else:
        monkeypatch.setattr(images, "_cv_bridge", lambda: None)


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("encoding", DEPTH)
def test_cv_bridge_and_our_own_conversion_give_the_same_arrays(encoding, channels, monkeypatch):
    if images._cv_bridge() is None:
        pytest.skip("cv_bridge cannot be imported here")
    message = raw(picture(DEPTH[encoding]), encoding, padding=6)
    through_bridge = to_rgb(message, channels)
    monkeypatch.setattr(images, "_cv_bridge", lambda: None)
    own = to_rgb(message, channels)
    assert through_bridge.shape == own.shape == (HEIGHT, WIDTH, channels)
    assert through_bridge.dtype == own.dtype == np.uint8
    np.testing.assert_array_equal(through_bridge, own)


def test_the_channels_are_red_green_blue(conversion):
    rgb = picture()
    np.testing.assert_array_equal(to_rgb(raw(rgb, "rgb8")), rgb)
    np.testing.assert_array_equal(to_rgb(raw(np.ascontiguousarray(rgb[..., ::-1]), "bgr8")), rgb)
    np.testing.assert_array_equal(to_rgb(raw(np.dstack([rgb, rgb[..., :1]]), "rgba8")), rgb)
    np.testing.assert_array_equal(to_rgb(raw(np.dstack([rgb[..., ::-1], rgb[..., :1]]), "bgra8")), rgb)
    grey = rgb[..., :1]
    np.testing.assert_array_equal(to_rgb(raw(grey, "mono8")), np.repeat(grey, 3, axis=2))
    np.testing.assert_array_equal(to_rgb(raw(grey, "mono8"), 1), grey)


@pytest.mark.parametrize(("encoding", "red"), [("uyvy", (90, 82, 240, 82)), ("yuyv", (82, 90, 82, 240))])
def test_the_yuv_variants_find_red(encoding, red, conversion):
    """ITU-R BT.601: pure red is Y 82, U 90, V 240."""
    pixels = np.tile(np.array(red, np.uint8), (HEIGHT, WIDTH // 2)).reshape(HEIGHT, WIDTH, 2)
    np.testing.assert_allclose(to_rgb(raw(pixels, encoding))[5, 5], (255, 0, 0), atol=3)


def test_padded_rows_are_cut(conversion):
    rgb = picture()
    np.testing.assert_array_equal(to_rgb(raw(rgb, "rgb8", padding=10)), rgb)


def test_compressed_images():
    rgb = picture()
    np.testing.assert_array_equal(to_rgb(coded("png", rgb)), rgb)
    smooth = cv2.GaussianBlur(rgb, (9, 9), 4)
    assert np.abs(to_rgb(coded("jpg", smooth)).astype(int) - smooth).mean() < 6
    assert to_rgb(coded("jpg", rgb), 1).shape == (HEIGHT, WIDTH, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoding": "16UC1"}, "encoding '16UC1'; expected one of rgb8"),
        ({"data": bytes(10)}, "has 10 bytes"),
        ({"step": 20}, "step 20"),
        ({"height": 0}, "image of 0x32"),
        ({"encoding": "uyvy", "width": 31}, "even width"),
    ],
)
def test_a_message_that_contradicts_itself_is_refused_in_one_line(change, words):
    message = raw(picture(), "rgb8")
    message.__dict__.update(change)
    with pytest.raises(ValueError, match=words) as caught:
        to_rgb(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"not a picture"])
def test_compressed_rubbish_is_refused(data):
    with pytest.raises(ValueError, match="no jpeg or png"):
        to_rgb(SimpleNamespace(format="jpeg", data=data))


def test_a_frame_is_cropped_then_resized():
    rgb = picture()
    camera = CameraConfig(source_height=HEIGHT, source_width=WIDTH, crop=(2, 4, 20, 24), height=10, width=12)
    frame = FrameMaker(camera)(raw(rgb, "rgb8"))
    # Pixel areas of 2x2: their mean, rounded.
    expected = rgb[2:22, 4:28].reshape(10, 2, 12, 2, 3).mean((1, 3))
    assert frame.shape == (10, 12, 3) and frame.flags.c_contiguous
    assert np.abs(frame - expected).max() <= 0.5


def test_a_grey_frame_keeps_its_axis():
    frame = FrameMaker(CameraConfig(height=12, width=16, channels=1))(raw(picture(), "rgb8"))
    assert frame.shape == (12, 16, 1)


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        (CameraConfig(source_height=480, source_width=640), "24x32; expected .* 480x640"),
        (CameraConfig(crop=(10, 0, 20, 32)), r"crop \[10, 0, 20, 32\]; expected .* inside 24x32"),
    ],
)
def test_a_picture_of_another_size_is_refused(camera, words):
    with pytest.raises(ValueError, match=words):
        FrameMaker(camera)(raw(picture(), "rgb8"))
