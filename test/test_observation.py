"""Stacks of frames."""

from __future__ import annotations

import numpy as np
import pytest

from jsac_ros.control.observation import FrameStack
from jsac_ros.types import Spec

SPEC = Spec(height=4, width=5, channels=3, stack=3, proprioception=0, action=1)


def frame(value: int) -> np.ndarray:
    return np.full(SPEC.frame_shape, value, np.uint8) + np.arange(3, dtype=np.uint8)


def joined(*values: int) -> np.ndarray:
    return np.concatenate([frame(value) for value in values], axis=2)


def test_oldest_first_and_the_first_frame_repeated():
    stack = FrameStack(SPEC)
    np.testing.assert_array_equal(stack.reset(frame(10)), joined(10, 10, 10))
    np.testing.assert_array_equal(stack.push(frame(20)), joined(10, 10, 20))
    np.testing.assert_array_equal(stack.push(frame(30)), joined(10, 20, 30))
    np.testing.assert_array_equal(stack.push(frame(40)), joined(20, 30, 40))
    np.testing.assert_array_equal(stack.reset(frame(50)), joined(50, 50, 50))


def test_an_image_stays_what_it_was():
    stack = FrameStack(SPEC)
    source = frame(10)
    first = stack.reset(source)
    source[:] = 0
    stack.push(frame(20))
    np.testing.assert_array_equal(first, joined(10, 10, 10))


@pytest.mark.parametrize(("channels", "stack"), [(1, 1), (1, 3), (3, 1), (3, 4)])
def test_any_number_of_channels_and_frames(channels, stack):
    spec = SPEC._replace(channels=channels, stack=stack)
    frames = [np.random.default_rng(k).integers(0, 256, spec.frame_shape, np.uint8) for k in range(stack + 2)]
    stacked = FrameStack(spec)
    images = [stacked.reset(frames[0]), *map(stacked.push, frames[1:])]
    np.testing.assert_array_equal(images[-1], np.concatenate(frames[-stack:], axis=2))
    assert images[0].flags.c_contiguous and not np.shares_memory(images[0], frames[0])


def test_without_a_camera_images_are_empty():
    stack = FrameStack(SPEC._replace(height=0, width=0))
    assert stack.reset(None).shape == stack.push(None).shape == (0, 0, 9)


@pytest.mark.parametrize("wrong", [np.zeros((4, 5, 1), np.uint8), np.zeros((4, 5, 3), np.float32)])
def test_a_frame_of_another_shape_is_refused(wrong):
    with pytest.raises(ValueError, match=r"expected uint8\[4, 5, 3\]"):
        FrameStack(SPEC).reset(wrong)
