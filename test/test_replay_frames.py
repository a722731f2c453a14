"""The frames of a store: what is written can be read without a page fault."""

import resource

import numpy as np
import pytest

from jsac_ros.replay.folders import prepare
from jsac_ros.replay.frames import Frames
from jsac_ros.spaces import ImageSpace, Spaces

COUNT, IMAGE = 64, ImageSpace("wrist", 96, 96)
SPACES = Spaces.of([IMAGE])


@pytest.fixture
def frames(tmp_path):
    prepare(tmp_path, SPACES, COUNT)
    frames = Frames(tmp_path, SPACES, COUNT, read_only=False)
    yield frames
    frames.close()


def test_a_written_frame_is_mapped_for_the_sampler(frames):
    """Else every frame of a batch would cost a fault at its first use, which took as long as the copies."""
    content = np.random.default_rng(0).integers(0, 256, (COUNT, *IMAGE.frame_shape), np.uint8)
    for slot in range(COUNT):
        frames.write(slot, {"wrist": content[slot]})
    copy = np.zeros_like(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.copyto(copy, frames.arrays["wrist"])
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    np.testing.assert_array_equal(copy, content)
    assert faults < COUNT // 4


def test_a_kernel_that_cannot_map_them_costs_no_frame(frames, monkeypatch):
    monkeypatch.setattr("jsac_ros.replay.frames._POPULATE_READ", 9999)
    written = np.full(IMAGE.frame_shape, 7, np.uint8)
    frames.write(COUNT - 1, {"wrist": written})
    np.testing.assert_array_equal(frames.copy(COUNT - 1)["wrist"], written)
