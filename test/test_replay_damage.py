"""Any one flipped bit in a store costs the row that it is in, at most, and garbage in a file is one line."""

import json
import os
import shutil
import zlib
from dataclasses import replace

import numpy as np
import pytest
from replay_cases import VARIANTS, make_episode, make_transition, same

from jsac_ros.replay import copies, counters
from jsac_ros.replay import format as files
from jsac_ros.replay.format import StoreError, row_type
from jsac_ros.replay.records import complete, priority_fits
from jsac_ros.replay.store import FrameStore

CAPACITY = 16  # a power of two: a flipped bit of `number` leaves the row in its slot
SPACES = VARIANTS["two images of two stacks"]
SENT = make_episode(19, spaces=SPACES)
DATA = {  # bytes of the array in each file
    "rows.npy": CAPACITY * row_type(SPACES).itemsize, "frames_scene.npy": CAPACITY * 6,
    "frames_wrist.npy": CAPACITY * 60, "counters.npy": 2 * counters.RECORD.itemsize,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    store = FrameStore.open(tmp_path / "store", SPACES, CAPACITY)
    for transition in SENT:
        store.append(transition)
    store.set_priorities(np.arange(1, 19), np.ones(18, np.float32))
    store.counters["batches"], store.counters["lost"] = 700, 3
    store.close()
    return tmp_path / "store"


def held(store):
    """Sequence numbers of what is there, each transition as it was sent."""
    found = [store.transition(slot) for slot in store.live_slots()]
    assert all(same(transition, SENT[transition.sequence]) for transition in found)
    return {transition.sequence for transition in found}


def test_a_flipped_bit_in_a_row_costs_that_row(folder):
    records = np.array(FrameStore.read(folder).records)
    size, content = records.itemsize, records.view("u1")
    for slot in (0, 3, 4, 15):  # of rows 17, 20 (the newest), 5 (the oldest) and 16
        expected = np.arange(CAPACITY) != slot
        for place in range(size):
            for bit in range(8):
                content[slot * size + place] ^= 1 << bit
                whole = complete(records)
                if 8 <= place < 16:  # the priority, which every update changes, has a check of its own
                    assert whole.all() and (priority_fits(records) == expected).all()
                else:
                    assert (whole == expected).all(), f"slot {slot} byte {place} bit {bit}"
                content[slot * size + place] ^= 1 << bit


def test_a_store_opens_with_any_flipped_bit_and_without_one_row_at_most(folder):
    rng = np.random.default_rng(0)
    everything = set(range(4, 20))
    for name in ("rows.npy", "counters.npy", "store.json", "boot"):
        path = folder / name
        good = path.read_bytes()
        for place in rng.integers(0, len(good), 60 if name == "rows.npy" else 20):
            path.write_bytes(good[:place] + bytes([good[place] ^ 1 << rng.integers(8)]) + good[place + 1 :])
            store = FrameStore.open(folder, SPACES, CAPACITY)
            assert len(held(store)) >= CAPACITY - (name == "rows.npy") and held(store) <= everything
            store.close()
            path.write_bytes(good)


@pytest.mark.parametrize("name", DATA)
def test_the_head_of_an_array_is_for_other_readers(folder, name):
    head = (folder / name).stat().st_size - DATA[name]
    with open(folder / name, "r+b") as file:
        file.write(os.urandom(head))
    assert held(FrameStore.read(folder)) == set(range(4, 20))


def test_a_damaged_header_is_written_again_where_all_else_fits(folder):
    good = (folder / "store.json").read_bytes()
    (folder / "store.json").write_bytes(b"{")
    with pytest.raises(StoreError, match="header is damaged"):
        FrameStore.read(folder)  # nothing says here what it should be
    wrist = replace(SPACES.images[1], height=5, width=4)  # as many bytes
    with pytest.raises(StoreError, match="header is damaged"):
        FrameStore.open(folder, replace(SPACES, images=(SPACES.images[0], wrist)), CAPACITY)
    FrameStore.open(folder, SPACES, CAPACITY).close()
    assert (folder / "store.json").read_bytes() == good


def test_a_flipped_bit_in_the_counters_costs_the_last_change(folder):
    records = np.array([(1, 0, 0, 0, 700, 0), (2, 3, 0, 0, 700, 0)], counters.RECORD)
    for record in records:
        record["checksum"] = counters._checksum(record)
    content = records.view("u1")
    for place in range(len(content)):
        for bit in range(8):
            content[place] ^= 1 << bit
            found = counters.Counters(records)
            assert found["batches"] == 700 and found["lost"] in (0, 3) and not found.damaged
            content[place] ^= 1 << bit
    content[:] = 7
    found = counters.Counters(records)
    assert found.damaged and [found[name] for name in counters.NAMES] == [0] * 4


def test_whatever_is_in_the_file_of_the_boot_nothing_is_lost(folder):
    for text in (b"", b"\xff\xfe\0", b"another boot\n", bytes(10**6)):
        (folder / "boot").write_bytes(text)
        store = FrameStore.open(folder, SPACES, CAPACITY)
        assert store.stored == CAPACITY and store.damaged() == []
        store.close()


@pytest.mark.parametrize("name", [*DATA, "store.json", "boot"])
@pytest.mark.parametrize("kind", ["nothing", "garbage", "a folder", "another array", "gone", "nested", "huge"])
def test_garbage_is_one_line_or_an_empty_store(folder, name, kind):
    path = folder / name
    size = path.stat().st_size
    path.unlink()
    if kind == "a folder":
        path.mkdir()
    elif kind == "another array":
        with open(path, "wb") as file:
            np.savez(file, a=np.zeros(3), b=np.array([{}], object))
    elif kind == "huge":
        path.touch()
        os.truncate(path, 10**13)
    elif kind != "gone":
        path.write_bytes({"nothing": b"", "garbage": os.urandom(size), "nested": b"[" * 10**6}[kind])
    if kind == "gone" and name == "store.json":
        return  # no store: made anew
    for open_store in (FrameStore.read, lambda at: FrameStore.open(at, SPACES, CAPACITY)):
        try:
            store = open_store(folder)
        except StoreError as error:
            assert "\n" not in str(error)
            continue
        assert store.stored in (0, CAPACITY)
        if not store.read_only:
            store.append(make_transition(SPACES, sequence=100, episode=50))
            store.close()


@pytest.mark.parametrize("capacity", [10**18, -1, 2.5, "many", None, [[]]])
def test_a_header_that_fits_its_checksum_and_is_nonsense_is_one_line(folder, capacity):
    files.write_header(folder, SPACES, capacity)
    with pytest.raises(StoreError, match="expected a capacity"):
        FrameStore.read(folder)


def test_a_copy_of_a_store_with_a_damaged_row_leaves_it_out(folder, tmp_path):
    store = FrameStore.open(folder, SPACES, CAPACITY)
    store.rows["number"][2] += 2**20
    store.close()
    assert copies.snapshot(folder, tmp_path / "copy") == CAPACITY - 1
    assert copies.problems(folder) == ["slot 2: checksum does not fit what it holds", "row 19: missing"]
    shutil.rmtree(tmp_path / "copy")


def test_a_header_of_nonsense_spaces_is_one_line(folder):
    header = json.loads((folder / "store.json").read_text())
    del header["crc32"]
    image = header["spaces"]["images"][0]
    for spaces in (
        None, {}, header["spaces"] | {"images": [image | {"height": 10**9}]}, header["spaces"] | {"images": 3},
        header["spaces"] | {"vectors": [{"name": f"v{k}", "size": 10**8} for k in range(99)]},
    ):  # fmt: skip
        other = header | {"spaces": spaces}
        other["crc32"] = zlib.crc32(json.dumps(other, sort_keys=True).encode())
        (folder / "store.json").write_text(json.dumps(other))
        for opened in (FrameStore.read, lambda at: FrameStore.open(at, SPACES, CAPACITY)):
            with pytest.raises(StoreError, match="expected") as refused:
                opened(folder)
            assert "\n" not in str(refused.value)
