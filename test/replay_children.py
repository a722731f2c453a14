"""What the killed processes of the ring's and the mailbox's tests do; little is imported, as each start pays for it."""

import os

import numpy as np
from replay_cases import VARIANTS

from jsac_ros.replay.mailbox import PolicyMailbox
from jsac_ros.replay.ring import BatchRing
from jsac_ros.types import batch_layout

SPACES = VARIANTS["two images of two stacks"]
LAYOUT = batch_layout(SPACES, 8)
COUNT = 300_000  # parameters of the policy


def write(batch, value):
    for field in batch.fields.values():
        field[...] = value % 251


def holds(batch, value):
    return all((field == value % 251).all() for field in batch.fields.values())


def produce(name, started):
    ring = BatchRing.create(name, LAYOUT, 2)
    started.set()
    while True:
        slot = ring.fill(1.0)
        if slot:
            write(slot.batch, ring.published + 1)
            ring.publish()


def consume(name, started):
    ring = BatchRing.attach(name, LAYOUT)
    started.set()
    while True:
        taken = ring.take(1.0)
        if taken:
            assert holds(taken.batch, taken.sequence)
            ring.give_back(np.ones(8, np.float32))


def write_without_end(name, started):
    mailbox, version = PolicyMailbox.create(name, COUNT, 7), 1
    started.set()
    while True:
        mailbox.write(version, os.getpid(), np.full(COUNT, version, np.float32))
        version += 1
