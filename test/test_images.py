"""Camera messages to frames: every encoding, alike to cv_bridge where it knows one, and what is refused."""

from __future__ import annotations

import array
from types import SimpleNamespace

import numpy as np
import pytest

from jsac_ros.config import CameraConfig
from jsac_ros.control.images import FrameMaker, to_rgb

HEIGHT, WIDTH = 24, 32
DEPTH = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}


def picture(depth: int = 3) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([(rows * (3 + c) + columns * (5 - c) + 40 * c) % 256 for c in range(depth)], -1).astype(np.uint8)


def raw(pixels: np.ndarray, encoding: str, padding: int = 0) -> SimpleNamespace:
    rows = np.pad(pixels.reshape(len(pixels), -1), ((0, 0), (0, padding)), constant_values=7)
    return SimpleNamespace(
        height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, is_bigendian=0, step=rows.shape[1],
        data=array.array("B", rows.tobytes()),
    )  # fmt: skip


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("encoding", DEPTH)
def test_cv_bridge_and_our_own_conversion_give_the_same_arrays(encoding, channels):
    bridge = pytest.importorskip("cv_bridge").CvBridge()
    message = raw(picture(DEPTH[encoding]), encoding)
    expected = bridge.imgmsg_to_cv2(message, "rgb8" if channels == 3 else "mono8")
    np.testing.assert_array_equal(to_rgb(message, channels), expected.reshape(HEIGHT, WIDTH, channels))


def test_the_channels_are_red_green_blue():
    rgb = picture()
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    np.testing.assert_array_equal(to_rgb(raw(rgb, "rgb8")), rgb)
    for encoding in ("bgr8", "8UC3"):
        np.testing.assert_array_equal(to_rgb(raw(bgr, encoding)), rgb)
    np.testing.assert_array_equal(to_rgb(raw(np.dstack([rgb, rgb[..., :1]]), "rgba8")), rgb)
    for encoding in ("bgra8", "8UC4"):
        np.testing.assert_array_equal(to_rgb(raw(np.dstack([bgr, rgb[..., :1]]), encoding)), rgb)
    grey = rgb[..., :1]
    for encoding in ("mono8", "8UC1"):
        np.testing.assert_array_equal(to_rgb(raw(grey, encoding)), np.repeat(grey, 3, axis=2))
        np.testing.assert_array_equal(to_rgb(raw(grey, encoding), 1), grey)


@pytest.mark.parametrize("big", [0, 1])
@pytest.mark.parametrize(("encoding", "depth"), [("mono16", 1), ("rgb16", 3), ("bgr16", 3)])
def test_of_sixteen_bits_the_upper_eight_count(encoding, depth, big):
    pixels = picture(depth)
    message = raw(pixels, encoding[:-2] + "8")
    wide = (pixels.astype(np.uint16) * 256 + 17).astype(">u2" if big else "<u2")
    sixteen = raw(np.ascontiguousarray(wide).view(np.uint8).reshape(HEIGHT, WIDTH, -1), encoding, padding=4)
    sixteen.is_bigendian = big
    np.testing.assert_array_equal(to_rgb(sixteen), to_rgb(message))


def test_the_byte_order_of_single_bytes_means_nothing():
    message = raw(picture(), "rgb8")
    message.is_bigendian = 1
    np.testing.assert_array_equal(to_rgb(message), picture())


@pytest.mark.parametrize(("encoding", "mosaic"), [("rggb", "RGGB"), ("bggr", "BGGR"), ("gbrg", "GBRG"), ("grbg", "GRBG")])
def test_bayer_patterns_find_their_colours(encoding, mosaic):
    """The name of the encoding is the pattern of the upper left two by two."""
    for channel, colour in enumerate("RGB"):
        tile = np.array([200 * (letter == colour) for letter in mosaic], np.uint8).reshape(2, 2)
        pixels = np.tile(tile, (HEIGHT // 2, WIDTH // 2))[..., None]
        expected = [0, 0, 0]
        expected[channel] = 200
        np.testing.assert_array_equal(to_rgb(raw(pixels, f"bayer_{encoding}8"))[8, 8], expected)
        assert to_rgb(raw(pixels, f"bayer_{encoding}8"), 1).shape == (HEIGHT, WIDTH, 1)


@pytest.mark.parametrize(("encoding", "red"), [("uyvy", (90, 82, 240, 82)), ("yuyv", (82, 90, 82, 240))])
def test_the_yuv_variants_find_red(encoding, red):
    """ITU-R BT.601: pure red is Y 82, U 90, V 240."""
    pixels = np.tile(np.array(red, np.uint8), (HEIGHT, WIDTH // 2)).reshape(HEIGHT, WIDTH, 2)
    np.testing.assert_allclose(to_rgb(raw(pixels, encoding))[5, 5], (255, 0, 0), atol=3)


@pytest.mark.parametrize(("encoding", "colours"), [("nv12", (90, 240)), ("nv21", (240, 90))])
def test_the_planes_of_nv12_and_nv21_find_red(encoding, colours):
    luma = np.full((HEIGHT, WIDTH), 82, np.uint8)
    chroma = np.tile(np.array(colours, np.uint8), (HEIGHT // 2, WIDTH // 2))
    message = raw(np.concatenate([luma, chroma])[..., None], encoding, padding=6)
    message.height = HEIGHT
    assert to_rgb(message).shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(to_rgb(message)[5, 5], (255, 0, 0), atol=3)
    np.testing.assert_allclose(to_rgb(message, 1)[5, 5], 82, atol=20)


def depths(metres: np.ndarray, encoding: str, big: int = 0) -> SimpleNamespace:
    order = ">" if big else "<"
    values = (metres * 1000).astype(order + "u2") if encoding == "16UC1" else metres.astype(order + "f4")
    message = raw(np.ascontiguousarray(values).view(np.uint8).reshape(*metres.shape, -1), encoding)
    message.is_bigendian = big
    return message


@pytest.mark.parametrize("big", [0, 1])
@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_depths_are_scaled_by_their_range(encoding, big):
    metres = np.array([[0.1, 0.5, 1.0, 1.5, 9.0]])
    image = to_rgb(depths(metres, encoding, big), 1, (0.5, 1.5))
    assert image[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    assert to_rgb(depths(metres, encoding, big), 3, (0.5, 1.5))[0, 2].tolist() == [128] * 3


def test_a_depth_that_was_not_measured_is_black():
    assert to_rgb(depths(np.array([[0.0, 2.0]]), "16UC1"), 1, (0.0, 2.0)).ravel().tolist() == [0, 255]
    measured = np.array([[np.nan, np.inf, -np.inf, 2.0]])
    assert to_rgb(depths(measured, "32FC1"), 1, (0.0, 2.0)).ravel().tolist() == [0, 255, 0, 255]


def test_a_depth_image_without_a_range_names_the_field():
    with pytest.raises(ValueError, match="'16UC1' holds depths; expected camera.depth_range_m"):
        to_rgb(depths(np.ones((4, 4)), "16UC1"))


def test_padded_rows_are_cut():
    rgb = picture()
    np.testing.assert_array_equal(to_rgb(raw(rgb, "rgb8", padding=10)), rgb)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoding": "rgb565"}, "encoding 'rgb565'; expected one of rgb8"),
        ({"data": bytes(10)}, "has 10 bytes"),
        ({"step": 20}, "step 20"),
        ({"height": 0}, "image of 0x32"),
        ({"encoding": "uyvy", "width": 31}, "even height and width"),
        ({"encoding": "nv12", "height": 23, "step": 192, "data": bytes(6624)}, "even height and width"),
    ],
)
def test_a_message_that_contradicts_itself_is_refused_in_one_line(change, words):
    message = raw(picture(), "rgb8")
    message.__dict__.update(change)
    with pytest.raises(ValueError, match=words) as caught:
        to_rgb(message)
    assert "\n" not in str(caught.value)


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
    assert frame.shape == (12, 16, 1) and not frame.flags.writeable, "it is stored: no task may change it"


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
