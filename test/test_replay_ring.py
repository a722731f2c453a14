"""Batch ring and policy mailbox: real shared memory, and real processes that are killed."""

import multiprocessing
import os
import secrets
import signal
import time
from dataclasses import replace

import numpy as np
import posix_ipc
import pytest
from full_disk import files_of_at_most
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from replay_children import COUNT, LAYOUT, SPACES, consume, holds, produce, write, write_without_end

from jsac_ros.config import ConfigError, NoRoom
from jsac_ros.replay import names
from jsac_ros.replay.mailbox import READERS, PolicyMailbox
from jsac_ros.replay.ring import BatchRing
from jsac_ros.replay.segment import _unlock_all, remove
from jsac_ros.types import batch_layout

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def name():
    name = f"/jsac_test_{os.getpid()}_{secrets.token_hex(3)}"
    yield name
    assert remove(name)
    assert not [entry for entry in os.listdir("/dev/shm") if name[1:] in entry]


def crash(end):
    """As `kill -9` leaves it: no state is changed, the kernel takes the roles back."""
    _unlock_all(end._segment.fd)
    os.close(end._segment.fd)


def test_two_batches_alternate_and_td_errors_come_back(name):
    producer, consumer = BatchRing.create(name, LAYOUT, 2), BatchRing.attach(name, LAYOUT)
    for value in (1, 2):
        write(producer.fill(0.0).batch, value)
        assert producer.publish() == value
    assert producer.fill(0.0) is None  # both wait for the consumer
    for value in range(1, 7):
        taken = consumer.take(0.0)
        assert taken.sequence == value and holds(taken.batch, value)
        consumer.give_back(np.full(8, value / 2, np.float32))
        slot = producer.fill(0.0)
        assert slot.returned.td_error.tolist() == [value / 2] * 8 and slot.returned.index.tolist() == [value] * 8
        assert slot.batch.frames["wrist"].ctypes.data % 64 == 0
        write(slot.batch, value + 2)
        producer.publish()
    consumer.close()
    producer.close()


def test_what_is_given_back_without_td_errors_brings_none(name):
    producer, consumer = BatchRing.create(name, LAYOUT, 2), BatchRing.attach(name, LAYOUT)
    for has_td_error in (True, False):
        producer.fill(0.0)
        producer.publish()
        consumer.take(0.0)
        consumer.give_back(np.ones(8, np.float32) if has_td_error else None)
    returned = [producer.fill(0.0).returned]
    producer.publish()
    returned.append(producer.fill(0.0).returned)
    assert [r is not None for r in returned] == [True, False]
    consumer.close()
    producer.close()


def test_waiting_blocks_until_the_other_side_acts(name):
    producer, consumer = BatchRing.create(name, LAYOUT, 2), BatchRing.attach(name, LAYOUT)
    began, used = time.monotonic(), time.process_time()
    assert consumer.take(0.3) is None
    assert time.monotonic() - began >= 0.29
    assert time.process_time() - used < 0.1  # it does not poll
    consumer.close()
    producer.close()


def test_ends_that_are_refused(name):
    with pytest.raises(FileNotFoundError):
        BatchRing.attach(name, LAYOUT)
    producer, consumer = BatchRing.create(name, LAYOUT, 2), BatchRing.attach(name, LAYOUT)
    for second in (lambda: BatchRing.create(name, LAYOUT, 2), lambda: BatchRing.attach(name, LAYOUT)):
        with pytest.raises(ConfigError, match="another process holds this end of it"):
            second()
    consumer.close()
    renamed = replace(SPACES, vectors=(replace(SPACES.vectors[0], name="joint_velocity"),))
    for other in (batch_layout(SPACES, 9), batch_layout(renamed, 8)):
        with pytest.raises(ConfigError, match="another layout"):
            BatchRing.attach(name, other)
    assert os.stat(f"/dev/shm{name}").st_mode & 0o777 == 0o600
    assert os.stat(f"/dev/shm/sem.{name[1:]}_ready").st_mode & 0o777 == 0o600
    producer.close()


def opened(name):
    """What each way to shared memory says of what has the name; the fixture's name is free again afterwards."""
    ways = (
        lambda: BatchRing.create(name, LAYOUT, 2), lambda: BatchRing.attach(name, LAYOUT),
        lambda: PolicyMailbox.create(name, COUNT, 1), lambda: PolicyMailbox.attach(name, COUNT, 1),
    )  # fmt: skip
    for way in ways:
        with pytest.raises(ConfigError) as raised:
            way()
        (line,) = str(raised.value).splitlines()
        assert line.startswith(f"shared memory {name}: ") and "expected" in line, line
        yield line


def test_shared_memory_that_others_may_write_is_refused(name):
    owner = BatchRing.create(name, LAYOUT, 2)
    os.fchmod(owner._segment.fd, 0o666)
    assert all("mode 0666" in line for line in opened(name))
    assert not remove(name) and not owner.abandoned(), "it is left as it is"
    os.fchmod(owner._segment.fd, 0o600)
    BatchRing.attach(name, LAYOUT).close()
    os.chmod(f"/dev/shm/sem.{name[1:]}_ready", 0o660)
    with pytest.raises(ConfigError, match=f"sem.{name[1:]}_ready: it belongs to user .* mode 0660"):
        BatchRing.attach(name, LAYOUT)
    os.chmod(f"/dev/shm/sem.{name[1:]}_ready", 0o600)
    owner.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_users_shared_memory_is_refused(name):
    """Root could open it, and any user could one of mode 0666; of mode 0600 the system itself refuses it."""
    owner = BatchRing.create(name, LAYOUT, 2)
    os.fchown(owner._segment.fd, 65534, -1)
    assert all("it belongs to user 65534" in line for line in opened(name))
    os.fchown(owner._segment.fd, 0, -1)
    os.seteuid(65534)
    try:
        assert all("expected one of user 65534" in line for line in opened(name))
        assert not remove(name)
    finally:
        os.seteuid(0)
    os.chown(f"/dev/shm/sem.{name[1:]}_free", 65534, -1)
    with pytest.raises(ConfigError, match="sem.*_free: it belongs to user 65534"):
        BatchRing.attach(name, LAYOUT)
    owner.close()


def test_what_is_no_shared_memory_is_refused(name):
    path = f"/dev/shm{name}"
    os.mkfifo(path, 0o600)
    assert all("not a regular file" in line for line in opened(name))
    os.unlink(path)
    os.mkdir(path)
    list(opened(name))
    os.rmdir(path)
    os.symlink("/dev/null", path)
    list(opened(name))
    os.unlink(path)


def test_a_ring_that_does_not_fit_is_one_line(name):
    size = os.statvfs("/dev/shm")
    batch_size = size.f_blocks * size.f_frsize // 240 + 1
    with pytest.raises(ConfigError, match=r"free in /dev/shm; make it larger"):
        BatchRing.create(name, batch_layout(SPACES, batch_size), 2)


def test_a_full_shared_memory_needs_room_and_no_other_configuration(name):
    """So its starter tries a replay and a learner again that were killed meanwhile."""
    with files_of_at_most(100), pytest.raises(NoRoom, match="free in /dev/shm"):
        BatchRing.create(name, LAYOUT, 2)
    with files_of_at_most(100), pytest.raises(NoRoom, match="free in /dev/shm"):
        PolicyMailbox.create(name, COUNT, 7)
    BatchRing.create(name, LAYOUT, 2).close()


def test_what_a_dead_run_left_is_replaced_and_never_read(name):
    producer = BatchRing.create(name, batch_layout(SPACES, 4), 3)  # of another layout even
    producer.fill(0.0)
    producer.publish()
    crash(producer)
    with pytest.raises(FileNotFoundError, match="producer has exited"):
        BatchRing.attach(name, batch_layout(SPACES, 4))
    producer = BatchRing.create(name, LAYOUT, 2)
    consumer = BatchRing.attach(name, LAYOUT)
    assert producer.generation == 1 and consumer.take(0.0) is None
    consumer.close()
    producer.close()


def test_leftovers_are_removed_and_what_lives_is_not(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "211")
    run = f"test{os.getpid()}"
    ring = BatchRing.create(names.batches(run), LAYOUT, 2)
    mailbox = PolicyMailbox.create(names.policy(run), 10, 1)
    crash(mailbox)
    names.remove_leftovers(run)
    left = {entry for entry in os.listdir("/dev/shm") if f"211_{run}" in entry}
    assert left == {f"jsac_211_{run}_batches", f"sem.jsac_211_{run}_batches_free", f"sem.jsac_211_{run}_batches_ready"}
    crash(ring)
    names.remove_leftovers(run)
    assert not [entry for entry in os.listdir("/dev/shm") if f"211_{run}" in entry]


def _start(target, *arguments):
    started = SPAWN.Event()
    process = SPAWN.Process(target=target, args=(*arguments, started), daemon=True)
    process.start()
    assert started.wait(30)
    return process


def _kill(process):
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def test_a_producer_is_killed_and_comes_back_to_its_consumer(name):
    process, last = _start(produce, name), 0
    ring = BatchRing.attach(name, LAYOUT)
    for generation in (1, 2, 3):
        for _ in range(200):
            taken = ring.take(5.0)
            assert taken.sequence > last and holds(taken.batch, taken.sequence)
            last = taken.sequence
            ring.give_back()
        assert ring.generation == generation and not ring.abandoned()
        _kill(process)
        process = _start(produce, name)
    _kill(process)
    ring.close()


def test_a_consumer_is_killed_and_the_next_one_takes_its_place(name):
    ring = BatchRing.create(name, LAYOUT, 2)
    for _ in range(3):
        process = _start(consume, name)
        for _ in range(200):
            slot = ring.fill(5.0)
            assert slot is not None
            write(slot.batch, ring.published + 1)
            ring.publish()
        _kill(process)
    ring.close()


class Crashes(RuleBasedStateMachine):
    """Either end does anything, crashes anywhere and comes back; what is taken is what was published, in order."""

    @initialize(slots=st.integers(2, 4))
    def begin(self, slots):
        self.name, self.slots = f"/jsac_test_{os.getpid()}_{secrets.token_hex(4)}", slots
        self.producer = BatchRing.create(self.name, LAYOUT, slots)
        self.consumer, self.last, self.held, self.dropped = None, 0, 0, False

    @precondition(lambda self: self.producer is None)
    @rule()
    def producer_returns(self):
        self.producer = BatchRing.create(self.name, LAYOUT, self.slots)
        if self.consumer is None:  # nobody held it: a new ring
            self.last = 0

    @precondition(lambda self: self.producer and not self.consumer)
    @rule()
    def consumer_returns(self):
        self.consumer, self.held = BatchRing.attach(self.name, LAYOUT), 0

    @precondition(lambda self: self.producer)
    @rule(publish=st.booleans())
    def fill(self, publish):
        slot = self.producer.fill(0.0)
        if slot:
            write(slot.batch, self.producer.published + 1 if publish else 2**30)
            if publish:
                self.producer.publish()

    @precondition(lambda self: self.consumer)
    @rule()
    def take(self):
        taken = self.consumer.take(0.0)
        if taken:
            assert taken.sequence > self.last and holds(taken.batch, taken.sequence)
            self.last, self.held = taken.sequence, self.held + 1

    @precondition(lambda self: self.consumer and self.held)
    @rule(td_error=st.booleans())
    def give_back(self, td_error):
        self.consumer.give_back(np.ones(8, np.float32) if td_error else None)
        self.held -= 1

    @precondition(lambda self: self.producer)
    @rule()
    def producer_crashes(self):
        crash(self.producer)
        self.producer = None

    @precondition(lambda self: self.consumer)
    @rule()
    def consumer_crashes(self):
        crash(self.consumer)
        self.consumer = None

    def teardown(self):
        if not hasattr(self, "name"):
            return
        self.producer or self.producer_returns()
        self.consumer or self.consumer_returns()
        while self.held:
            self.give_back(True)
        for _ in range(3 * self.slots):  # whatever happened: batches still go round
            self.fill(True)
            before = self.last
            self.take()
            assert self.last > before
            self.give_back(True)
        self.consumer.close()
        self.producer.close()
        assert not [entry for entry in os.listdir("/dev/shm") if self.name[1:] in entry]


TestCrashes = Crashes.TestCase
TestCrashes.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


# -- mailbox -------------------------------------------------------------------------------------------------------


def test_the_latest_policy_wins(name):
    writer = PolicyMailbox.create(name, 100, 7)
    reader = PolicyMailbox.attach(name, 100, 7)
    assert reader.read_latest(None) is None and not reader.wait(0.01)
    for version in (0, 8, 16):
        writer.write(version, 5, np.full(100, version, np.float32))
    assert reader.wait(1.0) and not reader.wait(0.01)
    latest = reader.read_latest(None)
    assert (latest.version, latest.session, set(latest.vector)) == (16, 5, {16.0})
    assert abs(time.time_ns() - latest.stamp_ns) < 60 * 10**9
    assert reader.read_latest(16) is None
    writer.close()
    assert reader.abandoned()
    reader.close()


def test_mailbox_ends_that_are_refused(name):
    with pytest.raises(FileNotFoundError):
        PolicyMailbox.attach(name, 100, 7)
    writer = PolicyMailbox.create(name, 100, 7)
    with pytest.raises(ConfigError, match="another process holds this end"):
        PolicyMailbox.create(name, 100, 7)
    for count, layout in ((101, 7), (100, 8)):
        with pytest.raises(ConfigError, match="another layout"):
            PolicyMailbox.attach(name, count, layout)
    readers = [PolicyMailbox.attach(name, 100, 7) for _ in range(READERS)]
    with pytest.raises(ConfigError, match="readers are attached already"):
        PolicyMailbox.attach(name, 100, 7)
    writer.write(1, 1, np.ones(100, np.float32))
    assert all(reader.wait(1.0) and reader.read_latest().version == 1 for reader in readers)
    for reader in readers:
        reader.close()
    writer.close()


def test_a_policy_is_never_torn_although_its_writer_is_killed(name):
    process = _start(write_without_end, name)
    reader = PolicyMailbox.attach(name, COUNT, 7)
    seen = 0
    for generation in (1, 2, 3):
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            reader.wait(0.1)
            latest = reader.read_latest()
            if latest is not None:
                assert (latest.vector == latest.version).all()
                seen += 1
        assert reader.generation == generation
        _kill(process)
        latest = reader.read_latest()
        assert latest is not None and (latest.vector == latest.version).all()  # half-written or not
        process = _start(write_without_end, name)
    assert seen > 20
    _kill(process)
    reader.close()


def test_a_bell_left_from_a_crash_harms_nobody(name):
    producer, consumer = BatchRing.create(name, LAYOUT, 2), BatchRing.attach(name, LAYOUT)
    for bell in ("free", "ready"):
        for _ in range(20):
            posix_ipc.Semaphore(f"{name}_{bell}").release()
    assert consumer.take(0.05) is None
    write(producer.fill(0.0).batch, 1)
    producer.publish()
    assert consumer.take(1.0).sequence == 1
    consumer.close()
    producer.close()
