"""Learner: owns all state that learns.

It takes batches from shared memory, updates, publishes the actor's parameters every K updates (to a mailbox in shared memory,
or a latched topic for an actor on another host) and writes checkpoints in the background.

Subscribes   batch ring `<name>_batches`
Publishes    mailbox `<name>_policy`, policy_info, training_status, /diagnostics, TD errors in the slots of the
             ring
Serves       learner/checkpoint
A process because an update uses all cores, and control must not wait for it.
"""

from __future__ import annotations

import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from std_srvs.srv import Trigger

from jsac_ros import agent as algorithms
from jsac_ros import documents
from jsac_ros.agent import export, learning
from jsac_ros.agent.agent import TrainState, with_encoder
from jsac_ros.agent.checkpoint import CheckpointError, Checkpoints
from jsac_ros.agent.policy import layout_hash, parameter_count
from jsac_ros.config import ConfigError
from jsac_ros.control import realtime
from jsac_ros.msg import PolicyInfo, PolicyParameters, TrainingStatus
from jsac_ros.nodes.diagnostics import learner_diagnostics
from jsac_ros.nodes.process import WorkingNode, run_folder, run_node
from jsac_ros.nodes.qos import LATCHED
from jsac_ros.replay import names
from jsac_ros.replay.mailbox import PolicyMailbox
from jsac_ros.replay.ring import BatchRing, Taken
from jsac_ros.rig import read_spaces
from jsac_ros.types import Batch, batch_layout

TAKE_TIMEOUT_S = 0.5


class Learner(WorkingNode):
    doing = "learning"
    kinds = ("agent",)  # the spaces are in the run folder

    def __init__(self):
        super().__init__("learner")
        config = self.config
        self._idle = realtime.process_idle(config.realtime.learner_nice)
        self.folder = run_folder(config)
        self.spaces = read_spaces(self.folder)
        self.agent = algorithms.build(config.agent, self.spaces)
        self.session = secrets.randbits(63)
        self.state_name, self.published, self.problem = "compiling", -1, ""
        self.update_ms: deque[float] = deque(maxlen=1000)
        self.waited_s = 0.0
        self._taken: deque[Taken] = deque()  # batches not given back yet
        self._sequence = 0  # of the last batch used
        self._ring: BatchRing | None = None

        self.checkpoints = self._open_checkpoints(self.folder, config.learner.keep_checkpoints)
        try:
            self.learner = learning.Learner(self.agent, self._first_state(), config.learner.devices)
        except ValueError as error:  # fewer devices than configured
            raise ConfigError(str(error)) from None
        self._window = (time.monotonic(), self.learner.updates, 0.0)  # when, updates and waited_s at the last status

        count = parameter_count(self.agent)
        self.layout_hash = layout_hash(self.agent)
        self.mailbox = PolicyMailbox.create(names.policy(config.run.name, self.get_namespace()), count, self.layout_hash)
        self.info = self.create_publisher(PolicyInfo, "policy_info", LATCHED)
        self.parameters = (
            self.create_publisher(PolicyParameters, "policy_parameters", LATCHED) if config.learner.policy_topic else None
        )
        self.status = self.create_publisher(TrainingStatus, "training_status", 10)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(1.0, self._publish_status)
        self.create_service(Trigger, "~/checkpoint", self._on_checkpoint)
        self._checkpoint_asked = threading.Event()

    def close(self) -> None:
        super().close()
        self._publish_status()  # the final counts
        self.mailbox.close()

    # -- learning ------------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Compiles, then learns from the ring until stopped; publishes every K updates and writes checkpoints periodically."""
        config = self.config
        self._compile()
        self._publish_policy()
        self._checkpoint_due_s = time.monotonic() + config.learner.checkpoint_period_s
        hooks = (
            self._measure,
            learning.every(config.learner.publish_period, lambda _: self._publish_policy()),
            self._checkpoint_if_due,
        )
        try:
            self.learner.learn(
                self._batches(), give_back=self._give_back, after=hooks, on_skipped=self._name_skipped,
                max_skipped_updates=config.learner.max_skipped_updates,
            )  # fmt: skip
        except learning.NotFinite as error:
            self.fail(f"{error}; the last good checkpoint is update {self.checkpoints.latest()}")
        finally:
            self.state_name = "stopped"
            if self._ring:
                self._ring.close()
            self._checkpoint()
            self._keep(self._export)
            self._keep(self.checkpoints.close)
            self.exit_code = self.exit_code or int(bool(self.problem))

    def _compile(self) -> None:
        seconds = self.learner.compile(self.config.replay.batch_size)
        settings = f"{realtime.huge_pages()}; {realtime.kept_memory()}; {self._idle}"
        self.get_logger().info(f"compiled the update in {seconds:.1f} s; {settings}")
        self.state_name = "waiting"

    def _batches(self) -> Iterator[Batch | None]:
        """Batches from the ring until stopped; None if none is ready. Blocks only while no update is running."""
        while not self.stop.is_set():
            self.watchdog.beat()
            if self._ring is None:
                self._ring = self._attach()
            taken = self._take(0.0 if self._taken else TAKE_TIMEOUT_S)
            if taken is not None:
                self._taken.append(taken)
                self.state_name = "learning"
                yield taken.batch
                continue
            if not self._taken:
                self.state_name = "waiting"
                if self._ring is not None and self._ring.abandoned():
                    self._ring.close()
                    self._ring = None
            yield None

    def _attach(self) -> BatchRing | None:
        layout = batch_layout(self.spaces, self.config.replay.batch_size, self.config.agent.n_step)
        try:
            return BatchRing.attach(names.batches(self.config.run.name, self.get_namespace()), layout)
        except FileNotFoundError:
            self.stop.wait(0.2)
            return None

    def _take(self, timeout_s: float) -> Taken | None:
        began = time.monotonic()
        taken = self._ring.take(timeout_s) if self._ring else None
        self.waited_s += time.monotonic() - began
        return taken

    def _give_back(self, td_error: np.ndarray | None) -> None:
        self._sequence = self._taken.popleft().sequence
        self._ring.give_back(td_error)

    def _measure(self, learner: learning.Learner) -> None:
        self.update_ms.append(1e3 * learner.update_s)

    def _name_skipped(self, batch: Batch, td_error: np.ndarray) -> None:
        rows, bad = batch.index, ~np.isfinite(td_error)
        which = f"rows {rows[bad].tolist()} of the store" if bad.any() else "its gradient; every TD error is finite"
        update = f"update {self.learner.updates} skipped, batch {self._taken[0].sequence}"
        self.get_logger().warning(f"{update}: not finite because of {which}", throttle_duration_sec=1.0)

    # -- publishing ----------------------------------------------------------------------------------------------

    def _publish_policy(self) -> None:
        vector, version = self.learner.policy_vector(), self.learner.updates
        self.mailbox.write(version, self.session, vector)
        self.published = version
        info = PolicyInfo(session=self.session, version=version, parameter_count=vector.size, layout_hash=self.layout_hash)
        info.header.stamp = self.get_clock().now().to_msg()
        self.info.publish(info)
        if self.parameters:
            self.parameters.publish(PolicyParameters(info=info, data=vector.tobytes()))

    def _publish_status(self) -> None:
        updates_now, metrics = self.learner.updates, self.learner.metrics
        now, (then, updates, waited) = time.monotonic(), self._window
        self._window = (now, updates_now, self.waited_s)
        message = TrainingStatus(session=self.session, state=self.state_name, updates=updates_now, problem=self.problem)
        message.header.stamp = self.get_clock().now().to_msg()
        message.updates_per_s = (updates_now - updates) / (now - then)
        recent = list(self.update_ms)[updates - updates_now :] if updates_now > updates else []
        message.update_ms = median(recent) if recent else 0.0
        message.batch_wait_share = min(1.0, (self.waited_s - waited) / (now - then))
        latest = self.checkpoints.latest()
        message.policy_version, message.checkpoint = self.published, -1 if latest is None else latest
        values = {name: float(value) for name, value in metrics.items()}
        message.skipped_updates = int(values.get("skipped", 0))
        message.metric_names, message.metric_values = list(values), list(values.values())
        self.status.publish(message)
        self._diagnostics.publish(learner_diagnostics(self, message.header.stamp, message))

    # -- checkpoints ---------------------------------------------------------------------------------------------

    def _on_checkpoint(self, _, response):
        if self.state_name != "learning":
            latest = self.checkpoints.latest()
            newest = "there is none yet" if latest is None else f"the newest is update {latest}"
            return self.answered("~/checkpoint", response, False, f"checkpoint: the learner is {self.state_name}; {newest}")
        self._checkpoint_asked.set()
        message = f"checkpoint: written after update {self.learner.updates}, in {self.folder / 'checkpoints'}"
        return self.answered("~/checkpoint", response, True, message)

    def _open_checkpoints(self, folder: Path, keep: int | None) -> Checkpoints:
        return Checkpoints(folder / "checkpoints", self.agent, keep)

    def _first_state(self) -> TrainState:
        """The state from this run's checkpoint (after a crash), from another run (`learner.resume`), or an initial state."""
        resume, source = self.config.learner.resume, self.checkpoints
        try:
            if source.latest() is None:
                if not resume:
                    return self._fresh_state()
                source = self._open_checkpoints(Path(resume), keep=None)
            state, _ = source.restore()
        except CheckpointError as error:
            raise ConfigError(str(error)) from None
        finally:
            if source is not self.checkpoints:
                source.close()
        self.get_logger().info(f"resumed after {int(state.step)} updates")
        return state

    def _fresh_state(self) -> TrainState:
        state, folder = self.agent.init(self.config.run.seed), self.config.learner.encoder
        if not folder:
            return state
        try:
            return with_encoder(state, export.load(folder).params["encoder"])
        except ValueError as error:
            raise ConfigError(f"learner.encoder {folder}: {error}") from None

    def _checkpoint_if_due(self, _: learning.Learner) -> None:
        if self._checkpoint_asked.is_set() or time.monotonic() >= self._checkpoint_due_s:
            self._checkpoint_asked.clear()
            self._checkpoint_due_s = time.monotonic() + self.config.learner.checkpoint_period_s
            self._checkpoint()

    def _checkpoint(self) -> None:
        self.problem = ""
        self.watchdog.rest()  # it may wait long for a slow disk
        self._keep(lambda: self.checkpoints.save(self.learner.state, {"batches": self._sequence, "session": self.session}))

    def _keep(self, write: Callable[[], None]) -> None:
        """Calls `write`. If the disk is full, learning continues, and the next checkpoint is written when it is due."""
        try:
            write()
        except (OSError, CheckpointError) as error:
            self.problem = documents.one_line(error)
            last, period_s = self.checkpoints.latest(), self.config.learner.checkpoint_period_s
            self.get_logger().error(f"{self.problem}; the last good one is update {last}, the next try in {period_s:g} s")

    def _export(self) -> None:
        """Exports the current policy to `policy/` in the run folder, for use without ROS (`agent.export.load`)."""
        sections = ("control", "cameras", "sensors", "robot", "actions", "task")
        tree = self.config.model_dump(mode="json")
        export.save(self.folder / "policy", self.learner.policy_params(), self.agent, {name: tree[name] for name in sections})


def main(args=None) -> int:
    return run_node(Learner, args)


if __name__ == "__main__":
    sys.exit(main())
