"""Reading rosbag2 recordings, whole or damaged: MCAP and sqlite3, with or without `metadata.yaml`.

Bytes go out as they were recorded; `decode` turns those of a known type into an object with the message's fields.
What a crash or a full disk left behind is read up to the damage, and `Bag.damage` says what is missing.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from mcap.records import Channel, Message, Schema
from mcap.stream_reader import StreamReader
from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2 import Reader

from jsac_ros.bags import definitions
from jsac_ros.config import ConfigError

IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_REORDER = 256  # messages held back while salvaging: writers keep order only roughly
_RECORD_LIMIT = 1 << 28  # bytes; a longer record is damage, not data


class BagError(ConfigError):
    """A recording that cannot be used; one line."""


class Topic(NamedTuple):
    name: str
    type: str  # "sensor_msgs/msg/Image"
    count: int  # messages


class Record(NamedTuple):
    """One recorded message."""

    topic: str
    time_ns: int  # when it was recorded (log time)
    type: str
    data: bytes  # CDR


class Bag:
    """`with Bag(path) as bag`: a rosbag2 folder, one .mcap or .db3 file, or the run folder that it was recorded in.

    Raises BagError where there is none.
    """

    def __init__(self, path: str | Path):
        in_run = Path(path) / "bag"
        self.path = in_run if in_run.is_dir() else Path(path)
        self.topics: dict[str, Topic] = {}
        self.start_ns = self.end_ns = 0  # of the first and last message
        self.damage = ""  # what could not be read; "" where all could (known after the last message)
        self._parts: list[Reader | _Salvage] = []
        self._stack = ExitStack()

    def __enter__(self) -> Bag:
        if not self.path.exists():
            raise BagError(f"bag {self.path}: no such file or folder")
        try:
            self._parts = [self._stack.enter_context(Reader(self.path))]
        except Exception as error:  # no metadata.yaml, a truncated file, foreign YAML, ...: file by file instead
            self._open_files(_one_line(error))
        self._describe()
        return self

    def __exit__(self, *_) -> None:
        self._stack.close()

    def _open_files(self, why: str) -> None:
        folder = self.path.is_dir()
        files = [*self.path.glob("*.mcap"), *self.path.glob("*.db3")] if folder else [self.path]
        if not files:
            raise BagError(f"bag {self.path}: {why}")
        for path in sorted(files, key=_natural):
            try:
                self._parts.append(self._stack.enter_context(Reader(path)))
            except Exception as error:
                self._add_salvage(path, _one_line(error))
        if not self._parts:
            raise BagError(f"bag {self.path}: nothing in it can be read ({self.damage})")
        if folder and not self.damage:
            self.damage = why

    def _add_salvage(self, path: Path, why: str) -> None:
        self.damage = f"{path.name}: {why}"
        if path.suffix == ".mcap":
            salvage = _Salvage(path)
            if salvage.connections:
                self._parts.append(salvage)
                self.damage = f"{path.name}: {salvage.damage or why}; {salvage.message_count} messages could be read"

    def _describe(self) -> None:
        connections = [connection for part in self._parts for connection in part.connections]
        for c in connections:
            before = self.topics.get(c.topic)
            self.topics[c.topic] = Topic(c.topic, c.msgtype, c.msgcount + (before.count if before else 0))
        full = [part for part in self._parts if part.message_count]
        self.start_ns = min((part.start_time for part in full), default=0)
        self.end_ns = max((part.end_time - 1 for part in full), default=0)
        self._types = definitions.with_bag(connections)

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
        """Whether `cdr_stamp_ns` finds the stamp of its std_msgs/Header."""
        if not self.knows(type_name):
            return False
        fields = self._types.fielddefs[type_name][1]
        return bool(fields) and fields[0][1][1] == "std_msgs/msg/Header"

    def decode(self, record: Record) -> Any:
        """The message: fields as attributes, arrays as NumPy. Raises BagError where the bytes do not fit the type."""
        try:
            return self._types.deserialize_cdr(record.data, record.type)
        except Exception as error:
            raise BagError(f"bag {self.path}: message on {record.topic}: {_one_line(error)}") from None

    def messages(self, topics: Collection[str] | None = None, start_ns: int = 0) -> Iterator[Record]:
        """In the order of their recording times, of all topics or of some, from `start_ns` on.

        Of those of one instant images come last: what belongs to a frame is there when it arrives.
        Ends early at damage; `damage` is set then.
        """
        for _, instant in groupby(self._recorded(topics, start_ns), key=lambda record: record.time_ns):
            yield from sorted(instant, key=lambda record: record.type in IMAGES)

    def _recorded(self, topics: Collection[str] | None, start_ns: int) -> Iterator[Record]:
        for part in self._parts:
            wanted = [c for c in part.connections if topics is None or c.topic in topics]
            if not wanted:
                continue
            try:
                for connection, time_ns, data in part.messages(wanted, start=start_ns or None):
                    yield Record(connection.topic, time_ns, connection.msgtype, bytes(data))
            except GeneratorExit:
                raise
            except Exception as error:  # zstd, lz4, sqlite, struct: a damaged file fails in many ways
                self.damage = f"damaged inside: {_one_line(error)}"
                return

    def topic(self, name: str) -> Topic:
        """The topic a configuration means: by its name, or by the one that ends with it (a namespace before it).

        Raises BagError where there is none, or more than one.
        """
        if not name.startswith("/"):
            name = f"/{name}"
        found = (
            [self.topics[name]] if name in self.topics else [t for t in self.topics.values() if t.name.endswith(name)]
        )
        if len(found) != 1:
            many = f"more than one topic ends with {name}" if found else f"topic {name} is missing"
            raise BagError(f"bag {self.path}: {many}; it has {', '.join(sorted(self.topics)) or 'no topics'}")
        return found[0]


class _Salvage:
    """An MCAP file without its end (a crash, a full disk), read from the front; the interface of rosbags' Reader."""

    def __init__(self, path: Path):
        self._path = path
        self.damage = ""
        self._channels: dict[int, Connection] = {}
        counts: dict[int, int] = {}
        times = []
        for message in self._scan():
            counts[message.channel_id] = counts.get(message.channel_id, 0) + 1
            times.append(message.log_time)
        self.connections = [c._replace(msgcount=counts.get(c.id, 0)) for c in self._channels.values()]
        self.message_count = len(times)
        self.start_time, self.end_time = min(times, default=0), max(times, default=0) + 1

    def _scan(self) -> Iterator[Message]:
        schemas: dict[int, Schema] = {}
        with self._path.open("rb") as file:
            try:
                for record in StreamReader(file, validate_crcs=True, record_size_limit=_RECORD_LIMIT).records:
                    if isinstance(record, Schema):
                        schemas[record.id] = record
                    elif isinstance(record, Channel) and record.schema_id in schemas:
                        self._channels[record.id] = _connection(record, schemas[record.schema_id])
                    elif isinstance(record, Message) and record.channel_id in self._channels:
                        yield record
            except GeneratorExit:
                raise
            except Exception as error:
                self.damage = f"ends or is damaged after {file.tell()} bytes ({_one_line(error)})"

    def messages(self, connections: Collection[Connection], start: int | None = None):
        wanted = {c.id: c for c in connections}
        held: list[tuple[int, int, Message]] = []
        for number, message in enumerate(self._scan()):
            if message.channel_id in wanted and message.log_time >= (start or 0):
                heapq.heappush(held, (message.log_time, number, message))
                if len(held) > _REORDER:
                    yield self._out(wanted, heapq.heappop(held)[2])
        while held:
            yield self._out(wanted, heapq.heappop(held)[2])

    @staticmethod
    def _out(wanted: dict[int, Connection], message: Message) -> tuple[Connection, int, bytes]:
        return wanted[message.channel_id], message.log_time, message.data


def _connection(channel: Channel, schema: Schema) -> Connection:
    formats = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL}
    definition = MessageDefinition(formats.get(schema.encoding, MessageDefinitionFormat.NONE), schema.data.decode())
    return Connection(channel.id, channel.topic, schema.name, definition, "", 0, ConnectionExtRosbag2("cdr", []), None)


def cdr_stamp_ns(data: bytes) -> int:
    """header.stamp of a message that begins with a Header, straight from its CDR bytes."""
    order = "little" if data[1] & 1 else "big"
    seconds = int.from_bytes(data[4:8], order, signed=True)
    return seconds * 1_000_000_000 + int.from_bytes(data[8:12], order)


def _natural(path: Path) -> list:
    """bag_2 before bag_10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
