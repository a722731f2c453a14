"""The gate between the actor and the robot's driver: nothing of ours reaches the robot but through here.

Hears: policy_command (Action), joint states, emergency_stop (std_msgs/Bool, true latches), and where configured the
robot's program_running, safety_mode and speed_scaling and a dead man's switch. Serves: `~/emergency_stop`, `~/release`.
Says: the robot's commands; applied_action in answer to every Action; safety_status ten times a second and when the
state changes; /diagnostics once a second.

A process of its own, so that nothing that learns, sees or logs can delay or crash it: it starts before anything can
command and ends last. Commands are judged in the thread that receives them, at once; a thread of its own, at a fixed
rate, watches what must not go stale. On the way out, whatever the reason, the robot is brought to rest first.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

if __name__ == "__main__":
    # Before anything imports it: OpenSSL, for hashes that this process never computes, is 4 MB of its 80.
    sys.modules.setdefault("_hashlib", None)

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import CallbackGroup
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64
from std_srvs.srv import Trigger

from jsac_ros.config import ConfigError
from jsac_ros.control import realtime
from jsac_ros.control.rate import FixedRate, Tick
from jsac_ros.control.safety import Decision, gate_of
from jsac_ros.control.timing import SAFETY_FILE, Timing, write_histograms
from jsac_ros.msg import Action, AppliedAction, SafetyStatus
from jsac_ros.nodes.diagnostics import safety_diagnostics
from jsac_ros.nodes.process import JsacNode, claim, run_node
from jsac_ros.nodes.robot_commands import SAYS_QUIETLY, commands_of
from jsac_ros.robots.joint_map import JointError, JointMap
from jsac_ros.robots.models import arm_of

_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# Without handlers for QoS events, each of which the executor would look at for every message.
_HEARS_QUIETLY = SubscriptionEventCallbacks(use_default_callbacks=False)
_STATUS_HZ = 10
_REST_TIMEOUT_S = 9.0  # its starter kills it after ten


class _Polled(CallbackGroup):
    """Of a subscription that no executor looks at: whoever needs its messages takes them. Joint states are needed when
    something is judged, and an executor that wakes for each of them costs 5 % of a core."""

    def can_execute(self, entity) -> bool:
        return False

    def beginning_execution(self, entity) -> bool:
        return False


class Safety(JsacNode):
    def __init__(self):
        super().__init__("safety", start_parameter_services=False)  # they cost the executor at every message
        config = self.config
        if config.shadow:
            raise ConfigError("robot.interface is 'none'; the safety node expects 'trajectory', 'velocity' or 'twist'")
        self._claim = claim(f"jsac_safety_{os.environ.get('ROS_DOMAIN_ID', '0')}_{self.get_fully_qualified_name()}")
        arm = arm_of(config.robot)
        self._gate = gate_of(config, arm)
        self._lock = threading.Lock()  # of the gate
        self._joints = len(arm)
        self._period_s = 1.0 / config.safety.rate_hz
        self._rate = FixedRate(self._period_s)
        self._joint_map = JointMap(arm.names)
        self._joint_problem = ""
        self._ending = False
        self._shown = ("waiting", "")
        self._others: tuple[str, ...] = ()
        self._unheard = ""
        self._ticks = 0
        self._timings = {"lateness": Timing(), "done": Timing(), "command": Timing()}
        self._make_topics(arm.names)
        if why := os.environ.get("JSAC_SAFETY_LATCHED", ""):
            self._gate.emergency_stop(why)

    def _make_topics(self, names: tuple[str, ...]) -> None:
        robot, safety = self.config.robot, self.config.safety
        self._commands = commands_of(self, robot, names, safety.max_joint_jerk_rad_s3 > 0)
        self._applied = self.create_publisher(AppliedAction, "applied_action", 10, event_callbacks=SAYS_QUIETLY)
        self._status = self.create_publisher(SafetyStatus, "safety_status", 10, event_callbacks=SAYS_QUIETLY)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10, event_callbacks=SAYS_QUIETLY)
        sensor = qos_profile_sensor_data
        heard = [
            (Action, "policy_command", self._on_action, 1),
            # Twice what must be heard whoever says it: a reliable or latched subscription hears no lesser publisher.
            (Bool, "emergency_stop", self._on_emergency_stop, 10),
            (Bool, "emergency_stop", self._on_emergency_stop, sensor),
            (Bool, robot.program_running_topic, self._on_program, _LATCHED),
            (Bool, robot.program_running_topic, self._on_program, sensor),
            *self._safety_mode(),
            (Float64, robot.speed_scaling_topic, self._on_scaling, sensor),
            (Bool, safety.dead_man_topic, self._on_dead_man, sensor),
        ]
        for kind, topic, callback, qos in heard:
            if topic:  # empty: not configured
                self.create_subscription(kind, topic, callback, qos, event_callbacks=_HEARS_QUIETLY)
        self._joint_states = None
        if robot.interface != "twist":
            self._joint_states = self.create_subscription(
                JointState, robot.joint_states_topic, self._on_joints, sensor,
                callback_group=_Polled(), event_callbacks=_HEARS_QUIETLY,
            )  # fmt: skip
        self.create_service(Trigger, "~/emergency_stop", self._on_stop_service)
        self.create_service(Trigger, "~/release", self._on_release_service)
        self.create_timer(1.0, self._each_second)

    def _safety_mode(self) -> list[tuple]:
        """The subscription of the robot's safety mode, whose message comes with the driver; without it, none."""
        if not (topic := self.config.robot.safety_mode_topic):
            return []
        try:
            from ur_dashboard_msgs.msg import SafetyMode
        except ImportError:
            self.get_logger().info(f"{topic} is not watched: ur_dashboard_msgs is not installed")
            return []
        return [(SafetyMode, topic, lambda message: self._on_safety_mode(message.mode), _LATCHED)]

    # -- what is heard (executor thread) -------------------------------------------------------------------------

    def _on_action(self, message: Action) -> None:
        came_s = time.monotonic()
        observed = message.observation_stamp
        observed_s = self._steady(observed, came_s) if observed.sec or observed.nanosec else None
        sent_s = self._steady(message.header.stamp, came_s)
        self._await_cycle()
        with self._lock:
            self._take_joints()
            decision = self._gate.command(time.monotonic(), np.array(message.velocity), sent_s, observed_s)
            if decision.motion is not None:
                self._commands.send(decision.motion)
        self._timings["command"].add((time.monotonic() - came_s) * 1e3)
        self._answer(message.tick, decision)

    def _answer(self, tick: int, decision: Decision) -> None:
        answer = AppliedAction(tick=tick, intervened=decision.intervened, rules=decision.rules)
        answer.header.stamp = self.get_clock().now().to_msg()
        answer.velocity = decision.velocity.tolist()
        self._applied.publish(answer)

    def _await_cycle(self) -> None:
        """At most 2 ms, and mostly none: until what is decided now begins in a cycle of the robot's that is known."""
        with self._lock:
            wait_s = self._gate.wait_s(time.monotonic())
        if wait_s > 0:
            time.sleep(wait_s)

    def _take_joints(self) -> None:
        """What has come since the last look; the lock is held."""
        if self._joint_states is None:
            return
        queue = self._joint_states.handle
        with queue:
            while (taken := queue.take_message(JointState, False)) is not None:
                message, info = taken
                waited_s = max(time.time_ns() - info["received_timestamp"], 0) * 1e-9
                self._on_joints(message, time.monotonic() - waited_s)

    def _on_joints(self, message: JointState, came_s: float) -> None:
        try:
            q, _ = self._joint_map(message.name, message.position, message.velocity)
        except JointError as error:  # as good as none: the limit on their age does the rest
            self._joint_problem = str(error)
            self.get_logger().error(str(error), throttle_duration_sec=1.0)
            return
        self._joint_problem = ""
        self._gate.joints(q, self._steady(message.header.stamp, came_s))

    def _steady(self, stamp, came_s: float) -> float:
        """When a message was true, on the steady clock: its stamp where it has one, never later than it came."""
        stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
        if stamp_ns == 0:
            return came_s
        return min(time.monotonic() - (self.get_clock().now().nanoseconds - stamp_ns) * 1e-9, came_s)

    def _on_emergency_stop(self, message: Bool) -> None:
        if message.data:
            self._stop_now("topic emergency_stop")

    def _on_stop_service(self, _, response: Trigger.Response) -> Trigger.Response:
        self._stop_now("service emergency_stop")
        response.success, response.message = True, "stopped; service release lets it move again"
        return response

    def _stop_now(self, why: str) -> None:
        self._await_cycle()
        with self._lock:
            self._gate.emergency_stop(why)
            self._watch(time.monotonic())

    def _on_release_service(self, _, response: Trigger.Response) -> Trigger.Response:
        with self._lock:
            why, ending = self._gate.stopped, self._ending
            if not ending:
                self._gate.release()
        response.success = not ending
        response.message = "the safety node is ending" if ending else f"released ({why or 'it was not stopped'})"
        self.get_logger().warning(response.message)
        return response

    def _on_program(self, message: Bool) -> None:
        with self._lock:
            self._gate.program_running(message.data)

    def _on_safety_mode(self, mode: int) -> None:
        with self._lock:
            self._gate.safety_mode(mode)

    def _on_scaling(self, message: Float64) -> None:
        with self._lock:
            self._gate.speed_scaling(message.data)

    def _on_dead_man(self, message: Bool) -> None:
        with self._lock:
            self._gate.dead_man_held(time.monotonic(), message.data)

    # -- the watch (its own thread) ------------------------------------------------------------------------------

    def _watch_on(self) -> None:
        """Until stopped; then, whatever ended it, brings the robot to rest."""
        try:
            self._take_rights()
            while (tick := self._rate.wait()) is not None:
                self._ticks += 1
                self._timings["lateness"].add((tick.begun_ns - tick.due_ns) * 1e-6)
                self._await_cycle()
                with self._lock:
                    self._watch(time.monotonic())
                self._timings["done"].add((time.monotonic_ns() - tick.due_ns) * 1e-6)
                self._tell(tick)
        except BaseException as error:
            self.fail(f"the watch ended: {error!r}")
            raise
        finally:
            self._come_to_rest()

    def _take_rights(self) -> None:
        measures = (
            realtime.short_switch_interval(),
            realtime.fine_timers(),
            realtime.freeze_garbage(),
            *realtime.process_first(self.config.realtime.fifo_priority),
        )
        self.get_logger().info("; ".join(map(str, measures)))
        self.get_logger().info(f"at rest at the latest {self._gate.rest_s:.2f} s after the last command")

    def _watch(self, now_s: float) -> None:
        """One look at the joints and the rules; the lock is held."""
        self._take_joints()
        motion = self._gate.watch(now_s).motion
        if motion is not None:
            self._commands.send(motion)
        self._commands.period(self._gate.velocity(now_s + self._period_s))

    def _come_to_rest(self) -> None:
        """Nothing is obeyed any more; returns when the robot has been told to be at rest and had the time for it."""
        rate, deadline_s = FixedRate(self._period_s), time.monotonic() + _REST_TIMEOUT_S
        try:
            with self._lock:
                self._ending = True
                self._gate.emergency_stop("the safety node is ending")
            while rate.wait() is not None:
                self._await_cycle()
                now_s = time.monotonic()
                with self._lock:
                    self._watch(now_s)
                    if not self._gate.moving(now_s) or now_s > deadline_s:
                        break
        finally:
            # The last word, whatever went wrong before it: a velocity controller repeats it for ever.
            self._commands.period(np.zeros(self._joints))

    def _tell(self, tick: Tick) -> None:
        """The status, at its rate and when the state changes."""
        shown = self._state()
        if shown == self._shown and tick.number % max(1, round(self.config.safety.rate_hz / _STATUS_HZ)):
            return
        if shown[0] != self._shown[0]:
            self.get_logger().info(": ".join(filter(None, shown)))
        self._shown = shown
        self._status.publish(self._status_message(*shown))

    def _state(self) -> tuple[str, str]:
        with self._lock:
            state, reason = self._gate.state(time.monotonic())
        return state, "; ".join(filter(None, (reason, self._joint_problem, self._unheard, *self._others)))

    def _status_message(self, state: str, reason: str) -> SafetyStatus:
        with self._lock:
            counts = sorted(self._gate.counts.items())
        message = SafetyStatus(
            state=state,
            reason=reason,
            emergency_stop=bool(self._gate.stopped),
            ticks=self._ticks,
            missed=self._rate.missed,
            lateness_ms=self._lateness_ms,
            rule_names=[name for name, _ in counts],
            rule_counts=[count for _, count in counts],
        )
        message.header.stamp = self.get_clock().now().to_msg()
        return message

    # -- once a second (executor thread) -------------------------------------------------------------------------

    _lateness_ms = [float("nan")] * 4

    def _each_second(self) -> None:
        self._lateness_ms = np.array(self._timings["lateness"].last(), np.float32)
        command_ms = self._timings["command"].last()
        self._look_for_others()
        stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(
            safety_diagnostics(
                self, stamp, self._status_message(*self._shown), command_ms, 1e3 * self._period_s, alarm=bool(self._others)
            )
        )

    def _look_for_others(self) -> None:
        """A second publisher on the robot's command topic: the gate guards nothing then, so a person must know. And
        whether anybody hears us, such as a controller that is not active."""
        topic = self._commands.topic
        publishers = [p.node_namespace.rstrip("/") + "/" + p.node_name for p in self.get_publishers_info_by_topic(topic)]
        here = self.get_fully_qualified_name()
        if here in publishers:
            publishers.remove(here)  # once: another one of this name is a stranger too
        others = tuple(f"{name} also commands {topic}" for name in sorted(set(publishers)))
        if others and others != self._others:
            with self._lock:
                self._gate.counts["second_publisher"] += 1
            self.get_logger().error("; ".join(others) + ": the limits here do not hold for it")
        self._others = others
        self._unheard = "" if self.count_subscribers(topic) else f"nobody hears {topic}: is the robot's controller active?"

    # -- life ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        self._thread = threading.Thread(target=self._watch_on, name="watch")
        self._thread.start()
        super().run()

    def close(self) -> None:
        self._rate.stop()
        if hasattr(self, "_thread"):
            self._thread.join()
        if folder := os.environ.get("JSAC_RUN_FOLDER", ""):
            write_histograms(Path(folder) / SAFETY_FILE, self._timings)


def main(args=None) -> int:
    return run_node(Safety, args)


if __name__ == "__main__":
    raise SystemExit(main())
