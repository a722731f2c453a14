"""Reads one MCAP file, whole or damaged. It uses the file's index if there is one, and otherwise scans the file once.

Both give a list of blocks, each an interval of the file and of time; messages are sorted block by block. A damaged block
is skipped, and the blocks after it are read.
"""

from __future__ import annotations

import heapq
import struct
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import lz4.frame
from mcap import records
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.reader import SeekingReader
from mcap.summary import Summary

from jsac_ros.bags.recorded_file import LARGEST, BagError, Channel, Record, definition_of, one_line, unzstd
from jsac_ros.crc import crc32

MAGIC = b"\x89MCAP0\r\n"
_RECORD = struct.Struct("<BQ")  # opcode, bytes of content
_MESSAGE = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time
_LOOSE_BYTES = 1 << 20  # size of a block of messages outside chunks
_MOST_HELD = 1 << 30  # bytes of messages held back for sorting


class _Block(NamedTuple):
    """Adjacent messages: one chunk, or consecutive message records."""

    start_ns: int
    end_ns: int
    offset: int  # of the first record
    length: int  # bytes, including the headers of the records


class McapFile:
    """A `recorded_file.RecordedFile`. Raises BagError if it is not an MCAP file or nothing in it can be read."""

    def __init__(self, path: Path):
        self._file = path.open("rb")
        self._size = path.stat().st_size
        self.damage = ""
        self._schemas: dict[int, records.Schema] = {}
        self._channels: dict[int, records.Channel] = {}
        self._counts: Counter[int] = Counter()
        self._blocks: list[_Block] = []
        if self._file.read(len(MAGIC)) != MAGIC:
            raise BagError("not an MCAP file")
        if not self._use_index():
            self._read_through()
        self.start_ns = min((block.start_ns for block in self._blocks), default=0)
        self.end_ns = max((block.end_ns for block in self._blocks), default=0)
        self.channels = [self._channel(number) for number in self._channels]

    def close(self) -> None:
        self._file.close()

    def _channel(self, number: int) -> Channel:
        channel = self._channels[number]
        schema = self._schemas.get(channel.schema_id)
        definition = definition_of(schema.encoding, schema.data) if schema else definition_of("", "")
        encoding = "ros1" if schema and schema.encoding == "ros1msg" else channel.message_encoding
        return Channel(channel.topic, schema.name if schema else "", encoding, definition, self._counts[number])

    # -- finding the blocks --------------------------------------------------------------------------------------

    def _use_index(self) -> bool:
        """False if the file has no index or an inconsistent one (after a crash, or from a writer without chunks)."""
        try:
            summary = SeekingReader(self._file, record_size_limit=LARGEST).get_summary()
        except Exception:  # a truncated or overwritten end makes the parser raise various types
            return False
        if summary is None or not self._fits(summary):
            return False
        self._schemas, self._channels = summary.schemas, summary.channels
        self._counts.update(summary.statistics.channel_message_counts)
        self._blocks = [
            _Block(chunk.message_start_time, chunk.message_end_time, chunk.chunk_start_offset, chunk.chunk_length)
            for chunk in summary.chunk_indexes
        ]
        return True

    def _fits(self, summary: Summary) -> bool:
        told, chunks = summary.statistics, summary.chunk_indexes
        return (
            told is not None
            and bool(chunks)
            and told.chunk_count == len(chunks)
            and all(chunk.chunk_start_offset + chunk.chunk_length <= self._size for chunk in chunks)
            and told.channel_message_counts.keys() <= summary.channels.keys()
        )

    def _read_through(self) -> None:
        """Scans from the start to the end or to the first damage."""
        loose: list[tuple[int, int, int]] = []  # time, offset, end
        at = len(MAGIC)
        while True:
            try:
                opcode, content, end = self._record_at(at)
            except ValueError as error:
                told = f"ends or is damaged after {at} of {self._size} bytes ({one_line(error)})"
                self.damage = f"{told}; {self._counts.total()} messages could be read"
                break
            if opcode == Opcode.MESSAGE:
                channel, _, time_ns, _ = _MESSAGE.unpack_from(content)
                self._counts[channel] += 1
                loose.append((time_ns, at, end))
            if loose and (opcode != Opcode.MESSAGE or end - loose[0][1] > _LOOSE_BYTES):
                self._add_loose(loose)
                loose = []
            if opcode in (Opcode.DATA_END, Opcode.FOOTER):
                break
            if opcode == Opcode.CHUNK:
                self._add_chunk(at, content, end)
            else:
                self._learn(opcode, content)
            at = end
        if loose:
            self._add_loose(loose)

    def _add_loose(self, messages: list[tuple[int, int, int]]) -> None:
        times = [time_ns for time_ns, _, _ in messages]
        first, end = messages[0][1], messages[-1][2]
        self._blocks.append(_Block(min(times), max(times), first, end - first))

    def _add_chunk(self, at: int, content: bytes, end: int) -> None:
        times: list[int] = []
        counts: Counter[int] = Counter()
        try:
            for opcode, record in _records_in(_unpacked(content)):
                if opcode == Opcode.MESSAGE:
                    channel, _, time_ns, _ = _MESSAGE.unpack_from(record)
                    counts[channel] += 1
                    times.append(time_ns)
                else:
                    self._learn(opcode, record)
        except (ValueError, struct.error) as error:
            self._lose(at, error)
            return
        self._counts += counts
        if times:
            self._blocks.append(_Block(min(times), max(times), at, end - at))

    def _learn(self, opcode: int, content: bytes) -> None:
        """Registers a schema or a channel; other records are ignored."""
        read: Callable | None = {Opcode.SCHEMA: records.Schema.read, Opcode.CHANNEL: records.Channel.read}.get(opcode)
        if read is None:
            return
        try:
            record = read(ReadDataStream(BytesIO(content)))
        except Exception as error:  # damaged: its messages then have no known channel
            self._lose(0, error)
            return
        (self._schemas if opcode == Opcode.SCHEMA else self._channels)[record.id] = record

    def _lose(self, at: int, error: Exception) -> None:
        if not self.damage:
            self.damage = f"damaged at byte {at} ({one_line(error)}): skipped"

    # -- reading -------------------------------------------------------------------------------------------------

    def messages(self, topics: Collection[str], start_ns: int) -> Iterator[Record]:
        wanted = {number: (c.topic, c.type) for number, c in zip(self._channels, self.channels) if c.topic in topics}
        held: list[tuple[int, int, Record]] = []  # a heap: time, place in the file
        held_bytes = number = 0
        for block in sorted(self._blocks):
            while held and held[0][0] < block.start_ns:
                record = heapq.heappop(held)[-1]
                held_bytes -= len(record.data)
                yield record
            if block.end_ns < start_ns:
                continue
            for record in self._messages_of(block, wanted):
                if record.time_ns >= start_ns:
                    number += 1
                    heapq.heappush(held, (record.time_ns, number, record))
                    held_bytes += len(record.data)
            if held_bytes > _MOST_HELD:
                self._lose(block.offset, ValueError(f"more than {_MOST_HELD >> 20} MiB of messages at one time"))
                return
        while held:
            yield heapq.heappop(held)[-1]

    def _messages_of(self, block: _Block, wanted: dict[int, tuple[str, str]]) -> Iterator[Record]:
        """Messages of the channels in `wanted` ({channel: topic, type}); none if the chunk is damaged."""
        try:
            self._file.seek(block.offset)
            content = self._file.read(block.length)
            if content[:1] == bytes((Opcode.CHUNK,)):
                content = _unpacked(content[_RECORD.size :])
            found = [record for opcode, record in _records_in(content) if opcode == Opcode.MESSAGE]
            heads = [_MESSAGE.unpack_from(record) for record in found]
        except (ValueError, struct.error, OSError) as error:
            self._lose(block.offset, error)
            return
        for (channel, _, time_ns, published_ns), record in zip(heads, found):
            if channel in wanted:
                topic, kind = wanted[channel]
                yield Record(topic, time_ns, kind, bytes(record[_MESSAGE.size :]), published_ns or time_ns)

    def _record_at(self, at: int) -> tuple[int, bytes, int]:
        """(opcode, content, offset of the next record). Raises ValueError at the end of the file and at damage."""
        self._file.seek(at)
        head = self._file.read(_RECORD.size)
        if len(head) < _RECORD.size:
            raise ValueError("the end is missing")
        opcode, length = _RECORD.unpack(head)
        if length > LARGEST or opcode == 0:
            raise ValueError(f"record of kind {opcode} with {length} bytes")
        content = self._file.read(length)
        if len(content) < length:
            raise ValueError("truncated within a record")
        if opcode == Opcode.MESSAGE and length < _MESSAGE.size:
            raise ValueError(f"message of {length} bytes")
        return opcode, content, at + _RECORD.size + length


def _records_in(content: bytes) -> Iterator[tuple[int, memoryview]]:
    """The records in `content`. Raises ValueError if they do not fill it exactly."""
    view, at = memoryview(content), 0
    while at < len(view):
        opcode, length = _RECORD.unpack_from(view, at)
        at += _RECORD.size + length
        if at > len(view):
            raise ValueError(f"record of {length} bytes extends past the end of the chunk")
        yield opcode, view[at - length : at]


def _unpacked(content: bytes) -> bytes:
    """The decompressed records of a chunk. Raises ValueError if the chunk is damaged or too large."""
    try:
        chunk = records.Chunk.read(ReadDataStream(BytesIO(content)))
    except Exception as error:  # damage makes the parser raise various types
        raise ValueError(one_line(error)) from None
    if chunk.uncompressed_size > LARGEST:
        raise ValueError(f"chunk of {chunk.uncompressed_size} bytes; expected at most {LARGEST}")
    data = _decompressed(chunk.compression, chunk.data, chunk.uncompressed_size)
    if len(data) != chunk.uncompressed_size:
        raise ValueError(f"chunk of {chunk.uncompressed_size} bytes has {len(data)}")
    if chunk.uncompressed_crc and crc32(data) != chunk.uncompressed_crc:
        raise ValueError("wrong checksum")
    return data


def _decompressed(compression: str, data: bytes, size: int) -> bytes:
    if compression == "zstd":
        return unzstd(data, size)
    if compression == "lz4":
        try:
            return lz4.frame.LZ4FrameDecompressor().decompress(data, max_length=size + 1)
        except (RuntimeError, EOFError) as error:
            raise ValueError(one_line(error)) from None
    if compression:
        raise ValueError(f"compression {compression!r}; expected zstd, lz4 or none")
    return data
