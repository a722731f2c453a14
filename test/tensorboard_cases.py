"""Reads event files as TensorBoard does, without it."""

import struct
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event


def scalars_of(folder: Path, tag: str) -> list[tuple[int, float]]:
    """(step, value) of all files of the folder, in the order of steps."""
    return sorted((step, value.simple_value) for step, value in values_of(folder) if value.tag == tag)


def values_of(folder: Path) -> list:
    """(step, value of a summary) of all files of the folder."""
    found = []
    for path in folder.iterdir():
        data, at = path.read_bytes(), 0
        while at + 16 <= len(data):
            (size,) = struct.unpack_from("Q", data, at)
            if at + 16 + size > len(data):  # cut short
                break
            event = Event.FromString(data[at + 12 : at + 12 + size])
            found += [(event.step, value) for value in event.summary.value]
            at += 16 + size
    return found
