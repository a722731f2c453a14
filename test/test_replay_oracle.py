"""The frame store against a naive list of transitions, whatever actors, gaps, kills and wraps do to it."""

import shutil

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from replay_cases import VARIANTS, make_transition, same, with_stacks

from jsac_ros.replay.store import FrameStore
from jsac_ros.types import empty_batch

GAMMA = 0.9


class Oracle:
    """Every transition that was acknowledged, in order, and what a batch must hold, straight from the definitions."""

    def __init__(self, capacity, spaces, n_step):
        self.capacity, self.spaces, self.n_step = capacity, spaces, n_step
        self.written, self.gone = {}, set()  # row number 1, 2, ... -> Transition; rows that a kill has cost

    def live(self):
        newest = max(self.written, default=0)
        return {n: t for n, t in self.written.items() if n > newest - self.capacity and n not in self.gone}

    def batch(self):
        """Row number -> the fields of a batch that a transition starting there must give."""
        live = self.live()
        place = {(t.robot, t.session, t.episode, t.step): t for t in live.values()}
        found = {}
        for number, t in live.items():

            def at(k, t=t):
                return place.get((t.robot, t.session, t.episode, k))

            if at(t.step + 1) is not None and None not in self._history(at, t.step, self.spaces.stack):
                found[number] = self._fields(t, at)
        return found

    def _history(self, at, k, stack):
        return [at(max(0, k - back)) for back in reversed(range(stack))]

    def _fields(self, t, at):
        reward, discount, k = 0.0, 1.0, t.step
        while k < t.step + self.n_step and at(k + 1) is not None and discount > 0 and at(k).intervened == t.intervened:
            reward += discount * at(k).reward
            discount *= GAMMA * at(k).mask
            k += 1
        fields = {"reward": np.float32(reward), "discount": np.float32(discount)}
        for image in self.spaces.images:
            stacks = self._history(at, t.step, image.stack)
            stacks += [at(k)] if self.n_step == 1 else self._history(at, k, image.stack)
            fields[f"frames/{image.name}"] = np.stack([other.frames[image.name] for other in stacks])
        fields |= {f"vectors/{name}": vector for name, vector in t.vectors.items()}
        fields |= {f"next_vectors/{name}": vector for name, vector in at(k).vectors.items()}
        return fields | {f"action/{name}": action for name, action in t.action.items()}


def assert_equals_oracle(store, oracle):
    expected = oracle.batch()
    slots = np.sort(store.links.valid.slots)
    assert sorted(store.rows["number"][slots].tolist()) == sorted(expected)
    if len(slots) == 0:
        return
    batch = empty_batch(store.spaces, len(slots), oracle.n_step)
    store.gather(slots, batch, oracle.n_step, GAMMA)
    fields = batch.fields
    for row, number in enumerate(batch.index.tolist()):
        for name, value in expected[number].items():
            compare = np.testing.assert_allclose if name in ("reward", "discount") else np.testing.assert_array_equal
            compare(fields[name][row], value, err_msg=f"{name} of row {number}")
    assert {*expected[number], "weight", "index"} == {*fields}


def tear(store, rng):
    """A kill in the middle of `append`: the slot has no number, and anything may stand in the rest of it."""
    slot = store.count % store.capacity
    number = int(store.rows["number"][slot])
    garbage = rng.integers(0, 256, store.records[slot : slot + 1].nbytes, np.uint8)
    store.records[slot : slot + 1] = garbage.view(store.records.dtype)
    store.rows["number"][slot] = 0
    frames = {i.name: rng.integers(0, 256, i.frame_shape, np.uint8) for i in store.spaces.images}
    store._frames.write(slot, dict(list(frames.items())[: rng.integers(3)]))  # of some images, not of the others
    return number


class Actor:
    """One robot: its own sessions, episodes and sequence numbers."""

    def __init__(self, robot):
        self.robot, self.session, self.sequence, self.episode, self.step = robot, 1, 0, 0, 0

    def next(self, spaces, is_last=False, mask=1.0):
        made = make_transition(spaces, self.robot, self.session, self.sequence, self.episode, self.step, is_last, mask)
        self.sequence, self.step = self.sequence + 1, self.step + 1
        if is_last:
            self.episode, self.step = self.episode + 1, 0
        return made


operation = st.one_of(
    st.tuples(st.just("steps"), st.integers(1, 6)),
    st.tuples(st.just("end"), st.booleans()),  # terminal or not
    st.tuples(st.just("gap"), st.integers(1, 3)),
    st.tuples(st.just("restart actor"), st.just(0)),
    st.tuples(st.just("restart replay"), st.just(0)),  # it writes nothing when it is closed: as a kill between two appends
    st.tuples(st.just("kill while writing"), st.integers(0, 2**31)),
)


@settings(max_examples=100, deadline=None)
@given(
    variant=st.sampled_from(sorted(VARIANTS)), capacity=st.integers(6, 40), stack=st.integers(1, 4),
    n_step=st.integers(1, 4), operations=st.lists(st.tuples(st.integers(0, 2), operation), min_size=1, max_size=60),
)  # fmt: skip
def test_whatever_happens_batches_equal_the_oracles(tmp_path_factory, variant, capacity, stack, n_step, operations):
    spaces = with_stacks(VARIANTS[variant], stack)
    folder = tmp_path_factory.mktemp("store")
    store, oracle = FrameStore.open(folder, spaces, capacity), Oracle(capacity, spaces, n_step)
    actors = [Actor(f"robot{i}") for i in range(3)]

    def append(transition):
        number = store.append(transition) + 1
        oracle.written[number] = transition
        oracle.gone.discard(number)

    for who, (what, value) in operations:
        actor = actors[who]
        if what == "steps":
            for _ in range(value):
                append(actor.next(spaces))
        elif what == "end" and actor.step:
            if value:
                append(actor.next(spaces, mask=0.0))
            append(actor.next(spaces, is_last=True))
        elif what == "gap":
            for _ in range(value):
                actor.next(spaces)
        elif what == "restart actor":
            actor.session, actor.sequence, actor.episode, actor.step = actor.session + 1, 0, 0, 0
        elif what == "restart replay":
            store.close()
            store = FrameStore.open(folder, spaces, capacity)
        elif what == "kill while writing":
            oracle.gone.add(tear(store, np.random.default_rng(value)))
            store.close()
            store = FrameStore.open(folder, spaces, capacity)
        assert store.valid_count == len(oracle.batch())
        assert store.left_out == 0
    assert_equals_oracle(store, oracle)
    assert store.damaged() == []
    live = oracle.live().values()
    assert all(same(store.transition(slot), t) for slot, t in zip(store.live_slots(), live, strict=True))
    store.close()
    shutil.rmtree(folder)
