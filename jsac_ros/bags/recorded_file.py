"""The common interface of a recording's files: their topics, and their messages in order of time."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import zstandard
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat

from jsac_ros.config import ConfigError

LARGEST = 1 << 28  # bytes of a message, a record or a chunk; a larger size is damage or an attack
ZSTD = b"\x28\xb5\x2f\xfd"
CDR = "cdr"  # the only supported encoding of messages
_FORMATS = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL}


class BagError(ConfigError):
    """A recording that cannot be used; one line."""


class Record(NamedTuple):
    """One recorded message."""

    topic: str
    time_ns: int  # when it was recorded (log time)
    type: str
    data: bytes  # CDR
    published_ns: int  # on the publisher's clock; `time_ns` if the file does not contain it


class Channel(NamedTuple):
    """The messages of one topic in one file."""

    topic: str
    type: str  # "sensor_msgs/msg/Image"; "": unknown
    encoding: str  # of its messages
    definition: MessageDefinition
    count: int

    @property
    def unreadable(self) -> str:
        """Why its messages are skipped; "" if they can be read."""
        if self.encoding == "ros1":
            return "ROS 1 messages"
        if self.encoding != CDR:
            return f"messages are encoded as {self.encoding!r}; expected {CDR!r}"
        return "" if self.type else "no type (no schema)"


class RecordedFile(Protocol):
    """One open file. All attributes are set when the file is opened."""

    channels: list[Channel]
    start_ns: int  # of its first message
    end_ns: int  # of its last message; both 0 without messages
    damage: str  # the part that could not be read; `messages` may add to it

    def messages(self, topics: Collection[str], start_ns: int) -> Iterator[Record]:
        """The messages of `topics` from `start_ns` on, in order of time; damaged ones are skipped."""

    def close(self) -> None: ...


def definition_of(encoding: str, text: bytes | str) -> MessageDefinition:
    """A definition from a file. encoding: "ros2msg" or "ros2idl"; any other is ignored."""
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    kind = _FORMATS.get(encoding, MessageDefinitionFormat.NONE) if text else MessageDefinitionFormat.NONE
    return MessageDefinition(kind, text)


def unzstd(data: bytes, most: int = LARGEST) -> bytes:
    """Decompresses. Raises ValueError if `data` is damaged or decompresses to more than `most` bytes."""
    try:
        size = zstandard.frame_content_size(data)  # -1: unknown
        if size > most:
            raise ValueError(f"{size} bytes when decompressed; expected at most {most}")
        if size >= 0:
            return zstandard.ZstdDecompressor().decompress(data)
        whole = zstandard.ZstdDecompressor().stream_reader(data).read(most + 1)
    except zstandard.ZstdError as error:
        raise ValueError(one_line(error)) from None
    if len(whole) > most:
        raise ValueError(f"more than {most} bytes when decompressed")
    return whole


def beginning(path: Path, size: int = 16) -> bytes:
    """The first bytes of a file, which identify its format."""
    with path.open("rb") as file:
        return file.read(size)


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
