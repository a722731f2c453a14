"""Recordings as people have them: edited, cut, unordered, mixed. What the files hold counts, and is read in order."""

from __future__ import annotations

import json
import resource
import struct

import pytest
import zstandard
from bag_files import NUMBERS, START_NS, STATE, Message, talk, write_mcap, write_metadata, write_sqlite
from mcap.writer import CompressionType
from rosbags.rosbag1 import Writer as WriterOfRos1
from rosbags.typesys import Stores, get_typestore

from jsac_ros.__main__ import main
from jsac_ros.bags.reader import Bag, BagError

GRIPPER = "my_gripper_msgs/msg/State"


def read(path) -> tuple[list[Message], Bag]:
    with Bag(path) as bag:
        return [Message(r.topic, r.type, r.time_ns, r.data) for r in bag.messages()], bag


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "bag").mkdir()
    return tmp_path / "bag"


# -- metadata.yaml is a hint -------------------------------------------------------------------------------------


@pytest.mark.parametrize("counted", [0, 40, 300])
@pytest.mark.parametrize("qos", ["", "- history: 1\n  durability: 1", 7])
def test_metadata_that_was_edited_or_is_old_loses_nothing(folder, counted, qos):
    said = talk()
    write_sqlite(folder / "b_0.db3", said)
    write_metadata(folder, said[:counted], ["b_0.db3"], qos)
    messages, bag = read(folder)
    assert messages == said and not bag.damage and bag.count == len(said)
    assert bag.duration_s == pytest.approx(1.99)


@pytest.mark.parametrize("text", ["", "no: yaml: at all", "[1, 2]", "rosbag2_bagfile_information: {version: 99}"])
def test_metadata_of_any_kind_is_no_obstacle(folder, text):
    write_mcap(folder / "b_0.mcap", talk())
    (folder / "metadata.yaml").write_text(text)
    assert read(folder)[0] == talk()


def test_a_file_that_metadata_lists_and_nobody_has_is_named(folder):
    write_mcap(folder / "b_0.mcap", talk())
    write_metadata(folder, talk(), ["b_0.mcap", "b_1.mcap"])
    messages, bag = read(folder)
    assert messages == talk() and bag.damage == "b_1.mcap: listed in metadata.yaml, but missing"


# -- order -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {}, {"chunk_size": 2000}, {"use_chunking": False},
        {"use_chunking": False, "use_statistics": False, "use_summary_offsets": False, "repeat_channels": False},
    ],
)  # fmt: skip
def test_messages_out_of_order_are_put_in_order(tmp_path, options):
    said = talk()
    moved = said[40:200] + said[:40] + said[:199:-1]
    messages, bag = read(write_mcap(tmp_path / "b.mcap", moved, **options))
    assert messages == said and not bag.damage


def test_files_that_overlap_are_merged_by_time(folder):
    said = talk()
    late = [message for message in said if message.type == NUMBERS]
    write_sqlite(folder / "b_1.db3", [message for message in said if message.type == STATE])
    write_mcap(folder / "b_0.mcap", late)
    assert read(folder)[0] == said


def test_reading_begins_where_it_is_asked_to(folder):
    said = talk()
    write_sqlite(folder / "b_0.db3", said[:100])
    write_mcap(folder / "b_1.mcap", said[100:], chunk_size=2000)
    begin_ns = START_NS + 900_000_000
    with Bag(folder) as bag:
        times = [record.time_ns for record in bag.messages(["/joint_states"], begin_ns)]
    assert times == [m.time_ns for m in said if m.type == STATE and m.time_ns >= begin_ns]


# -- damage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.4, 0.7, 0.95])
def test_a_database_that_was_cut_is_read_up_to_the_cut(folder, share):
    """Its recorder was killed: no metadata either."""
    said = talk(2000)
    file = write_sqlite(folder / "b_0.db3", said)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    messages, bag = read(folder)
    assert 0.2 * share * len(said) < len(messages) < len(said) and messages == said[: len(messages)]
    assert bag.count == len(messages) and f"{len(messages)} messages could be read" in bag.damage
    assert bag.duration_s == pytest.approx((messages[-1].time_ns - START_NS) * 1e-9)


def test_a_database_with_a_hole_is_read_on_both_sides_of_it(folder):
    said = talk(2000)
    file = write_sqlite(folder / "b_0.db3", said)
    data = bytearray(file.read_bytes())
    page = len(data) // 4096 // 3 * 4096
    data[page : page + 4096] = bytes(4096)
    file.write_bytes(data)
    messages, bag = read(folder)
    assert bag.damage and 0.9 * len(said) < len(messages) < len(said)
    assert set(messages) < set(said) and messages[0] == said[0] and messages[-1] == said[-1]


@pytest.mark.parametrize("compression", [CompressionType.NONE, CompressionType.ZSTD, CompressionType.LZ4])
@pytest.mark.parametrize("indexed", [True, False])
def test_a_chunk_that_is_damaged_costs_no_other(tmp_path, compression, indexed):
    said = talk(1000)
    file = write_mcap(tmp_path / "b.mcap", said, chunk_size=10_000, compression=compression)
    data = bytearray(file.read_bytes() if indexed else file.read_bytes()[:-40])
    data[len(data) // 4] ^= 0xFF
    file.write_bytes(data)
    messages, bag = read(file)
    assert set(messages) < set(said) and 0.7 * len(said) < len(messages) < len(said)
    assert messages[-1].time_ns > START_NS + 8 * 10**9 and "b.mcap: " in bag.damage


def test_a_file_that_cannot_be_read_costs_no_other(folder):
    write_mcap(folder / "b_0.mcap", talk())
    (folder / "b_1.mcap").write_bytes(b"rubbish")
    (folder / "b_2.db3").write_bytes(b"")
    messages, bag = read(folder)
    assert messages == talk() and bag.damage == "b_1.mcap: neither MCAP nor SQLite; b_2.db3: neither MCAP nor SQLite"


# -- topics of other kinds ---------------------------------------------------------------------------------------


def with_gripper() -> list[Message]:
    gripper = [
        Message("/gripper/state", GRIPPER, START_NS + k * 50_000_000 + 2, bytes([0, 1, 0, 0, k, 0, 0, 0])) for k in range(40)
    ]
    return sorted(talk() + gripper, key=lambda message: message.time_ns)


@pytest.mark.parametrize("encoding", ["", "unknown"])
@pytest.mark.parametrize("kind", ["mcap", "sqlite"])
def test_a_type_without_a_definition_spoils_nothing(tmp_path, kind, encoding, capsys):
    if kind == "mcap":
        path = write_mcap(tmp_path / "b.mcap", with_gripper(), schemas={GRIPPER: (encoding, "")})
    else:
        path = write_sqlite(tmp_path / "b.db3", with_gripper(), {GRIPPER: (encoding, "")})
    messages, bag = read(path)
    assert messages == with_gripper() and not bag.warnings
    assert not bag.knows(GRIPPER) and bag.knows(STATE)
    assert main(["bag", "check", str(path)]) == 0
    assert f"/gripper/state: 40 messages of {GRIPPER}: type not known here" in capsys.readouterr().out


def test_a_topic_of_another_encoding_is_left_out_and_named(tmp_path, capsys):
    notes = [Message("/notes", "notes", START_NS + k, json.dumps({"text": "grasp"}).encode()) for k in range(8)]
    schemas = {"notes": ("jsonschema", '{"type": "object"}')}
    path = write_mcap(tmp_path / "b.mcap", sorted(talk() + notes, key=lambda m: m.time_ns), schemas, {"/notes": "json"})
    messages, bag = read(path)
    assert messages == talk()
    assert bag.left_out == {"/notes": "8 messages: messages are encoded as 'json'; expected 'cdr'"}
    assert main(["bag", "check", str(path)]) == 0
    assert "skipped" in capsys.readouterr().out
    with pytest.raises(BagError, match="topic /notes is skipped .*json"):
        bag.topic("notes")


def test_a_topic_without_a_schema_is_left_out_and_named(tmp_path):
    path = write_mcap(tmp_path / "b.mcap", talk(), schemas={NUMBERS: None})
    messages, bag = read(path)
    assert messages == [message for message in talk() if message.type == STATE]
    assert "no schema" in bag.left_out["/commands"]


def test_recordings_of_ros_1_are_named_as_such(tmp_path, capsys):
    store = get_typestore(Stores.ROS1_NOETIC)
    text = store.types["std_msgs/msg/String"](data="x")
    data = bytes(store.serialize_ros1(text, "std_msgs/msg/String"))
    with WriterOfRos1(tmp_path / "old.bag") as writer:
        writer.write(writer.add_connection("/words", "std_msgs/msg/String", typestore=store), START_NS, data)
    converted = tmp_path / "old.mcap"
    messages = [Message("/words", "std_msgs/String", START_NS, data)]
    write_mcap(converted, messages, {"std_msgs/String": ("ros1msg", "string data")}, {"/words": "ros1"}, "ros1")
    for path in (tmp_path / "old.bag", converted):
        assert main(["bag", "check", str(path)]) == 2
        error = capsys.readouterr().err
        assert "ROS 1" in error and "rosbags-convert" in error and error.count("\n") == 1


# -- compression, and what hides behind it -----------------------------------------------------------------------


def test_compressed_files_and_messages_are_read(folder):
    said = talk()
    packed = [message._replace(data=zstandard.compress(message.data)) for message in said[:100]]
    write_sqlite(folder / "b_0.db3", packed)
    whole = write_mcap(folder / "b_1.mcap", said[100:])
    (folder / "b_1.mcap.zstd").write_bytes(zstandard.compress(whole.read_bytes()))
    whole.unlink()
    messages, bag = read(folder)
    assert messages == said and not bag.damage


def _bomb(compressed: bytes, claimed: int) -> bytes:
    """An MCAP file of one chunk that becomes something large."""
    record = lambda opcode, content: struct.pack("<BQ", opcode, len(content)) + content
    text = lambda value: struct.pack("<I", len(value)) + value
    chunk = struct.pack("<QQQI", 1, 2, claimed, 0) + text(b"zstd") + struct.pack("<Q", len(compressed)) + compressed
    return b"\x89MCAP0\r\n" + record(1, text(b"ros2") + text(b"")) + record(6, chunk)


@pytest.mark.parametrize("told", [True, False])
def test_a_small_file_cannot_ask_for_much_memory(tmp_path, told):
    stream = zstandard.ZstdCompressor(write_content_size=told).compressobj(**({"size": 2_700_000_000} if told else {}))
    zeros = bytes(10_000_000)
    data = b"".join(stream.compress(zeros) for _ in range(270)) + stream.flush()
    for number, claimed in enumerate((2_700_000_000, 200_000_000, 1000)):
        (tmp_path / f"b_{number}.mcap").write_bytes(_bomb(data, claimed))
    (tmp_path / "b_4.mcap.zstd").write_bytes(data)
    write_sqlite(tmp_path / "b_5.db3", [talk(1)[0]._replace(data=data)])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    messages, bag = read(tmp_path)
    assert not messages and bag.damage.count("b_") == 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 700_000  # KiB


def test_a_flipped_bit_anywhere_breaks_no_reader(tmp_path):
    """Every file is read, or refused with one line; nothing is invented."""
    said = talk(60)
    for make, name in ((write_mcap, "b.mcap"), (write_sqlite, "b.db3")):
        data = make(tmp_path / name, said).read_bytes()
        for at in range(0, len(data), len(data) // 150):
            for flip in (0x01, 0x80):
                changed = bytearray(data)
                changed[at] ^= flip
                (tmp_path / name).write_bytes(changed)
                try:
                    messages, _ = read(tmp_path / name)
                except BagError as error:
                    assert "\n" not in str(error)
                else:
                    assert len(messages) <= len(said)


def test_the_large_ones_are_refused_for_their_size(tmp_path):
    """A small file of the same make is read."""
    content = struct.pack("<BQ", 9, 3) + b"abc"
    (tmp_path / "b.mcap").write_bytes(_bomb(zstandard.compress(content), len(content)))
    messages, bag = read(tmp_path / "b.mcap")
    assert not messages and "damaged at byte" not in bag.damage
