"""Learner: owns everything that learns.

Takes batches from shared memory, updates, publishes the actor's parameters every K updates (mailbox in shared memory,
or a latched topic for an actor on another host) and checkpoints in the background.

Hears   batch ring `<name>_batches`; service `learner/checkpoint`
Says    mailbox `<name>_policy`, policy_info, training_status, TD errors in the slots of the ring
A process of its own because an update occupies every core it can get, and control must not wait for it.
"""

from __future__ import annotations

import secrets
import sys
import threading
import time
from collections import deque
from pathlib import Path
from statistics import median

import jax
import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import Trigger

from jsac_ros import config as configuration
from jsac_ros.agent import export
from jsac_ros.agent.algorithm import algorithm_of
from jsac_ros.agent.checkpoint import CheckpointError, Checkpoints
from jsac_ros.agent.policy import flatten, layout_hash, parameter_count
from jsac_ros.agent.state import with_encoder
from jsac_ros.agent.update import compile_update
from jsac_ros.config import ConfigError
from jsac_ros.control import realtime
from jsac_ros.msg import PolicyInfo, PolicyParameters, TrainingStatus
from jsac_ros.nodes.process import WorkingNode, run_folder, run_node
from jsac_ros.replay import names
from jsac_ros.replay.mailbox import PolicyMailbox
from jsac_ros.replay.ring import BatchRing, Taken
from jsac_ros.robots.models import arm_of
from jsac_ros.types import batch_layout

TAKE_TIMEOUT_S = 0.5


class Learner(WorkingNode):
    doing = "learning"

    def __init__(self):
        super().__init__("learner")
        config = self.config
        self._idle = realtime.process_idle(config.realtime.learner_nice)
        self.folder = run_folder(config)
        self.spec = configuration.spec_of(config, len(arm_of(config.robot)))
        self.session = secrets.randbits(63)
        self.state_name, self.updates, self.published, self.skipped = "compiling", 0, -1, 0
        self.batches = 0  # sequence of the last batch taken
        self.metrics: dict[str, jax.Array] = {}
        self.update_ms: deque[float] = deque(maxlen=1000)
        self.waited_s = 0.0
        self._window = (time.monotonic(), 0, 0.0)  # when, updates and waited_s at the last status

        algorithm = algorithm_of(config.agent)
        self.update = algorithm.make_update(config.agent, self.spec)
        self.policy_parameters = algorithm.policy_parameters
        self.state = algorithm.create(config.agent, self.spec, config.run.seed)
        if config.learner.encoder:
            self.state = self._with_encoder(config.learner.encoder)
        self.checkpoints = self._open_checkpoints(self.folder, config.learner.keep_checkpoints)
        self._restore()

        count = parameter_count(config.agent, self.spec)
        self.layout_hash = layout_hash(config.agent, self.spec)
        self.mailbox = PolicyMailbox.create(names.policy(config.run.name), count, self.layout_hash)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.info = self.create_publisher(PolicyInfo, "policy_info", latched)
        self.parameters = (
            self.create_publisher(PolicyParameters, "policy_parameters", latched) if config.learner.policy_topic else None
        )
        self.status = self.create_publisher(TrainingStatus, "training_status", 10)
        self.create_timer(1.0, self._publish_status)
        self.create_service(Trigger, "~/checkpoint", self._on_checkpoint)
        self._checkpoint_asked = threading.Event()

    def close(self) -> None:
        super().close()
        self.mailbox.close()

    # -- learning ------------------------------------------------------------------------------------------------

    def work(self) -> None:
        """The loop: update, take the next batch meanwhile, give the slot back, publish every K, checkpoint now and then."""
        config = self.config
        self._compile()
        self._publish_policy()
        ring, ahead, checkpoint_due = None, None, time.monotonic() + config.learner.checkpoint_period_s
        try:
            while not self.stop.is_set():
                ring = ring or self._attach()
                taken = ahead or self._take(ring, TAKE_TIMEOUT_S)
                if taken is None:
                    self.state_name = "waiting"
                    ring = self._reattached(ring)
                    continue
                self.state_name, began = "learning", time.monotonic()
                self.state, metrics = self.update(self.state, taken.batch)  # returns while the device computes
                ahead = self._take(ring, 0.0)
                # The slot may be refilled as soon as it is given back, and JAX may read NumPy memory in place.
                td_error = np.asarray(metrics.pop("td_error"))
                skipped_in_a_row = int(self.state.skipped_in_a_row)
                if skipped_in_a_row:
                    self._name_skipped(taken, td_error)
                ring.give_back(None if skipped_in_a_row else td_error)
                self.metrics, self.updates, self.batches = metrics, self.updates + 1, taken.sequence
                self.update_ms.append(1e3 * (time.monotonic() - began))
                if self.updates % config.learner.publish_period == 0:
                    self._publish_policy()
                if skipped_in_a_row >= config.learner.max_skipped_updates:
                    self._fail_skipped()
                    break
                if self._checkpoint_asked.is_set() or time.monotonic() >= checkpoint_due:
                    self._checkpoint_asked.clear()
                    checkpoint_due = time.monotonic() + config.learner.checkpoint_period_s
                    self._checkpoint()
        finally:
            self.state_name = "stopped"
            if ring:
                ring.close()
            self._checkpoint()
            self._export()
            self.checkpoints.close()

    def _compile(self) -> None:
        seconds = compile_update(self.update, self.state, self.spec, self.config.replay.batch_size, self.config.agent.n_step)
        settings = f"{realtime.huge_pages()}; {realtime.kept_memory()}; {self._idle}"
        self.get_logger().info(f"compiled the update in {seconds:.1f} s; {settings}")
        self.state_name = "waiting"

    def _attach(self) -> BatchRing | None:
        layout = batch_layout(self.spec, self.config.replay.batch_size, self.config.agent.n_step)
        try:
            return BatchRing.attach(names.batches(self.config.run.name), layout)
        except FileNotFoundError:
            self.stop.wait(0.2)
            return None

    def _reattached(self, ring: BatchRing | None) -> BatchRing | None:
        """The ring, or None when its replay has gone and another one may have made a new ring."""
        if ring is not None and ring.abandoned():
            ring.close()
            return None
        return ring

    def _take(self, ring: BatchRing | None, timeout_s: float) -> Taken | None:
        """The next batch, on its way to the device; the memory that it came in stays ours until it is given back."""
        began = time.monotonic()
        taken = ring.take(timeout_s) if ring else None
        self.waited_s += time.monotonic() - began
        return taken and taken._replace(batch=jax.device_put(taken.batch))

    def _name_skipped(self, taken: Taken, td_error: np.ndarray) -> None:
        rows, bad = np.asarray(taken.batch.index), ~np.isfinite(td_error)
        which = f"rows {rows[bad].tolist()} of the store" if bad.any() else "its gradient, not one step of it,"
        self.get_logger().warning(
            f"update {self.updates} skipped, batch {taken.sequence}: not finite because of {which}",
            throttle_duration_sec=1.0,
        )

    def _fail_skipped(self) -> None:
        limit, latest = self.config.learner.max_skipped_updates, self.checkpoints.latest()
        self.fail(f"{limit} updates in a row were not finite; the last good checkpoint is update {latest}")

    # -- what it says --------------------------------------------------------------------------------------------

    def _publish_policy(self) -> None:
        vector = np.asarray(flatten(self.policy_parameters(self.state)))
        self.mailbox.write(self.updates, self.session, vector)
        self.published = self.updates
        info = PolicyInfo(
            session=self.session, version=self.updates, parameter_count=vector.size, layout_hash=self.layout_hash
        )
        info.header.stamp = self.get_clock().now().to_msg()
        self.info.publish(info)
        if self.parameters:
            self.parameters.publish(PolicyParameters(info=info, data=vector.tobytes()))

    def _publish_status(self) -> None:
        now, (then, updates, waited) = time.monotonic(), self._window
        self._window = (now, self.updates, self.waited_s)
        message = TrainingStatus(session=self.session, state=self.state_name, updates=self.updates)
        message.header.stamp = self.get_clock().now().to_msg()
        message.updates_per_s = (self.updates - updates) / (now - then)
        recent = list(self.update_ms)[updates - self.updates :] if self.updates > updates else []
        message.update_ms = median(recent) if recent else 0.0
        message.batch_wait_share = min(1.0, (self.waited_s - waited) / (now - then))
        latest = self.checkpoints.latest()
        message.policy_version, message.checkpoint = self.published, -1 if latest is None else latest
        metrics = {name: float(value) for name, value in self.metrics.items()}
        message.skipped_updates = int(metrics.get("skipped", self.skipped))
        message.metric_names, message.metric_values = list(metrics), list(metrics.values())
        self.status.publish(message)

    def _on_checkpoint(self, _, response):
        self._checkpoint_asked.set()
        response.success, response.message = True, f"checkpoint after update {self.updates}"
        return response

    def _open_checkpoints(self, folder: Path, keep: int) -> Checkpoints:
        return Checkpoints(folder / "checkpoints", self.config.agent, self.spec, keep)

    def _restore(self) -> None:
        """Goes on from this run's own checkpoint (after a crash) or from another run's (`learner.resume`)."""
        resume, source = self.config.learner.resume, self.checkpoints
        try:
            if source.latest() is None:
                if not resume:
                    return
                source = self._open_checkpoints(Path(resume), keep=None)
            self.state, _ = source.restore()
        except CheckpointError as error:
            raise ConfigError(str(error)) from None
        finally:
            if source is not self.checkpoints:
                source.close()
        self.updates = int(self.state.step)
        self.get_logger().info(f"resumed after {self.updates} updates")

    def _with_encoder(self, folder: str):
        try:
            return with_encoder(self.state, export.load(folder).params["encoder"])
        except ValueError as error:
            raise ConfigError(f"learner.encoder {folder}: {error}") from None

    def _export(self) -> None:
        """The policy as it is now, in `policy/` of the run folder: usable without ROS (`agent.export.load`)."""
        task = {"task": self.config.task.model_dump(mode="json"), "robot": self.config.robot.model_dump(mode="json")}
        export.save(self.folder / "policy", self.policy_parameters(self.state), self.config.agent, self.spec, task)

    def _checkpoint(self) -> None:
        self.checkpoints.save(self.state, {"batches": self.batches, "session": self.session})


def main(args=None) -> int:
    return run_node(Learner, args)


if __name__ == "__main__":
    sys.exit(main())
