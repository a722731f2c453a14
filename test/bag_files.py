"""Recordings as others write them: files of MCAP and SQLite from a list of messages, with whatever is wrong with them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from mcap.writer import CompressionType, Writer

from jsac_ros.bags import definitions

TYPES = definitions.known()
START_NS = 1_750_000_000_000_000_000
STATE, NUMBERS = "sensor_msgs/msg/JointState", "std_msgs/msg/Float64MultiArray"


class Message(NamedTuple):
    topic: str
    type: str
    time_ns: int
    data: bytes


def stamp(time_ns: int):
    return TYPES.types["builtin_interfaces/msg/Time"](sec=time_ns // 10**9, nanosec=time_ns % 10**9)


def header(time_ns: int):
    return TYPES.types["std_msgs/msg/Header"](stamp=stamp(time_ns), frame_id="")


def cdr(kind: str, **fields) -> bytes:
    return bytes(TYPES.serialize_cdr(TYPES.types[kind](**fields), kind))


def joints(time_ns: int, names, position, velocity=(), topic: str = "/joint_states") -> Message:
    arrays = {name: np.array(value, np.float64) for name, value in (("position", position), ("velocity", velocity))}
    return Message(topic, STATE, time_ns, cdr(STATE, header=header(time_ns), name=list(names), effort=np.empty(0), **arrays))


def numbers(time_ns: int, values, topic: str = "/commands") -> Message:
    layout = TYPES.types["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
    return Message(topic, NUMBERS, time_ns, cdr(NUMBERS, layout=layout, data=np.array(values, np.float64)))


def talk(count: int = 200) -> list[Message]:
    """Joint states at 100 Hz and commands at 50 Hz, in order of time."""
    found = [joints(START_NS + k * 10_000_000, ("a", "b"), (0.01 * k, 0.0)) for k in range(count)]
    found += [numbers(START_NS + k * 20_000_000 + 1, (float(k), 0.0)) for k in range(count // 2)]
    return sorted(found, key=lambda message: message.time_ns)


def write_mcap(path: Path, messages, schemas=None, encodings=None, profile: str = "ros2", **options) -> Path:
    """`schemas`: type -> (encoding, text), or None for no schema; `encodings`: topic -> that of its messages."""
    writer = Writer(str(path), **({"compression": CompressionType.NONE} | options))
    writer.start(profile, "test")
    known: dict[str, int] = {}
    channels: dict[str, int] = {}
    for topic, kind, time_ns, data in messages:
        if kind not in known:
            told = (schemas or {}).get(kind, "ours")
            if told == "ours":
                told = ("ros2msg", TYPES.generate_msgdef(kind, ros_version=2)[0])
            known[kind] = 0 if told is None else writer.register_schema(kind, told[0], told[1].encode())
        if topic not in channels:
            channels[topic] = writer.register_channel(topic, (encodings or {}).get(topic, "cdr"), known[kind], {})
        writer.add_message(channels[topic], time_ns, data, publish_time=time_ns)
    writer.finish()
    return path


def write_sqlite(path: Path, messages, definitions_of=None) -> Path:
    """The layout of Humble; with `definitions_of`, type -> (encoding, text), that of Jazzy."""
    database = sqlite3.connect(path)
    database.executescript(
        "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT, "
        "offered_qos_profiles TEXT); CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, "
        "timestamp INTEGER, data BLOB); CREATE INDEX timestamp_idx ON messages (timestamp ASC);"
    )
    if definitions_of is not None:
        database.execute(
            "CREATE TABLE message_definitions(id INTEGER PRIMARY KEY, topic_type TEXT, encoding TEXT, "
            "encoded_message_definition TEXT, type_description_hash TEXT)"
        )
        for kind, (encoding, text) in definitions_of.items():
            database.execute("INSERT INTO message_definitions VALUES (NULL, ?, ?, ?, '')", (kind, encoding, text))
    topics: dict[str, int] = {}
    for topic, kind, time_ns, data in messages:
        if topic not in topics:
            topics[topic] = len(topics) + 1
            database.execute("INSERT INTO topics VALUES (?, ?, ?, 'cdr', '')", (topics[topic], topic, kind))
        database.execute("INSERT INTO messages VALUES (NULL, ?, ?, ?)", (topics[topic], time_ns, data))
    database.commit()
    database.close()
    return path


def write_metadata(folder: Path, messages, files, qos="", version: int = 5) -> None:
    """What `ros2 bag` writes, of `messages`, which need not be those of the files."""
    topics = {message.topic: message.type for message in messages}
    about = {
        "version": version, "storage_identifier": "sqlite3", "compression_format": "", "compression_mode": "",
        "duration": {"nanoseconds": 0}, "starting_time": {"nanoseconds_since_epoch": START_NS},
        "message_count": len(messages), "relative_file_paths": list(files),
        "topics_with_message_count": [
            {
                "topic_metadata": {"name": name, "type": kind, "serialization_format": "cdr", "offered_qos_profiles": qos},
                "message_count": sum(message.topic == name for message in messages),
            }
            for name, kind in topics.items()
        ],
    }  # fmt: skip
    (folder / "metadata.yaml").write_text(yaml.safe_dump({"rosbag2_bagfile_information": about}))
