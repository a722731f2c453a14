"""Recordings are written and read back, whole and damaged."""

from __future__ import annotations

import gc
import shutil
import time
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from bag_cases import DATA, START_NS, Recorder
from full_disk import files_of_at_most
from rosbags.highlevel import AnyReader
from std_msgs.msg import String

from jsac_ros.__main__ import main
from jsac_ros.bags import definitions
from jsac_ros.bags import record as recording_module
from jsac_ros.bags import writer as writing
from jsac_ros.bags.reader import Bag, BagError, cdr_stamp_ns
from jsac_ros.bags.record import Recording
from jsac_ros.bags.writer import BagWriter, DiskFull
from jsac_ros.config import NoRoom

FRAME = np.arange(60 * 80 * 3, dtype=np.uint32).astype(np.uint8).reshape(60, 80, 3)


def record(folder, seconds: int = 2, **options) -> Recorder:
    """Pictures at 30 Hz and joint states at 125 Hz."""
    recorder = Recorder(folder, **options)
    events = [(START_NS + k * 33_333_333, "image") for k in range(30 * seconds)]
    events += [(START_NS + k * 8_000_000, "joints") for k in range(125 * seconds)]
    for time_ns, what in sorted(events):
        if what == "image":
            recorder.image(time_ns, FRAME)
        else:
            recorder.joints(time_ns, ("a", "b"), (0.5, time_ns * 1e-9 % 1))
    return recorder


def contents(path):
    with Bag(path) as bag:
        return list(bag.messages()), bag.damage


def test_what_is_written_is_read_back(tmp_path):
    recorder = record(tmp_path / "bag")
    recorder.writer.close()
    messages, damage = contents(tmp_path / "bag")
    assert len(messages) == 60 + 250 and not damage
    times = [message.time_ns for message in messages]
    assert times == sorted(times)
    with Bag(tmp_path / "bag") as bag:
        image = next(bag.decode(m) for m in messages if m.topic == "/camera/image_raw")
        assert bag.topics["/joint_states"].count == 250 and bag.count == 310
        assert bag.duration_s == pytest.approx(1.992)
    np.testing.assert_array_equal(image.data.reshape(FRAME.shape), FRAME)


def test_metadata_of_aliases_of_aliases_are_left_out(tmp_path):
    """What the messages say counts; walked through, these lines are 100 million values."""
    record(tmp_path / "bag", seconds=1).writer.close()
    lines = ["a0: &a0 x", *(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 9))]
    lines += ["rosbag2_bagfile_information:", "  relative_file_paths: [bag_0.mcap]"]
    lines += ["  topics_with_message_count: [{topic_metadata: {name: *a8, type: *a8}}]"]
    (tmp_path / "bag" / "metadata.yaml").write_text("\n".join(lines))
    began_s = time.process_time()
    with Bag(tmp_path / "bag") as bag:
        assert set(bag.topics) == {"/camera/image_raw", "/joint_states"} and bag.count == 155
    assert time.process_time() - began_s < 2


def test_a_run_folder_stands_for_its_recording(tmp_path):
    record(tmp_path / "run" / "bag", seconds=1).writer.close()
    assert contents(tmp_path / "run") == contents(tmp_path / "run" / "bag")


def test_others_read_it_too(tmp_path):
    """rosbags' own reader checks metadata.yaml, type hashes and definitions."""
    record(tmp_path / "bag").writer.close()
    with AnyReader([tmp_path / "bag"]) as reader:
        assert reader.message_count == 310
        kinds = {c.topic: c.msgtype for c in reader.connections}
        assert kinds["/camera/image_raw"] == "sensor_msgs/msg/Image"
        joints = [reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages() if c.topic == "/joint_states"]
    assert [list(j.name) for j in joints] == [["a", "b"]] * 250


def test_messages_of_an_installed_package_are_written_with_their_definition(tmp_path, monkeypatch):
    share = tmp_path / "install" / "share" / "lab_msgs" / "msg"
    share.mkdir(parents=True)
    (share / "Grip.msg").write_text("std_msgs/Header header\nFinger[] fingers\n")
    (share / "Finger.msg").write_text("float64 force\nLimit[2] limits\n")
    (share / "Limit.msg").write_text("uint8 newton\n")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "install"))
    definitions.with_installed.cache_clear()
    writer = BagWriter(tmp_path / "bag")
    with pytest.raises(BagError, match="no definition of lab_msgs/msg/Other"):
        writer.add_topic("/other", "lab_msgs/msg/Other")
    writer.add_topic("/grip", "lab_msgs/msg/Grip")
    store = definitions.with_installed("lab_msgs/msg/Grip")
    limits = [store.types["lab_msgs/msg/Limit"](newton=n) for n in (3, 4)]
    finger = store.types["lab_msgs/msg/Finger"](force=2.5, limits=limits)
    header = store.types["std_msgs/msg/Header"](stamp=store.types["builtin_interfaces/msg/Time"](sec=1, nanosec=2), frame_id="")
    message = store.types["lab_msgs/msg/Grip"](header=header, fingers=[finger])
    writer.write("/grip", START_NS, bytes(store.serialize_cdr(message, "lab_msgs/msg/Grip")))
    writer.close()
    definitions.with_installed.cache_clear()
    monkeypatch.delenv("AMENT_PREFIX_PATH")
    with Bag(tmp_path / "bag") as bag:  # on a computer that has no such package
        (record,) = bag.messages()
        assert bag.decode(record).fingers[0].limits[1].newton == 4 and bag.begins_with_header(record.type)


def test_of_one_instant_the_picture_comes_last(tmp_path):
    recorder = Recorder(tmp_path / "bag")
    recorder.image(START_NS, FRAME)
    recorder.joints(START_NS, ("a",), (1.0,))
    recorder.writer.close()
    assert [message.topic for message in contents(tmp_path / "bag")[0]] == ["/joint_states", "/camera/image_raw"]


def test_files_are_split_by_size(tmp_path):
    record(tmp_path / "bag", split_bytes=400_000).writer.close()
    files = sorted((tmp_path / "bag").glob("*.mcap"))
    assert len(files) >= 2
    described = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert sorted(described["relative_file_paths"]) == [file.name for file in files]
    assert sum(file["message_count"] for file in described["files"]) == described["message_count"] == 310
    messages, damage = contents(tmp_path / "bag")
    assert len(messages) == 310 and not damage


def test_a_crash_leaves_a_readable_recording(tmp_path):
    """The process is gone: no index, no last metadata, and what was still in its hands."""
    recorder = record(tmp_path / "bag")
    recorder.writer.flush()
    shutil.copytree(tmp_path / "bag", tmp_path / "crashed")
    recorder.writer.close()
    whole, _ = contents(tmp_path / "bag")
    messages, damage = contents(tmp_path / "crashed")
    assert damage and len(messages) > 200
    assert messages == whole[: len(messages)]


def test_a_file_cut_anywhere_is_read_up_to_the_cut(tmp_path):
    record(tmp_path / "bag").writer.close()
    (file,) = (tmp_path / "bag").glob("*.mcap")
    data, (whole, _) = file.read_bytes(), contents(tmp_path / "bag")
    counts = []
    for share in (0.3, 0.6, 0.9):
        cut = tmp_path / f"cut{share}.mcap"
        cut.write_bytes(data[: int(len(data) * share)])
        messages, damage = contents(cut)
        assert messages == whole[: len(messages)] and "could be read" in damage
        counts.append(len(messages))
    assert 0 < counts[0] < counts[1] < counts[2] < len(whole)


def test_a_flipped_byte_is_found(tmp_path):
    record(tmp_path / "bag").writer.close()
    (file,) = (tmp_path / "bag").glob("*.mcap")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)
    messages, damage = contents(tmp_path / "bag")
    assert "damaged at byte" in damage and len(messages) < 310


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "no such file or folder"),
        (lambda path: path.mkdir(), "contains no .mcap or .db3 file"),
        (lambda path: path.write_bytes(b"not a recording at all"), "nothing in it can be read"),
    ],
)
def test_what_is_no_recording_is_one_line(tmp_path, make, words, capsys):
    path = tmp_path / "thing.mcap"
    make(path)
    assert main(["bag", "check", str(path)]) == 2
    error = capsys.readouterr().err.strip()
    assert words in error and "\n" not in error


def test_a_full_disk_leaves_the_recording_whole_and_the_next_file_begins_when_there_is_room(tmp_path, monkeypatch):
    recorder = record(tmp_path / "bag", seconds=1)
    free = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda _: free._replace(free=1000))
    monkeypatch.setattr(writing, "_LOOK_AT_DISK_EVERY", 0)
    recorder.writer._looked_at = 0
    with pytest.raises(DiskFull, match="0 MiB free, 256 MiB are reserved; nothing is recorded until there is room"):
        recorder.image(START_NS + 2 * 10**9, FRAME)
    messages, damage = contents(tmp_path / "bag")
    assert len(messages) == 155 and not damage
    assert not recorder.writer.resume() and len(list((tmp_path / "bag").glob("*.mcap"))) == 1
    with pytest.raises(NoRoom):
        BagWriter(tmp_path / "other")
    assert not (tmp_path / "other").exists()
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda _: free._replace(free=1 << 40))
    assert recorder.writer.resume()
    recorder.image(START_NS + 3 * 10**9, FRAME)
    recorder.writer.close()
    messages, damage = contents(tmp_path / "bag")
    assert len(messages) == 156 and not damage


@pytest.mark.parametrize("where", ["a chunk", "a flush", "the end"])
def test_recording_goes_on_after_a_disk_that_took_no_more(tmp_path, monkeypatch, where):
    """Wherever it was noticed; the node that records neither ends nor forgets to say it."""
    said = []
    logger = SimpleNamespace(error=said.append, warning=said.append)
    node = SimpleNamespace(get_logger=lambda: logger, resolve_topic_name=lambda name: f"/{name}")
    recording = Recording(node, BagWriter(tmp_path / "bag", reserve_bytes=0))
    monkeypatch.setattr(recording_module, "RESUME_PERIOD_S", 0.0)
    monkeypatch.setattr(recording_module, "FLUSH_PERIOD_S", 0.0 if where == "a flush" else 1e9)

    def add(k, size):
        recording.add("words", String(data=f"{k:03}" + "x" * size), "std_msgs/msg/String", START_NS + k * 10**6)

    add(0, 300_000)  # a chunk
    with files_of_at_most(1000):
        for k in range(1, 4):
            add(k, 10 if where == "the end" else 300_000)
        if where == "the end":
            recording.close()
        assert "File too large; nothing is recorded until there is room" in recording.problem
    assert recording.unwritten_s > 0
    add(5, 10)
    assert recording.problem == "" and "the disk has room again: recording continues" in said[-1]
    recording.close()
    assert "s are missing: the disk was full" in recording.summary()
    with Bag(tmp_path / "bag") as bag:
        heard = [bag.decode(message).data[:3] for message in bag.messages()]
    assert heard[0] == "000" and heard[-1] == "005"


def test_a_long_recording_is_as_large_in_memory_as_its_first_files(tmp_path):
    writer = BagWriter(tmp_path / "bag", split_bytes=1 << 20, reserve_bytes=0)
    writer.add_topic("/words", "std_msgs/msg/String")
    data, sizes = bytes(20_000), []
    tracemalloc.start()
    try:
        for k in range(1, 1041):
            writer.write("/words", START_NS + k, data)
            if k in (260, 1040):  # 5 and 20 files
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    writer.close()
    assert len(list((tmp_path / "bag").glob("*.mcap"))) >= 18
    assert sizes[1] - sizes[0] < 15 * 2000 + len(data) * 14, "a line for a file, and a chunk that is not full"


def test_a_folder_that_is_there_is_not_written_into(tmp_path):
    with pytest.raises(BagError, match="expected a new folder"):
        BagWriter(tmp_path)


def test_the_stamp_is_read_from_the_bytes(tmp_path):
    record(tmp_path / "bag", seconds=1).writer.close()
    with Bag(tmp_path / "bag") as bag:
        for message in bag.messages():
            stamp = bag.decode(message).header.stamp
            assert cdr_stamp_ns(message.data) == stamp.sec * 10**9 + stamp.nanosec == message.time_ns


def test_topics_are_found_with_and_without_a_namespace(tmp_path):
    recorder = Recorder(tmp_path / "bag")
    recorder.joints(START_NS, ("a",), (1.0,), topic="/left/joint_states")
    recorder.joints(START_NS, ("a",), (1.0,), topic="/left/arm/state")
    recorder.joints(START_NS, ("a",), (1.0,), topic="/right/arm/state")
    recorder.writer.close()
    with Bag(tmp_path / "bag") as bag:
        assert bag.topic("joint_states").name == bag.topic("/left/joint_states").name == "/left/joint_states"
        with pytest.raises(BagError, match="more than one topic ends with /arm/state"):
            bag.topic("arm/state")
        with pytest.raises(BagError, match="topic /camera is missing; it has /left/arm/state"):
            bag.topic("camera")


@pytest.mark.skipif(not (DATA / "aerial_servo").is_dir(), reason="the recordings in ../shared/data are not here")
@pytest.mark.parametrize(("name", "count"), [("ros2bag_ats_2025-12-03_09-49-08", 28083), ("ros2bag_static_ats_invz", 11321)])
def test_recordings_of_others_are_read(name, count):
    """MCAP and sqlite3; types that are installed nowhere here, topics without messages."""
    with Bag(DATA / "aerial_servo" / name) as bag:
        assert bag.count == count and not bag.damage
        assert sum(1 for _ in bag.messages()) == count
        states = [bag.decode(m) for m in bag.messages(["/servo/out/state"])]
    assert len(states) == bag.topics["/servo/out/state"].count > 0
