"""Processes of the soak test: an actor that sends for ever, a learner that takes batches for ever.

python replay_soak.py actor FOLDER ROBOT | learner FOLDER CONFIG
Each writes what it was promised to a log of its own, with one write a line, so that a kill loses none of it.
"""

import os
import signal
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import rclpy
from rclpy.qos import QoSProfile
from replay_cases import make_step

from jsac_ros.config import load, spec_of
from jsac_ros.replay import names
from jsac_ros.replay.outbox import Outbox
from jsac_ros.replay.ring import BatchRing
from jsac_ros.signals import on_signals
from jsac_ros.types import Spec, batch_layout

SPEC = Spec(height=32, width=32, channels=3, stack=2, proprioception=6, action=2)
EPISODE = 21  # observations of an episode
PERIOD_S = 0.01
STOP = threading.Event()


def step_of(robot, session, sequence):
    """The one step that has this identity."""
    k = sequence % EPISODE
    return make_step(
        SPEC, robot, session, sequence, sequence // EPISODE, k, is_last=k == EPISODE - 1,
        mask=float(k != EPISODE - 2 or sequence // EPISODE % 2),
    )  # fmt: skip


def fingerprint(frames, *fields):
    """Of one row of a batch."""
    value = zlib.crc32(np.ascontiguousarray(frames))
    for field in fields:
        value = zlib.crc32(np.ascontiguousarray(field, np.float32), value)
    return value


class Sender:
    """What an actor does with its steps: number, keep, send, send again."""

    def __init__(self, folder, robot):
        from jsac_ros.msg import Transition, TransitionAck
        from jsac_ros.nodes.transitions import to_message

        self.to_message = to_message
        self.robot, self.session = robot, os.getpid()
        self.log = os.open(folder / f"acknowledged_{robot}_{self.session}", os.O_WRONLY | os.O_CREAT)
        self.node = rclpy.create_node("sender")
        self.outbox = Outbox(5000)
        self.publisher = self.node.create_publisher(Transition, "transitions", QoSProfile(depth=200))
        self.node.create_subscription(TransitionAck, "transition_ack", self.on_ack, 10)
        self.node.create_timer(PERIOD_S, self.send)
        self.node.create_timer(1.0, lambda: [self.publish(message) for message in self.outbox.stalled()])
        self.sending = True

    def send(self):
        if self.sending:
            message = self.to_message(step_of(self.robot, self.session, self.outbox.sent))
            self.outbox.add(message)
            self.publish(message)

    def publish(self, message):
        message.oldest_sequence = self.outbox.oldest
        self.publisher.publish(message)

    def on_ack(self, ack):
        if (ack.robot, ack.session) != (self.robot, self.session):
            return
        for message in self.outbox.acknowledge(ack.next_sequence, ack.resend):
            self.publish(message)
        os.write(self.log, b"%d\n" % ack.next_sequence)


def actor(folder, robot):
    rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    sender = Sender(Path(folder), robot)
    while not STOP.is_set() or len(sender.outbox):
        sender.sending = not STOP.is_set()
        rclpy.spin_once(sender.node, timeout_sec=0.1)


def learner(folder, config_file):
    config = load(config_file)
    layout = batch_layout(spec_of(config, 6), config.replay.batch_size)
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
            b = taken.batch
            marks = [
                (int(b.index[i]), fingerprint(b.frames[i], b.proprioception[i], b.next_proprioception[i], b.action[i],
                                              b.reward[i], b.discount[i], b.weight[i]))
                for i in range(len(b.index))
            ]  # fmt: skip
            ring.give_back(np.ones(len(b.index), np.float32))
            os.write(log, b"".join(b"%d %d\n" % mark for mark in marks))
            STOP.wait(0.005)
        elif ring.abandoned():
            ring.close()
            ring = None


if __name__ == "__main__":
    on_signals([signal.SIGTERM], STOP.set)
    {"actor": actor, "learner": learner}[sys.argv[1]](*sys.argv[2:])
