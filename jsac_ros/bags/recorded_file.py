"""What the files of a recording have in common: their topics, and a way to read their messages in order of time."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import zstandard
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat

from jsac_ros.config import ConfigError

LARGEST = 1 << 28  # bytes of a message, a record or a chunk; more is damage, or an attack, and not data
ZSTD = b"\x28\xb5\x2f\xfd"
CDR = "cdr"  # the one encoding of messages that is read
_FORMATS = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL}


class BagError(ConfigError):
    """A recording that cannot be used; one line."""


class Record(NamedTuple):
    """One recorded message."""

    topic: str
    time_ns: int  # when it was recorded (log time)
    type: str
    data: bytes  # CDR
    published_ns: int  # by its publisher's clock; when it was recorded, where the file does not tell


class Channel(NamedTuple):
    """Messages of one topic in one file."""

    topic: str
    type: str  # "sensor_msgs/msg/Image"; "": not known
    encoding: str  # of its messages
    definition: MessageDefinition
    count: int

    @property
    def unreadable(self) -> str:
        """Why its messages are left out; "" where they are read."""
        if self.encoding == "ros1":
            return "its messages are of ROS 1"
        if self.encoding != CDR:
            return f"its messages are encoded as {self.encoding!r}; expected {CDR!r}"
        return "" if self.type else "it has no type (no schema)"


class RecordedFile(Protocol):
    """One file. Everything but `messages` is known when it has been opened."""

    channels: list[Channel]
    start_ns: int  # of its first message
    end_ns: int  # of its last message; both 0 without any
    damage: str  # what could not be read; more may be found by `messages`

    def messages(self, topics: Collection[str], start_ns: int) -> Iterator[Record]:
        """Those of `topics` from `start_ns` on, in order of time; what is damaged is left out."""

    def close(self) -> None: ...


def definition_of(encoding: str, text: bytes | str) -> MessageDefinition:
    """As it stands in a file: encoding "ros2msg" or "ros2idl"; any other tells nothing."""
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    kind = _FORMATS.get(encoding, MessageDefinitionFormat.NONE) if text else MessageDefinitionFormat.NONE
    return MessageDefinition(kind, text)


def unzstd(data: bytes, most: int = LARGEST) -> bytes:
    """Raises ValueError where `data` is damaged or becomes larger than `most`."""
    try:
        size = zstandard.frame_content_size(data)  # -1: it does not tell
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
    """The first bytes of a file, which tell its kind."""
    with path.open("rb") as file:
        return file.read(size)


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
