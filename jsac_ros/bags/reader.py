"""Reads rosbag2 recordings, whole or damaged: MCAP and SQLite, one file or many, with or without `metadata.yaml`.

The content of the files counts; `metadata.yaml` is a hint. Messages of all files are merged by time. Unreadable parts (a
file, a part of a file, a topic with another encoding) are skipped and listed in `Bag.damage` and `Bag.left_out`. Records
contain the recorded bytes; `decode` turns a record of a known type into an object with the message's fields.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import zstandard

from jsac_ros import documents
from jsac_ros.bags import definitions, mcap_file, sqlite_file
from jsac_ros.bags.recorded_file import ZSTD, BagError, Record, RecordedFile, beginning, one_line

IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
SUFFIXES = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd", ".bag")
_ROS1 = b"#ROSBAG V"
_MOST_TIMES = 1000  # largest ratio of decompressed to compressed size
_METADATA_BYTES = 1 << 19  # nothing of a longer file is used: it takes five seconds to parse


class Topic(NamedTuple):
    name: str
    type: str  # "sensor_msgs/msg/Image"
    count: int  # messages


class Bag:
    """`with Bag(path) as bag`: a rosbag2 folder, one .mcap or .db3 file, or the run folder that it was recorded in.

    Raises BagError if there is none.
    """

    def __init__(self, path: str | Path):
        in_run = Path(path) / "bag"
        self.path = in_run if in_run.is_dir() else Path(path)
        self.topics: dict[str, Topic] = {}
        self.left_out: dict[str, str] = {}  # topic -> why its messages are skipped
        self.start_ns = self.end_ns = 0  # of the first and last message
        self._files: dict[str, RecordedFile] = {}  # by name
        self._unusable: dict[str, str] = {}  # file -> why nothing in it can be read
        self._stack = ExitStack()

    def __enter__(self) -> Bag:
        if not self.path.exists():
            raise BagError(f"bag {self.path}: no such file or folder")
        files = _files_of(self.path)
        if not files:
            raise BagError(f"bag {self.path}: contains no .mcap or .db3 file; expected the folder of a recording")
        try:
            for path in files:
                try:
                    self._files[path.name] = self._stack.enter_context(closing(self._open(path)))
                except (BagError, OSError) as error:
                    self._unusable[path.name] = one_line(error)
            if not self._files:
                raise BagError(f"bag {self.path}: nothing in it can be read ({self.damage})")
            told = _metadata(self.path)
            missing = (name for name in told.files if not (self.path / name).exists())
            self._unusable |= dict.fromkeys(missing, "listed in metadata.yaml, but missing")
            self._describe(told)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._stack.close()

    def _open(self, path: Path) -> RecordedFile:
        """Opens a file of the kind that its first bytes show. Raises BagError, OSError."""
        start = beginning(path)
        if start.startswith(ZSTD):
            path = self._decompressed(path)
            start = beginning(path)
        if start.startswith(_ROS1):
            raise BagError(f"is a ROS 1 bag; convert it: rosbags-convert --src {path.name} --dst FOLDER")
        if start.startswith(sqlite_file.MAGIC):
            return sqlite_file.SqliteFile(path)
        if start.startswith(mcap_file.MAGIC):
            return mcap_file.McapFile(path)
        raise BagError("neither MCAP nor SQLite")

    def _decompressed(self, path: Path) -> Path:
        folder = self._stack.enter_context(TemporaryDirectory(prefix="jsac_bag_"))
        target, most = Path(folder) / path.stem, _MOST_TIMES * path.stat().st_size
        try:
            with path.open("rb") as packed, target.open("wb") as file:
                source = zstandard.ZstdDecompressor().stream_reader(packed)
                while (piece := source.read(1 << 20)) and file.tell() <= most:
                    file.write(piece)
        except zstandard.ZstdError as error:
            self._unusable[path.name] = f"its compression is damaged ({one_line(error)})"
        if target.stat().st_size > most:
            raise BagError(f"decompresses to more than {_MOST_TIMES} times its size")
        return target

    def _describe(self, told: _Metadata) -> None:
        """Sets topics, counts and times from the content of the files; a topic without messages comes from the metadata."""
        channels = [channel for file in self._files.values() for channel in file.channels]
        for c in channels:
            if c.unreadable:
                self.left_out[c.topic] = f"{c.count} messages: {c.unreadable}"
                continue
            before = self.topics.get(c.topic)
            self.topics[c.topic] = Topic(c.topic, c.type, c.count + (before.count if before else 0))
        if self.left_out and not self.topics and all(c.encoding == "ros1" for c in channels):
            raise BagError(f"bag {self.path}: contains ROS 1 messages; convert the original recording with rosbags-convert")
        for name, kind in told.topics.items():
            if name not in self.left_out:
                self.topics.setdefault(name, Topic(name, kind, 0))
        full = [file for file in self._files.values() if any(channel.count for channel in file.channels)]
        self.start_ns = min((file.start_ns for file in full), default=0)
        self.end_ns = max((file.end_ns for file in full), default=0)
        self._types = definitions.with_bag((c.type, c.definition) for c in channels if not c.unreadable)

    @property
    def damage(self) -> str:
        """Names of unreadable parts, with reasons; "" if everything was readable. Complete only after the last message."""
        found = self._unusable | {name: file.damage for name, file in self._files.items() if file.damage}
        return "; ".join(f"{name}: {why}" for name, why in found.items())

    @property
    def warnings(self) -> list[str]:
        """Warnings about unreadable parts, one line each."""
        lines = [f"{topic} is skipped: {why}" for topic, why in self.left_out.items()]
        return [f"bag {self.path}: {line}" for line in [*([self.damage] if self.damage else []), *lines]]

    @property
    def count(self) -> int:
        return sum(topic.count for topic in self.topics.values())

    @property
    def duration_s(self) -> float:
        return (self.end_ns - self.start_ns) * 1e-9

    def knows(self, type_name: str) -> bool:
        """Whether messages of this type can be decoded."""
        return type_name in self._types.fielddefs

    def begins_with_header(self, type_name: str) -> bool:
        """Whether messages of this type start with a std_msgs/Header, whose stamp `cdr_stamp_ns` reads."""
        if not self.knows(type_name):
            return False
        fields = self._types.fielddefs[type_name][1]
        return bool(fields) and fields[0][1][1] == "std_msgs/msg/Header"

    def decode(self, record: Record) -> Any:
        """The message, with fields as attributes and arrays as NumPy. Raises BagError if the bytes do not fit the type."""
        try:
            return self._types.deserialize_cdr(record.data, record.type)
        except Exception as error:
            raise BagError(f"bag {self.path}: message on {record.topic}: {one_line(error)}") from None

    def messages(self, topics: Collection[str] | None = None, start_ns: int = 0) -> Iterator[Record]:
        """The messages of all or some topics from `start_ns` on, in the order of their recording times.

        Among messages of the same time, images come last, so that joints and commands of that time precede them.
        Damaged messages are skipped and listed in `damage`.
        """
        wanted = self.topics.keys() if topics is None else self.topics.keys() & set(topics)
        parts = [file.messages(wanted, start_ns) for file in self._files.values()]
        merged = heapq.merge(*parts, key=lambda record: record.time_ns)
        for _, instant in groupby(merged, key=lambda record: record.time_ns):
            yield from sorted(instant, key=lambda record: record.type in IMAGES)

    def topic(self, name: str) -> Topic:
        """The topic with this name, or the one whose name ends with it (after a namespace).

        Raises BagError if there is none, or more than one.
        """
        if not name.startswith("/"):
            name = f"/{name}"
        found = [self.topics[name]] if name in self.topics else [t for t in self.topics.values() if t.name.endswith(name)]
        if len(found) != 1:
            many = f"more than one topic ends with {name}" if found else f"topic {name} is missing"
            many = f"topic {name} is skipped ({self.left_out[name]})" if name in self.left_out else many
            raise BagError(f"bag {self.path}: {many}; it has {', '.join(sorted(self.topics)) or 'no topics'}")
        return found[0]

    def find(self, field: str, name: str, types: Collection[str]) -> Topic:
        """Like `topic`. field: for error messages. Raises BagError for an empty name, another type or no messages."""
        if not name:
            raise BagError(f"bag {self.path}: {field} is ''; expected a topic of type {' or '.join(types)}")
        topic = self.topic(name)
        if topic.type not in types:
            raise BagError(f"bag {self.path}: {topic.name} is {topic.type}; expected {' or '.join(types)}")
        if not topic.count:
            raise BagError(f"bag {self.path}: {topic.name} has no messages; expected some")
        return topic


def _files_of(path: Path) -> list[Path]:
    """The files of a recording in natural order: bag_2 before bag_10."""
    if not path.is_dir():
        return [path]
    found = (file for file in path.iterdir() if file.name.endswith(SUFFIXES) and file.is_file())
    return sorted(found, key=lambda file: [int(s) if s.isdigit() else s for s in re.split(r"(\d+)", file.name)])


class _Metadata(NamedTuple):
    """The contents of `metadata.yaml`; empty if it cannot be read."""

    files: tuple[str, ...] = ()
    topics: dict[str, str] = {}  # name -> type


def _metadata(folder: Path) -> _Metadata:
    try:
        about = documents.yaml_of(documents.read(folder / "metadata.yaml", _METADATA_BYTES))["rosbag2_bagfile_information"]
        files = tuple(Path(name).name for name in about["relative_file_paths"])
        listed = [entry["topic_metadata"] for entry in about["topics_with_message_count"]]
        return _Metadata(files, {str(topic["name"]): str(topic["type"]) for topic in listed})
    except (ValueError, TypeError, KeyError):
        return _Metadata()


def cdr_stamp_ns(data: bytes) -> int:
    """header.stamp of a message that starts with a Header, read from its CDR bytes; 0 if they are too short."""
    order = "little" if data[1:2] and data[1] & 1 else "big"
    seconds = int.from_bytes(data[4:8], order, signed=True)
    return seconds * 1_000_000_000 + int.from_bytes(data[8:12], order)
