"""Writes rosbag2 recordings as MCAP files that stay readable after any crash.

Messages go into small chunks that reach the operating system within about a second. `metadata.yaml` is written at the start
and rewritten with every file. When a file reaches `split_bytes`, the next one is started. Nothing is compressed: camera noise
does not compress, and the recorder must not take CPU time from control.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

import yaml
from mcap.writer import CompressionType, Writer

from jsac_ros.bags import definitions
from jsac_ros.bags.reader import BagError
from jsac_ros.config import NoRoom
from jsac_ros.files import is_full, write_text

CHUNK_BYTES = 256 * 1024
RESERVE_BYTES = 256 * 1024 * 1024  # of disk space reserved for the replay store and checkpoints
_LOOK_AT_DISK_EVERY = 16 * 1024 * 1024  # bytes
_VERSION = 9  # of rosbag2's metadata


class DiskFull(OSError):
    """The disk is full: the current file is closed, and nothing is written until `resume`."""


class BagWriter:
    """One recording: call `add_topic`, `write` in order of time, then `close`. After DiskFull call `resume` until it succeeds.

    Raises BagError if the folder exists, NoRoom if the disk is full."""

    def __init__(self, folder: str | Path, split_bytes: int = 1 << 30, reserve_bytes: int = RESERVE_BYTES):
        self.folder = Path(folder)
        self._split_bytes, self._reserve_bytes = split_bytes, reserve_bytes
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            if is_full(error):
                raise NoRoom(f"bag {folder}: {error.strerror}") from None
            raise BagError(f"bag {folder}: {error.strerror}; expected a new folder") from None
        self._types: dict[str, str] = {}  # topic -> type
        self._files: list[dict] = []
        self._counts: dict[str, int] = {}
        self._looked_at = 0
        try:
            self._expect_room(self._reserve_bytes)
            self._open()
        except OSError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise NoRoom(f"bag {folder}: {error.strerror}") from None

    def add_topic(self, topic: str, type_name: str) -> None:
        """Raises BagError if no definition of the type is installed."""
        if definitions.with_installed(type_name) is None:
            raise BagError(f"topic {topic}: no definition of {type_name} is installed")
        self._types[topic] = type_name
        self._counts[topic] = 0
        if not self._stream.closed:
            self._register(topic)
        self._write_metadata()

    def write(self, topic: str, time_ns: int, data: bytes, published_ns: int = 0) -> None:
        """Writes one CDR message, recorded at `time_ns`. published_ns: default `time_ns`.

        Raises DiskFull, with the file closed."""
        try:
            self._look_at_disk(len(data))
            if self._stream.tell() >= self._split_bytes:
                self._finish()
                self._open()
            self._writer.add_message(self._channels[topic], time_ns, data, publish_time=published_ns or time_ns)
        except OSError as error:
            raise self._full(error) from None
        self._counts[topic] += 1
        file = self._files[-1]
        file["message_count"] += 1
        file["first"] = min(file["first"] or time_ns, time_ns)
        file["last"] = max(file["last"], time_ns)

    def flush(self) -> None:
        """Passes complete chunks to the operating system. Raises DiskFull, with the file closed."""
        try:
            self._stream.flush()
        except OSError as error:
            raise self._full(error) from None

    def resume(self) -> bool:
        """Starts the next file if the disk has room again; returns whether it did."""
        try:
            self._expect_room(self._reserve_bytes + _LOOK_AT_DISK_EVERY)  # avoids starting a file for a single chunk
            self._open()
        except OSError:
            return False
        return True

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(self._types)

    @property
    def count(self) -> int:
        return sum(self._counts.values())

    @property
    def size_bytes(self) -> int:
        return sum((self.folder / file["path"]).stat().st_size for file in self._files)

    def close(self) -> None:
        """Raises DiskFull if the end of the recording does not fit."""
        try:
            if not self._stream.closed:
                self._finish()
        except OSError as error:
            raise self._full(error) from None

    def _open(self) -> None:
        """Starts the next file with all topics. Raises OSError and leaves no file then."""
        name = f"{self.folder.name}_{len(self._files)}.mcap"
        stream = open(self.folder / name, "wb")
        try:
            writer = Writer(stream, CHUNK_BYTES, CompressionType.NONE)
            writer.start(profile="ros2", library="jsac_ros")
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError):
                stream.close()
            (self.folder / name).unlink()
            raise
        self._stream, self._writer = stream, writer
        self._schemas: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        self._files.append({"path": name, "message_count": 0, "first": 0, "last": 0})
        for topic in self._types:
            self._register(topic)
        self._write_metadata()

    def _register(self, topic: str) -> None:
        kind = self._types[topic]
        if kind not in self._schemas:
            definition, _ = definitions.with_installed(kind).generate_msgdef(kind, ros_version=2)
            self._schemas[kind] = self._writer.register_schema(kind, "ros2msg", definition.encode())
        metadata = {"offered_qos_profiles": "", "topic_type_hash": definitions.with_installed(kind).hash_rihs01(kind)}
        self._channels[topic] = self._writer.register_channel(topic, "cdr", self._schemas[kind], metadata)

    def _finish(self) -> None:
        self._writer.finish()
        self._stream.close()
        self._write_metadata()

    def _look_at_disk(self, coming: int) -> None:
        self._looked_at -= coming
        if self._looked_at <= 0:
            self._looked_at = _LOOK_AT_DISK_EVERY
            self._expect_room(self._reserve_bytes)

    def _expect_room(self, least: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < least:
            words = f"{free >> 20} MiB free, {self._reserve_bytes >> 20} MiB are reserved"
            raise OSError(errno.ENOSPC, words)

    def _full(self, error: OSError) -> DiskFull:
        """Closes the file and returns the error to raise."""
        with contextlib.suppress(OSError):  # the index may not fit either; readers scan such a file
            if not self._stream.closed:
                self._finish()
        with contextlib.suppress(OSError):
            self._stream.close()
        return DiskFull(errno.ENOSPC, f"bag {self.folder}: {error.strerror}; nothing is recorded until there is room")

    def _write_metadata(self) -> None:
        """Writes `metadata.yaml`, which `ros2 bag` reads first, atomically. On a full disk the previous one stays."""
        starts = [file["first"] for file in self._files if file["message_count"]]
        start, end = min(starts, default=0), max((file["last"] for file in self._files), default=0)
        information = {
            "version": _VERSION,
            "storage_identifier": "mcap",
            "duration": {"nanoseconds": max(0, end - start)},
            "starting_time": {"nanoseconds_since_epoch": start},
            "message_count": self.count,
            "topics_with_message_count": [
                {
                    "topic_metadata": {
                        "name": topic,
                        "type": kind,
                        "serialization_format": "cdr",
                        "offered_qos_profiles": [],
                        "type_description_hash": definitions.with_installed(kind).hash_rihs01(kind),
                    },
                    "message_count": self._counts[topic],
                }
                for topic, kind in self._types.items()
            ],
            "compression_format": "",
            "compression_mode": "",
            "relative_file_paths": [file["path"] for file in self._files],
            "files": [
                {
                    "path": file["path"],
                    "starting_time": {"nanoseconds_since_epoch": file["first"]},
                    "duration": {"nanoseconds": max(0, file["last"] - file["first"])},
                    "message_count": file["message_count"],
                }
                for file in self._files
            ],
            "custom_data": None,
            "ros_distro": os.environ.get("ROS_DISTRO", "jazzy"),
        }
        text = yaml.safe_dump({"rosbag2_bagfile_information": information}, sort_keys=False)
        with contextlib.suppress(OSError):
            write_text(self.folder / "metadata.yaml", text)
