"""Processes of the soak test: an actor that sends without end, a learner that takes batches without end.

python replay_soak.py actor FOLDER ROBOT | learner FOLDER CONFIG
Each writes what it was promised to a log of its own, with one write a line, so that a kill loses none of it.
"""

import os
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import rclpy
from rclpy.qos import QoSProfile
from replay_cases import ARM, JOINTS, make_transition

from jsac_ros import supervision
from jsac_ros.parameters import load
from jsac_ros.replay import names
from jsac_ros.replay.outbox import Outbox
from jsac_ros.replay.ring import BatchRing
from jsac_ros.signals import on_signals
from jsac_ros.spaces import ImageSpace, Spaces
from jsac_ros.types import batch_layout

SPACES = Spaces.of(
    [ImageSpace("scene", 16, 16, 1, stack=1), ImageSpace("wrist", 32, 32, 3, stack=2)], [JOINTS], [ARM], ["joints"]
)
EPISODE = 21  # observations of an episode
PERIOD_S = 0.01
STOP = threading.Event()


def made(robot, session, sequence):
    """The one transition that has this identity."""
    k = sequence % EPISODE
    return make_transition(
        SPACES, robot, session, sequence, sequence // EPISODE, k, is_last=k == EPISODE - 1,
        mask=float(k != EPISODE - 2 or sequence // EPISODE % 2),
    )  # fmt: skip


def fingerprint(fields):
    """Of one row of a batch: {field: array}, without its index."""
    value = 0
    for name in sorted(fields):
        dtype = np.uint8 if name.startswith("frames/") else np.float32
        value = zlib.crc32(np.ascontiguousarray(fields[name], dtype), zlib.crc32(name.encode(), value))
    return value


class Sender:
    """What an actor does with its transitions: number, keep, send, send again."""

    def __init__(self, folder, robot):
        from jsac_ros.messages import to_message
        from jsac_ros.msg import Transition, TransitionAck
        from jsac_ros.nodes.transitions import CLASSES

        self.to_message = lambda transition: to_message(transition, CLASSES)
        self.robot, self.session = robot, os.getpid()
        self.log = os.open(folder / f"acknowledged_{robot}_{self.session}", os.O_WRONLY | os.O_CREAT)
        self.node = rclpy.create_node("sender")
        self.outbox = Outbox()
        self.publisher = self.node.create_publisher(Transition, "transitions", QoSProfile(depth=200))
        self.node.create_subscription(TransitionAck, "transition_ack", self.on_ack, 10)
        self.node.create_timer(PERIOD_S, self.send)
        self.node.create_timer(1.0, lambda: self.publish(self.outbox.stalled()))
        self.sending = True

    def send(self):
        if self.sending:
            self.publish(self.outbox.add(self.to_message(made(self.robot, self.session, self.outbox.sent))))

    def publish(self, held):
        for sequence, message in held:
            message.sequence, message.oldest_sequence = sequence, self.outbox.oldest
            self.publisher.publish(message)

    def on_ack(self, ack):
        if (ack.robot, ack.session) != (self.robot, self.session):
            return
        self.publish(self.outbox.acknowledge(ack.next_sequence, ack.resend))
        os.write(self.log, b"%d\n" % ack.next_sequence)


def actor(folder, robot):
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    sender = Sender(Path(folder), robot)
    while not STOP.is_set() or len(sender.outbox):
        sender.sending = not STOP.is_set()
        rclpy.spin_once(sender.node, timeout_sec=0.1)


def learner(folder, config_file):
    config = load(config_file, kinds=("agent",))
    layout = batch_layout(SPACES, config.replay.batch_size)
    log = os.open(Path(folder) / f"consumed_{os.getpid()}", os.O_WRONLY | os.O_CREAT)
    ring = None
    while not STOP.is_set():
        try:
            ring = ring or BatchRing.attach(names.batches(config.run.name), layout)
        except FileNotFoundError:
            STOP.wait(0.05)
            continue
        taken = ring.take(0.2)
        if taken is not None:
            fields = taken.batch.fields
            index = fields.pop("index")
            marks = [(int(i), fingerprint({n: a[k] for n, a in fields.items()})) for k, i in enumerate(index)]
            ring.give_back(np.ones(len(index), np.float32))
            os.write(log, b"".join(b"%d %d\n" % mark for mark in marks))
            STOP.wait(0.005)
        elif ring.abandoned():
            ring.close()
            ring = None


if __name__ == "__main__":
    on_signals([supervision.STOP], lambda _: STOP.set())
    {"actor": actor, "learner": learner}[sys.argv[1]](*sys.argv[2:])
