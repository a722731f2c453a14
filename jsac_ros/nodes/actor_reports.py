"""Reports of the actor: control_status and /diagnostics once a second, an Episode at the end of each episode, and histograms
in the run folder."""

from __future__ import annotations

import math
import time
from collections import deque
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray

from jsac_ros.control.rate import Clock, Tick
from jsac_ros.control.session import Choice, EpisodeResult, Outcome, Session, View
from jsac_ros.control.timing import FILE, Timing, write_histograms
from jsac_ros.msg import ControlStatus, Episode
from jsac_ros.nodes.acting import Acting
from jsac_ros.nodes.diagnostics import actor_diagnostics
from jsac_ros.nodes.process import JsacNode
from jsac_ros.replay.outbox import Outbox
from jsac_ros.report.tables import Table
from jsac_ros.rig import JOINTS

WRITE_PERIOD_S = 10.0
SHADOW_ROWS = 10_000  # most actions of shadow mode that wait to be written
SHADOW_FIRST = 90_000  # all of these are written (an hour), later those of one episode in ten: 20 MB a day
TIMINGS = (
    "lateness", "done", "obs_to_command", "image_age", "joint_age", "image_joint_skew", "inference", "policy_age",
)  # fmt: skip


class ActorReports:
    """The control thread calls `tick` and `shadow`; the timers run in the executor."""

    def __init__(
        self, node: JsacNode, folder: Path, session: Session, acting: Acting, outbox: Outbox, robot: str, clock: Clock
    ):
        self._node, self._folder, self._robot, self._clock = node, folder, robot, clock
        self._session, self._acting, self._outbox = session, acting, outbox
        self._cameras, self._flat = tuple(session.rig.images), session.rig.spaces.flat_action
        self._timings = {name: Timing() for name in TIMINGS}
        self._ticks = self._missed = self._ticks_said = self._missed_said = 0
        self._said_s = time.monotonic()
        self._status = node.create_publisher(ControlStatus, "control_status", 10)
        self._episodes = node.create_publisher(Episode, "episode", 10)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        node.create_timer(1.0, self._publish)
        node.create_timer(WRITE_PERIOD_S, self._write_down)
        self._shadow_rows: deque[dict[str, object]] = deque(maxlen=SHADOW_ROWS)  # not written yet
        self._shadow_table = Table(folder / "shadow_actions.csv") if node.config.shadow else None
        self._shadowed = len(self._shadow_table.rows) if self._shadow_table else 0

    # -- control thread ------------------------------------------------------------------------------------------

    def tick(self, tick: Tick, view: View, outcome: Outcome) -> None:
        """Call when the command of a tick has been published."""
        self._ticks += 1
        self._missed += tick.missed
        add = {name: timing.add for name, timing in self._timings.items()}
        add["lateness"]((tick.begun_ns - tick.due_ns) * 1e-6)
        now_ns = self._clock.now_ns()
        add["done"]((now_ns - tick.due_ns) * 1e-6)
        if outcome.acted:
            image_age_s = max((view.ages_s[name] for name in self._cameras), default=math.nan)  # of the oldest
            add["image_age"](1e3 * image_age_s)
            add["joint_age"](1e3 * view.ages_s[JOINTS])
            add["inference"](self._acting.inference_ms)
            add["obs_to_command"](1e3 * (image_age_s + now_ns * 1e-9 - view.time_s))
            stamps, joints_ns = view.source_stamps_ns, view.source_stamps_ns[JOINTS]
            skews = [abs(stamps[name] - joints_ns) for name in self._cameras if stamps[name] and joints_ns]
            add["image_joint_skew"](max(skews, default=math.nan) * 1e-6)
            if self._acting.version is not None:
                add["policy_age"](1e3 * self._acting.policy_age_s)

    def episode(self, result: EpisodeResult) -> None:
        message = Episode(
            robot=self._robot, session=self._session.session, episode=result.episode, steps=result.steps,
            episode_return=result.episode_return, success=result.success, terminated=result.terminated,
            truncated=result.truncated, reason=result.reason, duration=result.duration_s,
            reset_duration=result.reset_duration_s, policy_version=result.policy_version, evaluation=result.evaluation,
            interventions=result.interventions, intervened_steps=result.intervened_steps,
        )  # fmt: skip
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._episodes.publish(message)

    def shadow(self, episode: int, step: int, choice: Choice) -> None:
        """Records the action that the policy would have taken; after SHADOW_FIRST, in one episode of ten."""
        self._shadowed += 1
        if self._shadowed > SHADOW_FIRST and episode % 10:
            return
        action = {f"action.{k}": float(value) for k, value in enumerate(self._flat(choice.action))}
        self._shadow_rows.append({"episode": episode, "step": step, "policy_version": choice.version} | action)

    # -- executor ------------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        now_s, session = time.monotonic(), self._session
        message = ControlStatus(robot=self._robot, session=session.session, reason=session.reason)
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.state = "shadow" if self._node.config.shadow and session.state == "acting" else session.state
        message.ticks, message.missed = self._ticks, self._missed
        message.rate_hz = (self._ticks - self._ticks_said) / (now_s - self._said_s)
        self._ticks_said, self._said_s = self._ticks, now_s
        last = {name: timing.last() for name, timing in self._timings.items()}
        for name, values in last.items():
            setattr(message, f"{name}_ms", list(values))
        message.policy_age_s = self._acting.policy_age_s
        message.policy_version = -1 if self._acting.version is None else self._acting.version
        message.sent, message.unacknowledged = self._outbox.sent, len(self._outbox)
        message.dropped = self._outbox.dropped
        message.episode, message.step = session.episode, session.step
        self._status.publish(message)
        missed, self._missed_said = message.missed - self._missed_said, message.missed
        self._diagnostics.publish(actor_diagnostics(self._node, message.header.stamp, message, last, missed))

    def _write_down(self) -> None:
        self._node.written(FILE, self.write)
        if self._shadow_table:
            self._node.written.say(self._shadow_table.path.name, self._shadow_table.problem)

    def write(self) -> None:
        """Writes the histograms of the whole run and the actions of shadow mode."""
        while self._shadow_rows:
            self._shadow_table.append(self._shadow_rows.popleft())
        write_histograms(self._folder / FILE, self._timings)

    def close(self) -> None:
        self._publish()  # the final counts
        self._write_down()
        if self._shadow_table:
            self._shadow_table.close()
