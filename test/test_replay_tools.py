"""`jsac-ros replay` and `jsac-ros export`: copies, merges, exports and finds what is damaged."""

import json
import subprocess
import sys
import threading

import numpy as np
import pytest
from replay_cases import SPACES, VARIANTS, make_episode, make_transition, same, with_stacks

from jsac_ros.__main__ import main
from jsac_ros.replay import copies
from jsac_ros.replay.format import StoreError, row_type
from jsac_ros.replay.records import priorities
from jsac_ros.replay.store import FrameStore

TWO = VARIANTS["two images of two stacks"]


def fill(folder, transitions, capacity=100, spaces=SPACES):
    store = FrameStore.open(folder, spaces, capacity)
    for transition in transitions:
        store.append(transition)
    return store


def two_episodes(spaces=SPACES):
    return make_episode(10, terminal=True, spaces=spaces) + make_episode(6, 11, episode=1, spaces=spaces)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_snapshot_is_the_store(tmp_path, variant):
    spaces = VARIANTS[variant]
    both = make_episode(40, spaces=spaces) + make_episode(40, 41, episode=1, spaces=spaces)
    store = fill(tmp_path / "a", both, capacity=50, spaces=spaces)
    store.counters["batches"] = 7
    store.set_priorities(np.array([60]), np.array([2.5], np.float32))
    assert copies.snapshot(tmp_path / "a", tmp_path / "b") == 50
    copy = FrameStore.open(tmp_path / "b", spaces, 50)  # restored: it continues where it was
    np.testing.assert_array_equal(copy.links.valid.contains(np.arange(50)), store.links.valid.contains(np.arange(50)))
    assert copy.count == store.count and copy.counters["batches"] == 7
    assert priorities(copy.records)[59 % 50] == 2.5
    following = make_transition(spaces, sequence=82, episode=2)
    assert copy.append(following) == store.append(following)
    assert copies.problems(tmp_path / "b") == []
    assert main(["replay", "snapshot", str(tmp_path / "b"), str(tmp_path / "c")]) == 0
    assert copies.problems(tmp_path / "c") == []
    with pytest.raises(StoreError, match="expected a new folder"):
        copies.snapshot(tmp_path / "a", tmp_path / "b")
    copy.close()
    store.close()


def test_a_snapshot_of_a_store_in_use_is_whole(tmp_path):
    store, stop, sequence = fill(tmp_path / "a", [], spaces=TWO), threading.Event(), 0

    def made(k):
        return make_transition(TWO, sequence=k, episode=k // 20, step=k % 20, is_last=k % 20 == 19)

    def write():
        nonlocal sequence
        while not stop.is_set():
            store.append(made(sequence))
            sequence += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(2):
            copies.snapshot(tmp_path / "a", tmp_path / str(number))
            copy = FrameStore.read(tmp_path / str(number))
            assert copy.damaged() == []
            for slot in copy.live_slots():
                transition = copy.transition(slot)
                assert same(transition, made(transition.sequence))
    finally:
        stop.set()
        writer.join()
    store.close()


def test_merging_joins_what_was_cut_and_drops_what_is_there_twice(tmp_path):
    transitions = two_episodes()
    fill(tmp_path / "a", transitions[:9]).close()
    fill(tmp_path / "b", transitions[6:]).close()
    fill(tmp_path / "c", make_episode(5, robot="other"), spaces=with_stacks(SPACES, 1)).close()
    assert main(["replay", "merge", *(str(tmp_path / x) for x in "abcd")]) == 0
    merged = FrameStore.read(tmp_path / "d")
    assert merged.stored == 24 and merged.valid_count == 21 and copies.problems(tmp_path / "d") == []
    FrameStore.open(tmp_path / "e", TWO, 20).close()
    with pytest.raises(StoreError, match="image 'scene' is not expected"):
        copies.merge([tmp_path / "a", tmp_path / "e"], tmp_path / "f")
    store = FrameStore.open(tmp_path / "a", SPACES, 100)
    store._frames.write(3, {"wrist": transitions[4].frames["wrist"]})
    store.close()
    assert copies.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "g") == copies.Merged(17, 3, 1)


def test_verify_finds_any_flipped_byte(tmp_path, capsys):
    store = fill(tmp_path, two_episodes(TWO), capacity=20, spaces=TWO)
    store.set_priorities(np.arange(1, 10), np.ones(9, np.float32))
    store.close()
    assert main(["replay", "verify", str(tmp_path)]) == 0
    sizes = {"rows.npy": row_type(TWO).itemsize, "frames_wrist.npy": 60, "frames_scene.npy": 6}
    rng = np.random.default_rng(0)
    for name, size in sizes.items():
        clean = (tmp_path / name).read_bytes()
        first = len(clean) - 20 * size
        for place in rng.integers(0, 18 * size, 100):
            broken = bytearray(clean)
            broken[first + place] ^= 1 << rng.integers(8)
            (tmp_path / name).write_bytes(broken)
            assert copies.problems(tmp_path), f"{name} byte {place}, field byte {place % size}"
        (tmp_path / name).write_bytes(clean)
    assert main(["replay", "verify", str(tmp_path)]) == 0
    header = (tmp_path / "store.json").read_text()
    (tmp_path / "store.json").write_text(header.replace('"stack": 3', '"stack": 2'))
    assert main(["replay", "verify", str(tmp_path)]) == 2
    assert "header is damaged" in capsys.readouterr().err


def test_info_describes_what_is_there(tmp_path, capsys):
    store = fill(tmp_path, two_episodes(TWO), spaces=TWO)
    assert main(["replay", "info", str(tmp_path), "--json"]) == 0  # while it is in use
    found = json.loads(capsys.readouterr().out)
    assert (found["stored"], found["valid"], found["capacity"]) == (18, 16, 100)
    assert found["intervened"] == sum(t.intervened for t in two_episodes())
    assert found["streams"] == [{"robot": "ur5", "session": 1, "transitions": 18, "episodes": 2, "sequence": 17}]
    assert [image["name"] for image in found["spaces"]["images"]] == ["scene", "wrist"]
    assert main(["replay", "info", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "18 transitions of 2 episodes" in printed and "image        wrist: 4 x 5 x 3, stack 3" in printed
    assert main(["replay", "info", str(tmp_path / "none")]) == 2
    assert "no replay store" in capsys.readouterr().err
    store.close()


def test_the_command_line_says_how_it_is_used():
    result = subprocess.run([sys.executable, "-m", "jsac_ros", "replay", "--help"], capture_output=True, text=True)
    assert result.returncode == 0 and "snapshot" in result.stdout
