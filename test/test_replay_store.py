"""The frame store against a naive list of transitions, whatever actors, gaps, kills and wraps do to it."""

import json
import os
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replay_cases import SPEC, make_batch, make_episode, make_step, same_step
from scipy import stats

from jsac_ros.replay.format import StoreError
from jsac_ros.replay.store import FrameStore

GAMMA = 0.9


class Oracle:
    """Every step that was acknowledged, in order, and what a batch must hold, straight from the definitions."""

    def __init__(self, capacity, stack, n_step):
        self.capacity, self.stack, self.n_step = capacity, stack, n_step
        self.steps, self.gone = {}, set()  # row number 1, 2, ... -> Step; rows that a kill has cost

    def live(self):
        newest = max(self.steps, default=0)
        return {n: s for n, s in self.steps.items() if n > newest - self.capacity and n not in self.gone}

    def transitions(self):
        """Row number -> the fields of a batch that a transition starting there must give."""
        live = self.live()
        place = {(s.robot, s.session, s.episode, s.step): s for s in live.values()}
        found = {}
        for number, step in live.items():

            def at(k):
                return place.get((step.robot, step.session, step.episode, k))

            history = [at(max(0, step.step - back)) for back in reversed(range(self.stack))]
            if at(step.step + 1) is None or None in history:
                continue
            found[number] = self._fields(step, at, history)
        return found

    def _fields(self, step, at, history):
        reward, discount, k = 0.0, 1.0, step.step
        while k < step.step + self.n_step and at(k + 1) is not None and discount > 0:
            reward += discount * at(k).reward
            discount *= GAMMA * at(k).mask
            k += 1
        following = [at(max(0, k - back)) for back in reversed(range(self.stack))]
        stacks = history + (following[-1:] if self.n_step == 1 else following)
        return {
            "frames": np.stack([s.frame for s in stacks]), "proprioception": step.proprioception,
            "next_proprioception": at(k).proprioception, "action": step.action, "reward": np.float32(reward),
            "discount": np.float32(discount),
        }  # fmt: skip


def assert_equals_oracle(store, oracle):
    expected = oracle.transitions()
    slots = np.sort(store.links.valid.slots)
    assert sorted(store.rows["number"][slots].tolist()) == sorted(expected)
    if len(slots) == 0:
        return
    batch = make_batch(store.spec, len(slots), oracle.n_step)
    store.gather(slots, batch, oracle.n_step, GAMMA)
    for row, number in enumerate(batch.index.tolist()):
        for name, value in expected[number].items():
            compare = np.testing.assert_allclose if name in ("reward", "discount") else np.testing.assert_array_equal
            compare(getattr(batch, name)[row], value, err_msg=f"{name} of row {number}")


def abandon(store):
    """As `kill -9` leaves it: nothing is written, the kernel takes the lock back."""
    os.close(store._lock_file)
    os.close(store._frame_file)


def tear(store, rng):
    """A kill in the middle of `append`: the slot has no number, and anything may stand in the rest of it."""
    slot = store.count % store.capacity
    number = int(store.rows["number"][slot])
    garbage = rng.integers(0, 256, store.records[slot : slot + 1].nbytes, np.uint8)
    store.records[slot : slot + 1] = garbage.view(store.records.dtype)
    store.rows["number"][slot] = 0
    store._write_frame(slot, rng.integers(0, 256, store.spec.frame_shape, np.uint8))
    return number


class Actor:
    """One robot: its own sessions, episodes and sequence numbers."""

    def __init__(self, robot):
        self.robot, self.session, self.sequence, self.episode, self.step = robot, 1, 0, 0, 0

    def next_step(self, spec, is_last=False, mask=1.0):
        step = make_step(spec, self.robot, self.session, self.sequence, self.episode, self.step, is_last, mask)
        self.sequence, self.step = self.sequence + 1, self.step + 1
        if is_last:
            self.episode, self.step = self.episode + 1, 0
        return step


operation = st.one_of(
    st.tuples(st.just("steps"), st.integers(1, 6)),
    st.tuples(st.just("end"), st.booleans()),  # terminal or not
    st.tuples(st.just("gap"), st.integers(1, 3)),
    st.tuples(st.just("restart actor"), st.just(0)),
    st.tuples(st.just("restart replay"), st.booleans()),  # cleanly or not
    st.tuples(st.just("kill while writing"), st.integers(0, 2**31)),
)


@settings(max_examples=80, deadline=None)
@given(
    capacity=st.integers(6, 40), stack=st.integers(1, 4), n_step=st.integers(1, 4),
    operations=st.lists(st.tuples(st.integers(0, 2), operation), min_size=1, max_size=60),
)  # fmt: skip
def test_whatever_happens_batches_equal_the_oracles(tmp_path_factory, capacity, stack, n_step, operations):
    spec = SPEC._replace(stack=stack)
    folder = tmp_path_factory.mktemp("store")
    store, oracle = FrameStore.open(folder, spec, capacity), Oracle(capacity, stack, n_step)
    actors = [Actor(f"robot{i}") for i in range(3)]

    def append(step):
        number = store.append(step) + 1
        oracle.steps[number] = step
        oracle.gone.discard(number)

    for who, (what, value) in operations:
        actor = actors[who]
        if what == "steps":
            for _ in range(value):
                append(actor.next_step(spec))
        elif what == "end" and actor.step:
            if value:
                append(actor.next_step(spec, mask=0.0))
            append(actor.next_step(spec, is_last=True))
        elif what == "gap":
            for _ in range(value):
                actor.next_step(spec)
        elif what == "restart actor":
            actor.session, actor.sequence, actor.episode, actor.step = actor.session + 1, 0, 0, 0
        elif what == "restart replay":
            store.close() if value else abandon(store)
            store = FrameStore.open(folder, spec, capacity)
        elif what == "kill while writing":
            oracle.gone.add(tear(store, np.random.default_rng(value)))
            abandon(store)
            store = FrameStore.open(folder, spec, capacity)
        assert store.valid_count == len(oracle.transitions())
    assert_equals_oracle(store, oracle)
    assert store.damaged() == []
    assert [store.step(slot).sequence for slot in store.live_slots()] == [s.sequence for s in oracle.live().values()]
    store.close()
    shutil.rmtree(folder)


def test_uniform_sampling_is_uniform_over_the_valid_ones(tmp_path):
    store = FrameStore.open(tmp_path, SPEC, 60)
    sequence = 0
    for episode in range(9):
        for step in make_episode(5 + episode, sequence, episode=episode, terminal=episode % 2 == 0):
            store.append(step)
            sequence += 1
    batch, rng, counts = make_batch(batch_size=500), np.random.default_rng(1), np.zeros(60, int)
    for _ in range(200):
        assert store.sample_into(rng, batch)
        counts += np.bincount((batch.index - 1) % 60, minlength=60)
    valid = np.zeros(60, bool)
    valid[store.links.valid.slots] = True
    assert counts[~valid].sum() == 0
    assert stats.chisquare(counts[valid]).pvalue > 1e-3
    store.close()


def test_a_step_comes_back_as_it_was_and_numpy_alone_reads_the_files(tmp_path):
    steps = make_episode(20)
    store = FrameStore.open(tmp_path, SPEC, 50)
    for step in steps:
        store.append(step)
    assert [same_step(store.step(i), step) for i, step in enumerate(steps)] == [True] * 21
    store.close()
    rows, frames = np.load(tmp_path / "rows.npy"), np.load(tmp_path / "frames.npy", mmap_mode="r")
    np.testing.assert_array_equal(frames[:21], [step.frame for step in steps])
    assert rows["sequence"][:21].tolist() == list(range(21)) and rows["number"][21:].max() == 0


def test_a_system_without_camera_and_one_without_proprioception(tmp_path):
    for name, spec in (
        ("blind", SPEC._replace(height=0, width=0)), ("numb", SPEC._replace(proprioception=0)),
    ):  # fmt: skip
        store, oracle = FrameStore.open(tmp_path / name, spec, 20), Oracle(20, 3, 2)
        for step in make_episode(12, spec=spec):
            oracle.steps[store.append(step) + 1] = step
        assert_equals_oracle(store, oracle)
        store.close()


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(frame=np.zeros((4, 4, 3), np.uint8)), "frame is uint8 (4, 4, 3); expected uint8 (4, 5, 3)"),
        (dict(action=np.array([np.nan, 0], np.float32)), "action is not finite"),
        (dict(reward=float("nan")), "reward is nan"),
        (dict(mask=2.0), "mask is 2.0"),
        (dict(step=1), "is_first is True"),
        (dict(robot="x" * 33), "robot's name"),
    ],
)
def test_a_malformed_step_is_refused(tmp_path, change, message):
    store = FrameStore.open(tmp_path, SPEC, 10)
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        store.append(make_step()._replace(**change))
    assert store.stored == 0
    store.close()


def test_steps_that_go_back_are_refused_and_clocks_that_jump_are_not(tmp_path):
    store = FrameStore.open(tmp_path, SPEC, 30)
    for step in make_episode(5):
        store.append(step._replace(stamp_ns=10**18 if step.step % 2 else -5, frame_stamp_ns=0))
    assert store.valid_count == 5
    for wrong in (
        make_step(sequence=6, episode=0, step=3),  # behind
        make_step(sequence=6, episode=0, step=9),  # after its last
        make_step(sequence=2, episode=1, step=0),  # sequence behind
    ):
        with pytest.raises(ValueError, match="expected a later one"):
            store.append(wrong)
    store.append(make_step(sequence=6, episode=1))
    assert store.stored == 7
    store.close()


def test_stores_that_must_not_be_opened(tmp_path):
    folder = tmp_path / "store"
    store = FrameStore.open(folder, SPEC, 10)
    with pytest.raises(StoreError, match="another process has it open"):
        FrameStore.open(folder, SPEC, 10)
    store.close()
    with pytest.raises(StoreError, match="capacity 10; expected"):
        FrameStore.open(folder, SPEC, 11)
    with pytest.raises(StoreError, match="expected Spec"):
        FrameStore.open(folder, SPEC._replace(action=3), 10)
    header = json.loads((folder / "store.json").read_text())
    for text, message in (
        ("{", "damaged"), ("[]", "damaged"), (json.dumps(header | {"version": 9}), "version 9"),
        (json.dumps(header | {"capacity": 9}), "damaged"),
    ):  # fmt: skip
        (folder / "store.json").write_text(text)
        with pytest.raises(StoreError, match=message):
            FrameStore.open(folder, SPEC, 10)
    (folder / "store.json").write_text(json.dumps(header))
    (folder / "rows.npy").write_bytes((folder / "rows.npy").read_bytes()[:-8])
    with pytest.raises(StoreError, match="rows.npy: cannot be read"):
        FrameStore.open(folder, SPEC, 10)
    with pytest.raises(StoreError, match="expected at least 5"):
        FrameStore.open(tmp_path / "other", SPEC, 4)
    with pytest.raises(StoreError, match="GB free"):
        FrameStore.open(tmp_path / "large", SPEC._replace(height=10**4, width=10**4), 10**4)
    with pytest.raises(StoreError, match="no room for"):
        FrameStore.open(tmp_path / "larger", SPEC._replace(height=10**6, width=10**6), 10**6)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="expected a folder that can be written"):
        FrameStore.open(tmp_path / "file" / "store", SPEC, 10)


def test_a_flipped_byte_is_found_and_after_a_power_loss_cut_out(tmp_path):
    store = FrameStore.open(tmp_path, SPEC, 30)
    for step in make_episode(20):
        store.append(step)
    frame = store.step(7).frame
    frame[1, 2, 0] ^= 1
    store._write_frame(7, frame)
    store.rows["reward"][3] += 1
    assert store.damaged() == [3, 7]
    abandon(store)
    store = FrameStore.open(tmp_path, SPEC, 30)  # only a process died: what the kernel holds is whole
    assert store.stored == 21
    abandon(store)
    (tmp_path / "boot").write_text("another boot\n")
    store = FrameStore.open(tmp_path, SPEC, 30)
    assert store.damaged() == [] and set(store.live_slots()) == set(range(21)) - {3, 7}
    store.close()


def test_a_full_disk_is_an_error_that_passes(tmp_path):
    """The limit of a file's size stands for the disk: the same call fails in the same way."""
    import resource
    import signal

    store = FrameStore.open(tmp_path, SPEC._replace(height=64, width=64), 20)
    steps = make_episode(19, spec=store.spec)
    for step in steps[:5]:
        store.append(step)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (store._frame_offset + 5 * steps[0].frame.size + 100, hard))
    try:
        with pytest.raises(OSError):
            store.append(steps[5])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert store.stored == 5 and store.valid_count == 4
    for step in steps[5:]:
        store.append(step)
    assert store.stored == 20 and store.damaged() == []
    store.close()
