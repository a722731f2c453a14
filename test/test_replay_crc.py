"""The checksum of frames, messages and policies is the CRC-32 that every other reader has."""

import zlib

import numpy as np

from jsac_ros.crc import crc32


def test_it_is_that_of_zlib():
    random = np.random.default_rng(0)
    for size in (0, 1, 7, 4096, 43_201):
        data = random.integers(0, 256, size, np.uint8)
        assert crc32(data) == zlib.crc32(data)
        assert crc32(memoryview(data), crc32(b"before")) == zlib.crc32(data, zlib.crc32(b"before"))
