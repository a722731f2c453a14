"""Stacks of frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jsac_ros.control.stacks import FrameStacks
from jsac_ros.spaces import ImageSpace

WRIST = ImageSpace("wrist", 4, 5, channels=3, stack=3)
SCENE = ImageSpace("scene", 2, 3, channels=1, stack=2)


def frame(value: int, space: ImageSpace = WRIST) -> np.ndarray:
    return np.full(space.frame_shape, value, np.uint8) + np.arange(space.channels, dtype=np.uint8)


def joined(*values: int, space: ImageSpace = WRIST) -> np.ndarray:
    return np.concatenate([frame(value, space) for value in values], axis=2)


def only(stacks: FrameStacks):
    """Its two methods for the one image."""
    return tuple(lambda frame, take=take: take({"wrist": frame})["wrist"] for take in (stacks.reset, stacks.push))


def test_oldest_first_and_the_first_frame_repeated():
    reset, push = only(FrameStacks((WRIST,)))
    np.testing.assert_array_equal(reset(frame(10)), joined(10, 10, 10))
    np.testing.assert_array_equal(push(frame(20)), joined(10, 10, 20))
    np.testing.assert_array_equal(push(frame(30)), joined(10, 20, 30))
    np.testing.assert_array_equal(push(frame(40)), joined(20, 30, 40))
    np.testing.assert_array_equal(reset(frame(50)), joined(50, 50, 50))


def test_every_image_has_its_own_stack():
    stacks = FrameStacks((SCENE, WRIST))
    stacks.reset({"wrist": frame(10), "scene": frame(1, SCENE)})
    images = stacks.push({"wrist": frame(20), "scene": frame(2, SCENE)})
    np.testing.assert_array_equal(images["wrist"], joined(10, 10, 20))
    np.testing.assert_array_equal(images["scene"], joined(1, 2, space=SCENE))


def test_an_image_stays_what_it_was():
    reset, push = only(FrameStacks((WRIST,)))
    source = frame(10)
    first = reset(source)
    source[:] = 0
    push(frame(20))
    np.testing.assert_array_equal(first, joined(10, 10, 10))


@pytest.mark.parametrize(("channels", "stack"), [(1, 1), (1, 3), (3, 1), (3, 4)])
def test_any_number_of_channels_and_frames(channels, stack):
    space = replace(WRIST, channels=channels, stack=stack)
    frames = [np.random.default_rng(k).integers(0, 256, space.frame_shape, np.uint8) for k in range(stack + 2)]
    reset, push = only(FrameStacks((space,)))
    images = [reset(frames[0]), *map(push, frames[1:])]
    np.testing.assert_array_equal(images[-1], np.concatenate(frames[-stack:], axis=2))
    assert images[0].flags.c_contiguous and not np.shares_memory(images[0], frames[0])


def test_without_a_camera_there_are_no_images():
    stacks = FrameStacks(())
    assert stacks.reset({}) == stacks.push({}) == {}


@pytest.mark.parametrize("wrong", [np.zeros((4, 5, 1), np.uint8), np.zeros((4, 5, 3), np.float32)])
def test_a_frame_of_another_shape_is_refused_by_name(wrong):
    stacks = FrameStacks((WRIST,))
    with pytest.raises(ValueError, match=r"frame 'wrist' is .*; expected uint8\[4, 5, 3\]"):
        stacks.reset({"wrist": wrong})
