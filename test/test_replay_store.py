"""The frame store: what it keeps, refuses, finds damaged and survives."""

import json
import os
import zlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from full_disk import files_of_at_most
from replay_cases import SPACES, VARIANTS, WRIST, make_episode, make_transition, same, with_stacks
from scipy import stats

from jsac_ros.config import NoRoom
from jsac_ros.replay.episodes import Episodes
from jsac_ros.replay.format import StoreError
from jsac_ros.replay.store import FrameStore
from jsac_ros.spaces import VectorSpace
from jsac_ros.types import empty_batch

GAMMA = 0.9


def filled(folder, transitions, capacity=50, spaces=SPACES):
    store = FrameStore.open(folder, spaces, capacity)
    for transition in transitions:
        store.append(transition)
    return store


def test_uniform_sampling_is_uniform_over_the_valid_ones(tmp_path):
    store, sequence = FrameStore.open(tmp_path, SPACES, 60), 0
    for episode in range(9):
        for transition in make_episode(5 + episode, sequence, episode=episode, terminal=episode % 2 == 0):
            store.append(transition)
            sequence += 1
    batch, rng, counts = empty_batch(SPACES, 500), np.random.default_rng(1), np.zeros(60, int)
    for _ in range(200):
        assert store.sample_into(rng, batch)
        counts += np.bincount((batch.index - 1) % 60, minlength=60)
    valid = np.zeros(60, bool)
    valid[store.links.valid.slots] = True
    assert counts[~valid].sum() == 0
    assert stats.chisquare(counts[valid]).pvalue > 1e-3
    store.close()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_transition_comes_back_as_it_was_and_numpy_alone_reads_the_files(tmp_path, variant):
    spaces = VARIANTS[variant]
    transitions = make_episode(20, spaces=spaces)
    store = filled(tmp_path, transitions, spaces=spaces)
    assert all(same(store.transition(slot), t) for slot, t in enumerate(transitions))
    store.close()
    rows = np.load(tmp_path / "rows.npy")
    assert rows["sequence"][:21].tolist() == list(range(21)) and rows["number"][21:].max() == 0
    for image in spaces.images:
        frames = np.load(tmp_path / f"frames_{image.name}.npy", mmap_mode="r")
        np.testing.assert_array_equal(frames[:21], [t.frames[image.name] for t in transitions])
    for column, field in (("observation", "vectors"), ("action", "action"), ("executed", "executed")):
        for name in getattr(transitions[0], field):
            np.testing.assert_array_equal(
                rows[f"{column}/{name}"][:21], [getattr(t, field)[name] for t in transitions], err_msg=name
            )
    for source in spaces.sources:
        assert rows[f"stamp_ns/{source}"][3] == transitions[3].source_stamps_ns[source]
    assert rows["intervened"][:21].tolist() == [t.intervened for t in transitions]


def test_a_return_of_n_steps_ends_where_a_person_takes_over_or_hands_back(tmp_path):
    hands = [False, False, True, True, True, False, False, False]
    transitions = [t._replace(intervened=hand, reward=1.0) for t, hand in zip(make_episode(7), hands, strict=True)]
    store = filled(tmp_path, transitions)
    batch = empty_batch(SPACES, 7, n_step=3)
    store.gather(np.arange(7), batch, 3, GAMMA)
    steps = [2, 1, 3, 2, 1, 2, 1]  # of the return, up to three
    np.testing.assert_allclose(batch.reward, [sum(GAMMA**k for k in range(m)) for m in steps], rtol=1e-6)
    np.testing.assert_allclose(batch.discount, [GAMMA**m for m in steps], rtol=1e-6)
    after = [transitions[k + m] for k, m in enumerate(steps)]
    np.testing.assert_array_equal(batch.next_vectors["joint_position"], [t.vectors["joint_position"] for t in after])
    np.testing.assert_array_equal(batch.frames["wrist"][:, -1], [t.frames["wrist"] for t in after])
    store.close()


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(frames={"wrist": np.zeros((4, 4, 3), np.uint8)}), "frame 'wrist' is uint8[4, 4, 3]; expected uint8[4, 5, 3]"),
        (dict(frames={}), "frame 'wrist' is missing; expected wrist"),
        (dict(vectors={"joint_position": np.zeros(4, np.float32)}), "observation 'joint_position' is float32[4]"),
        (dict(vectors={"joint_position": np.zeros(3)}), "observation 'joint_position' is float64[3]"),
        (dict(vectors={"joint_position": np.array([0, np.inf, 0], np.float32)}), "'joint_position' is not finite"),
        (dict(action={"arm": np.array([np.nan, 0], np.float32)}), "action 'arm' is not finite"),
        (dict(action={"base": np.zeros(2, np.float32)}), "action 'arm' is missing; expected arm"),
        (dict(executed={"arm": np.zeros(3, np.float32)}), "executed 'arm' is float32[3]; expected float32[2]"),
        (dict(source_stamps_ns={"joints": 0, "wrist": 0, "wrench": 0}), "source 'wrench' is unknown; expected joints, wrist"),
        (dict(source_stamps_ns={"joints": 0, "wrist": 2**70}), "stamp_ns/wrist is"),
        (dict(reward=float("nan")), "reward is nan"),
        (dict(reward=1e300), "reward is 1e+300"),
        (dict(lateness_s=float("inf")), "lateness_s is inf"),
        (dict(mask=2.0), "mask is 2.0"),
        (dict(step=1), "is_first is True"),
        (dict(episode=2**32), "episode is 4294967296; expected 0..4294967295"),
        (dict(session=-1), "session is -1"),
        (dict(robot="x" * 33), "robot's name"),
        (dict(robot="\ud800"), "robot's name"),
    ],
)
def test_a_malformed_transition_is_refused_by_name(tmp_path, change, message):
    store = FrameStore.open(tmp_path, SPACES, 10)
    with pytest.raises(ValueError) as refused:
        store.append(make_transition()._replace(**change))
    assert message in str(refused.value) and "\n" not in str(refused.value)
    assert store.stored == 0
    store.append(make_transition())
    store.close()


def test_transitions_that_go_back_are_refused_and_clocks_that_jump_are_not(tmp_path):
    transitions = [t._replace(stamp_ns=10**18 if t.step % 2 else -5) for t in make_episode(5)]
    store = filled(tmp_path, transitions)
    assert store.valid_count == 5
    for wrong in (
        make_transition(sequence=6, episode=0, step=3),  # behind
        make_transition(sequence=6, episode=0, step=9),  # after its last
        make_transition(sequence=2, episode=1, step=0),  # sequence behind
    ):
        with pytest.raises(ValueError, match="expected a later one"):
            store.append(wrong)
    store.append(make_transition(sequence=6, episode=1))
    assert store.stored == 7
    store.close()


def test_stores_that_must_not_be_opened(tmp_path):
    folder = tmp_path / "store"
    store = FrameStore.open(folder, SPACES, 10)
    with pytest.raises(StoreError, match="another process has it open"):
        FrameStore.open(folder, SPACES, 10)
    with pytest.raises(StoreError, match="is writing to it; expected a snapshot"):
        FrameStore.read(folder, exclude_writers=True)
    store.close()
    with pytest.raises(StoreError, match="capacity is 10; expected 11"):
        FrameStore.open(folder, SPACES, 11)
    header = json.loads((folder / "store.json").read_text())
    del header["crc32"]
    for version in (1, 2, "three"):
        other = header | {"version": version}
        other["crc32"] = zlib.crc32(json.dumps(other, sort_keys=True).encode())
        (folder / "store.json").write_text(json.dumps(other))
        with pytest.raises(StoreError, match=f"version {version!r} is not read; expected 'jsac-replay' version 3"):
            FrameStore.open(folder, SPACES, 10)
    (folder / "store.json").write_text(json.dumps(header))  # damaged: written again
    FrameStore.open(folder, SPACES, 10).close()
    (folder / "rows.npy").write_bytes((folder / "rows.npy").read_bytes()[:-8])
    with pytest.raises(StoreError, match="rows.npy: has .* bytes; expected"):
        FrameStore.open(folder, SPACES, 10)
    with pytest.raises(StoreError, match="expected at least 5"):
        FrameStore.open(tmp_path / "other", SPACES, 4)
    for name, size, message in (("large", 10**4, "GB free"), ("larger", 10**6, "no room for 1000000 transitions")):
        spaces = replace(SPACES, images=(replace(WRIST, height=size, width=size),))
        with pytest.raises(StoreError, match=message):
            FrameStore.open(tmp_path / name, spaces, size)


def test_a_store_of_other_spaces_is_refused_by_the_names_that_differ(tmp_path):
    FrameStore.open(tmp_path, SPACES, 10).close()
    wrench = VectorSpace("wrench", 6)
    for other, message in (
        (replace(SPACES, images=(replace(WRIST, width=6),)), "image 'wrist': width is 5, expected 6"),
        (replace(SPACES, images=()), "image 'wrist' is not expected"),
        (replace(SPACES, vectors=(*SPACES.vectors, wrench)), "vector 'wrench' is missing"),
        (replace(SPACES, vectors=(replace(SPACES.vectors[0], unit="deg"),)), "unit is 'rad', expected 'deg'"),
        (replace(SPACES, actions=(replace(SPACES.actions[0], size=3),)), "action 'arm': size is 2, expected 3"),
        (replace(SPACES, sources=("joints",)), "sources are joints, wrist; expected joints"),
    ):
        for opened in (lambda spaces=other: FrameStore.open(tmp_path, spaces, 10),
                       lambda spaces=other: FrameStore.read(tmp_path, spaces)):  # fmt: skip
            with pytest.raises(StoreError, match=message):
                opened()
    FrameStore.open(tmp_path, with_stacks(SPACES, 4), 10).close()  # stacks are made when they are sampled


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="expected a writable folder"):
        FrameStore.open(tmp_path / "file" / "store", SPACES, 10)
    with pytest.raises(StoreError, match="no replay store"):
        FrameStore.read(tmp_path / "file" / "store")


def test_a_flipped_byte_is_found_and_after_a_power_loss_cut_out(tmp_path):
    store = filled(tmp_path, make_episode(20), capacity=30)
    frame = store.transition(7).frames["wrist"]
    frame[1, 2, 0] ^= 1
    store._frames.write(7, {"wrist": frame})
    assert store.damaged() == [7]
    with pytest.raises(StoreError, match="slot 7 is damaged"):
        store.transition(7)
    store.close()
    store = FrameStore.open(tmp_path, SPACES, 30)  # only a process died: what the kernel holds is whole
    assert store.stored == 21
    store.close()
    for boot in (b"another boot\n", b"\xff\xfe\x00"):
        (tmp_path / "boot").write_bytes(boot)
        store = FrameStore.open(tmp_path, SPACES, 30)
        assert store.damaged() == [] and set(store.live_slots()) == set(range(21)) - {7}
        store.close()


def test_a_full_disk_is_an_error_that_passes(tmp_path):
    """The limit of a file's size stands for the disk: the same call fails in the same way."""
    import resource
    import signal

    spaces = replace(SPACES, images=(replace(WRIST, height=64, width=64),))
    transitions = make_episode(19, spaces=spaces)
    store = filled(tmp_path, transitions[:5], capacity=20, spaces=spaces)
    frame = transitions[0].frames["wrist"]
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (128 + 5 * frame.size + 100, hard))
    try:
        with pytest.raises(OSError):
            store.append(transitions[5])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert store.stored == 5 and store.valid_count == 4
    for transition in transitions[5:]:
        store.append(transition)
    assert store.stored == 20 and store.damaged() == []
    store.close()


def test_a_store_that_is_read_is_a_picture_of_one_moment(tmp_path):
    store = filled(tmp_path, make_episode(40), capacity=40)
    seen = FrameStore.read(tmp_path)
    for transition in make_episode(10, 41, episode=1):
        store.append(transition)
    assert seen.count == 41 and seen.transition(20).sequence == 20
    with pytest.raises(StoreError, match="overwritten meanwhile"):
        seen.transition(5)
    assert seen.damaged() == []
    store.close()


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_the_newest_observation_is_stacked_within_its_episode(tmp_path, steps):
    spaces = VARIANTS["two images of two stacks"]
    episodes = [make_transition(spaces, sequence=k, step=k, is_last=k == 3) for k in range(4)]
    episodes += [make_transition(spaces, sequence=4 + k, episode=1, step=k) for k in range(steps)]
    store = FrameStore.open(tmp_path, spaces, 64)
    assert Episodes(tmp_path).newest_observation() is None
    for transition in episodes:
        store.append(transition)
    number, seen = Episodes(tmp_path).newest_observation()
    assert number == len(episodes) and set(seen) == {"wrist", "scene", "joint_position"}
    for image in spaces.images:
        own = [t.frames[image.name] for t in episodes[4:]][-image.stack :]
        own = [own[0]] * (image.stack - len(own)) + own
        np.testing.assert_array_equal(seen[image.name], np.concatenate(own, axis=-1))
    np.testing.assert_array_equal(seen["joint_position"], episodes[-1].vectors["joint_position"])
    store.close()


def test_of_a_stream_without_a_row_nothing_is_kept(tmp_path):
    """Whoever may publish here can invent one with every message."""
    store = FrameStore.open(tmp_path, SPACES, 10)
    for k in range(50):
        store.append(make_transition(session=7, sequence=k, step=k))
        store.append(make_transition(session=1000 + k))
    assert len(store.next_sequences()) == 6 and store.next_sequences()["ur5", 7] == 50
    assert store.previous_of(make_transition(session=7, sequence=50, step=50)) == 8
    store.close()


def test_a_store_is_opened_on_a_full_disk_and_grows_when_there_is_room(tmp_path, monkeypatch):
    """As a replay does that was killed meanwhile."""
    spaces = replace(SPACES, images=(replace(WRIST, height=64, width=64),))
    transitions = make_episode(19, spaces=spaces)
    filled(tmp_path, transitions[:5], capacity=40, spaces=spaces).close()
    disk = os.statvfs(tmp_path)
    full = SimpleNamespace(f_bavail=0, f_frsize=disk.f_frsize)
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    with files_of_at_most(1):
        for reboots in (False, True):
            if reboots:
                os.truncate(tmp_path / "boot", 0)
            store = FrameStore.open(tmp_path, spaces, 40)
            assert store.stored == 5 and store.damaged() == []
            with pytest.raises(OSError):
                store.append(transitions[5])
            store.close()
        with pytest.raises(NoRoom, match="no room for 40 transitions|expected room on its disk"):
            FrameStore.open(tmp_path / "new", spaces, 40)
    with pytest.raises(NoRoom, match="0.0 GB free"):
        FrameStore.open(tmp_path / "new", spaces, 40)
    monkeypatch.undo()
    store = FrameStore.open(tmp_path, spaces, 40)
    for transition in transitions[5:]:
        store.append(transition)
    assert store.stored == len(transitions)
    store.close()
