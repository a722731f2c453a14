"""Replay: stores every transition of all actors, and keeps two batches ready for the learner.

The executor thread writes transitions to the store and acknowledges them; the sampler thread fills slots of the batch
ring. Copying frames releases the GIL, so that both run in parallel.

Subscribes   transitions; reads TD errors from the slots of the ring
Publishes    transition_ack, replay_status, /diagnostics; fills the batch ring `<name>_batches`
A process because sampling must wait for neither control nor learning, and must survive both.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from pathlib import Path
from statistics import median

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

from jsac_ros.config import ConfigError
from jsac_ros.messages import from_message
from jsac_ros.msg import ReplayStatus, Transition, TransitionAck
from jsac_ros.nodes.diagnostics import replay_diagnostics
from jsac_ros.nodes.process import WorkingNode, run_folder, run_node
from jsac_ros.replay import names
from jsac_ros.replay.flow import ingest_waits_for, sampling_waits_for
from jsac_ros.replay.ingest import Ingest, Stream
from jsac_ros.replay.interventions import Interventions
from jsac_ros.replay.ring import BatchRing
from jsac_ros.replay.samplers import Sampler, open_demonstrations
from jsac_ros.replay.store import FrameStore
from jsac_ros.rig import read_spaces
from jsac_ros.run_key import RunKey
from jsac_ros.types import batch_layout

WAIT_S = 0.2  # longest blocking wait of the sampler thread
ACK_PERIOD_S = 0.02  # transitions of one period are acknowledged together
RESEND_PERIOD_S = 0.2  # before missing transitions are requested again


class Replay(WorkingNode):
    doing = "sampling"
    kinds = ("agent",)  # for its n_step and discount; the spaces are in the run folder

    def __init__(self):
        super().__init__("replay")
        config = self.config
        run = run_folder(config)
        self.key = RunKey.of(config)
        self.spaces = read_spaces(run)
        folder = Path(config.replay.folder or run / "replay").expanduser()
        self.store = FrameStore.open(folder, self.spaces, config.replay.capacity)
        try:
            n_step, discount = config.agent.n_step, config.agent.discount
            demonstrations = open_demonstrations(config.replay.demonstrations, self.spaces)
            self.interventions = Interventions(self.store, config.replay.intervention_capacity)
            self.sampler = Sampler(config.replay, self.store, n_step, discount, demonstrations, self.interventions)
            layout = batch_layout(self.spaces, config.replay.batch_size, n_step)
            ring = names.batches(config.run.name, self.get_namespace())
            self.ring = BatchRing.create(ring, layout, config.replay.slots)
        except ConfigError:
            self.store.close()
            raise
        self.ingest = Ingest(self.store.next_sequences())
        self.waiting_for = ""  # why the sampler waits
        self.holding = ""  # why transitions are not accepted at present
        self.disk_error = ""  # until a transition can be written again
        self.before = (self.store.count, self.store.counters["lost"])  # received and lost before this process
        self.sample_ms: deque[float] = deque(maxlen=1000)
        self._resend: dict[Stream, bool] = {}  # streams to acknowledge, and whether to request a resend
        self._asked_s: dict[Stream, float] = {}
        self._listeners = 0
        self._window = (time.monotonic(), self.store.count)
        self._grown = threading.Event()

        qos = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=200, reliability=ReliabilityPolicy.RELIABLE)
        self.ack = self.create_publisher(TransitionAck, "transition_ack", 10)
        self.status = self.create_publisher(ReplayStatus, "replay_status", 10)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_subscription(Transition, "transitions", self._on_transition, qos)
        self.ack_timer = self.create_timer(ACK_PERIOD_S, self._publish_acks)
        self.ack_timer.cancel()  # runs only while there is something to acknowledge
        self.create_timer(1.0, self._on_second)
        stored, valid = self.store.stored, self.store.valid_count
        held = f"{stored} of {config.replay.capacity} transitions, {valid} can be sampled"
        self.get_logger().info(f"store {self.store.folder}: {held}")
        if self.store.left_out or self.store.counters.damaged:
            lost = f"{self.store.left_out} damaged rows skipped" + "; its counters restart at 0" * self.store.counters.damaged
            self.get_logger().warning(f"store {self.store.folder}: {lost}")

    def close(self) -> None:
        super().close()
        self._publish_status()  # the final counts
        self.ring.close()
        self.interventions.close()
        self.store.close()

    # -- ingest --------------------------------------------------------------------------------------------------

    def _on_transition(self, message: Transition) -> None:
        self.key.check(message)
        stream = (message.robot, message.session)
        self.holding = ingest_waits_for(self.config.replay, self.store.count, self.store.counters["batches"])
        if self.holding:
            self._acknowledge(stream, resend=True)
            return
        verdict = self.ingest.judge(stream, message.sequence, message.oldest_sequence)
        self.store.counters["lost"] += verdict.lost
        self.store.counters["duplicates"] += verdict.duplicate
        resend = verdict.resend
        if verdict.store:
            try:
                transition = from_message(message, self.spaces)
                if not self.config.person.episodes:  # otherwise a person chose every stored action
                    self.interventions.add(transition)
                self.store.append(transition)
                self.ingest.accept(stream, message.sequence)
                self.disk_error = ""
                self._grown.set()
            except ValueError:
                self.store.counters["refused"] += 1
                self.ingest.accept(stream, message.sequence)  # resending it would not help
                self._acknowledge(stream, resend)
                raise
            except OSError as error:
                self.disk_error, resend = f"disk ({error.strerror})", True
                self.get_logger().error(f"store {self.store.folder}: {error.strerror}", throttle_duration_sec=5.0)
        self._acknowledge(stream, resend)

    def _acknowledge(self, stream: Stream, resend: bool) -> None:
        self._resend[stream] = self._resend.get(stream, False) or resend
        if self.ack_timer.is_canceled():
            self.ack_timer.reset()

    def _publish_acks(self) -> None:
        now, later = time.monotonic(), {}
        for stream, resend in self._resend.items():
            if resend and now - self._asked_s.get(stream, -RESEND_PERIOD_S) < RESEND_PERIOD_S:
                later[stream] = True
                resend = False
            elif resend:
                self._asked_s[stream] = now
            robot, session = stream
            expected = self.ingest.next.get(stream, 0)
            ack = TransitionAck(robot=robot, session=session, next_sequence=expected, resend=resend)
            self.key.sign(ack)
            self.ack.publish(ack)
        self._resend = later
        self._asked_s = {stream: at for stream, at in self._asked_s.items() if now - at < RESEND_PERIOD_S}
        if not later:
            self.ack_timer.cancel()

    # -- sampling ------------------------------------------------------------------------------------------------

    def work(self) -> None:
        """The loop: wait until a batch is due and a slot is free, fill the slot in place, publish it."""
        config, store, ring = self.config, self.store, self.ring
        rng = np.random.default_rng([config.run.seed, store.count])
        while not self.stop.is_set():
            self.watchdog.beat()
            self._grown.clear()
            self.waiting_for = sampling_waits_for(config.replay, store.count, store.counters["batches"])
            if not self.waiting_for and not store.valid_count:
                self.waiting_for = "a transition"
            if self.waiting_for:
                self._grown.wait(WAIT_S)
                continue
            slot = ring.fill(WAIT_S)
            if slot is None:
                continue
            began = time.perf_counter()
            if slot.returned:
                self.sampler.feedback(slot.returned)
            if self.sampler.sample_into(rng, slot.batch):
                ring.publish()
                store.counters["batches"] += 1
                self.sample_ms.append(1e3 * (time.perf_counter() - began))

    # -- status --------------------------------------------------------------------------------------------------

    def _on_second(self) -> None:
        listeners = self.ack.get_subscription_count()
        if listeners > self._listeners:  # an actor may have sent before this process was discovered
            for stream in self.ingest.next:
                self._acknowledge(stream, resend=True)
        self._listeners = listeners
        self._publish_status()

    def _publish_status(self) -> None:
        store, counters = self.store, self.store.counters
        now, (then, before) = time.monotonic(), self._window
        self._window = (now, store.count)
        message = ReplayStatus(capacity=store.capacity, stored=store.stored, valid=store.valid_count)
        message.intervened = self.interventions.count
        message.header.stamp = self.get_clock().now().to_msg()
        message.received = store.count
        for name in ("duplicates", "refused", "lost", "batches"):
            setattr(message, name, counters[name])
        message.received_before, message.lost_before = self.before
        message.ingest_per_s = (store.count - before) / (now - then)
        message.sample_ms = median(self.sample_ms) if self.sample_ms else 0.0
        self.sample_ms.clear()
        message.waiting_for, message.problem = self.holding or self.waiting_for, self.disk_error
        self.status.publish(message)
        self._diagnostics.publish(replay_diagnostics(self, message.header.stamp, message))


def main(args=None) -> int:
    return run_node(Replay, args)


if __name__ == "__main__":
    sys.exit(main())
