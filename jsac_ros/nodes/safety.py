"""Safety: the gate between the actor and the robot's driver. Every command of jsac_ros to the robot passes through it.

Subscribes  policy_command (Action), joint states, emergency_stop (std_msgs/Bool, true latches), and if configured the
            robot's program_running, safety_mode and speed_scaling, the wrench and a dead man's switch
Publishes   commands of the robot and its grippers; applied_action in answer to every Action; safety_status ten times a second
            and when the state changes; /diagnostics once a second
Serves      `~/emergency_stop`, `~/release`

A process so that learning, vision and logging can neither delay nor crash it; it starts before any node that commands
and stops last. The thread that receives a command checks it immediately; a second thread checks at a fixed rate
that no input has gone stale. When the process ends, for whatever reason, it brings the robot to rest first.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

if __name__ == "__main__":
    # Prevents the import of OpenSSL, for hashes that this process never computes: 4 of its 80 MB.
    sys.modules.setdefault("_hashlib", None)

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from jsac_ros import plugins
from jsac_ros.config import ConfigError
from jsac_ros.control import realtime
from jsac_ros.control.rate import FixedRate, Tick
from jsac_ros.control.safety import Decision, gate_of
from jsac_ros.control.stamps import StampError
from jsac_ros.control.timing import SAFETY_FILE, Timing, write_histograms
from jsac_ros.msg import Action, AppliedAction, Output, SafetyStatus
from jsac_ros.nodes.diagnostics import safety_diagnostics
from jsac_ros.nodes.drivers import Drivers
from jsac_ros.nodes.measurements import Measurements, steady_s
from jsac_ros.nodes.parameters import PolledParameters
from jsac_ros.nodes.process import JsacNode, run_node
from jsac_ros.nodes.qos import HEARS_QUIETLY, LATCHED, SAYS_QUIETLY
from jsac_ros.ros_graph import sender_of

_STATUS_HZ = 10
_REST_TIMEOUT_S = 9.0  # its starter kills it after ten


class Safety(JsacNode):
    kinds = ("robot",)  # runs no code of tasks or algorithms
    max_hang_s = 5.0  # it never waits for a disk, and `interface: velocity` keeps the robot moving until it is started again

    def __init__(self):
        super().__init__("safety", start_parameter_services=False)
        self._parameter_services = PolledParameters(self)  # an executor would check them at every message
        config = self.config
        if config.shadow:
            raise ConfigError("robot.interface is 'none'; the safety node expects 'trajectory', 'velocity', 'pose' or 'twist'")
        robot = plugins.make("robot", config.robot.type, config.robot)
        self._gate = gate_of(config, robot)
        self._lock = threading.Lock()  # protects the gate
        self._joints = robot.motion_size
        self._period_s = 1.0 / config.safety.rate_hz
        self._rate = FixedRate(self._period_s)
        self._ending = False
        self._shown = ("waiting", "")
        self._ticks = 0
        self._timings = {"lateness": Timing(), "done": Timing(), "command": Timing()}
        self._watcher = threading.Thread(target=self._watch_on, name="watch")
        self._drivers = Drivers(self, robot)
        self._measurements = Measurements(self, self._gate, robot)
        self._make_topics()
        if why := os.environ.get("JSAC_SAFETY_LATCHED", ""):
            self._gate.emergency_stop(why)

    def _make_topics(self) -> None:
        robot, safety = self.config.robot, self.config.safety
        self._applied = self.create_publisher(AppliedAction, "applied_action", 10, event_callbacks=SAYS_QUIETLY)
        self._status = self.create_publisher(SafetyStatus, "safety_status", 10, event_callbacks=SAYS_QUIETLY)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10, event_callbacks=SAYS_QUIETLY)
        sensor = qos_profile_sensor_data
        heard = [
            (Action, "policy_command", self._on_action, 1),
            # Two subscriptions each, as a reliable or latched subscription does not match a best-effort publisher.
            (Bool, "emergency_stop", self._on_emergency_stop, 10),
            (Bool, "emergency_stop", self._on_emergency_stop, sensor),
            (Bool, robot.program_running_topic, self._on_program, LATCHED),
            (Bool, robot.program_running_topic, self._on_program, sensor),
            *self._safety_mode(),
            (Bool, safety.dead_man_topic, self._on_dead_man, sensor),
        ]
        for kind, topic, callback, qos in heard:
            if topic:  # empty: not configured
                self.create_subscription(kind, topic, callback, qos, event_callbacks=HEARS_QUIETLY)
        self.create_service(Trigger, "~/emergency_stop", self._on_stop_service)
        self.create_service(Trigger, "~/release", self._on_release_service)
        self.create_timer(1.0, self._each_second)

    def _safety_mode(self) -> list[tuple]:
        """The subscription of the robot's safety mode; none if the driver's message type is not installed."""
        if not (topic := self.config.robot.safety_mode_topic):
            return []
        try:
            from ur_dashboard_msgs.msg import SafetyMode
        except ImportError:
            self.get_logger().info(f"{topic} is not watched: ur_dashboard_msgs is not installed")
            return []
        return [(SafetyMode, topic, lambda message: self._on_safety_mode(message.mode), LATCHED)]

    # -- callbacks (executor thread) -----------------------------------------------------------------------------

    def _on_action(self, message: Action) -> None:
        came_s = time.monotonic()
        sent_s, observed_s, velocity = None, None, np.array(message.velocity)
        try:
            sent_s = steady_s(self, message.header.stamp, "header")
            if message.observation_stamp.sec or message.observation_stamp.nanosec:
                observed_s = steady_s(self, message.observation_stamp, "header")
        except StampError as error:
            velocity = None
            self.refusals.add("policy_command", error)
        self._await_cycle()
        with self._lock:
            self._measurements.take()
            if message.is_first:
                self._gate.begin_episode()
            outputs = {output.name: output.values for output in message.outputs}
            decision = self._gate.command(time.monotonic(), velocity, sent_s, observed_s, outputs)
            self._drivers.execute(decision)
        self._timings["command"].add((time.monotonic() - came_s) * 1e3)
        self._answer(message.tick, decision)

    def _answer(self, tick: int, decision: Decision) -> None:
        answer = AppliedAction(tick=tick, intervened=decision.intervened, rules=decision.rules)
        answer.header.stamp = self.get_clock().now().to_msg()
        answer.velocity = decision.velocity.tolist()
        answer.outputs = [Output(name=name, values=values) for name, values in decision.outputs.items()]
        self._applied.publish(answer)

    def _await_cycle(self) -> None:
        """Waits up to 2 ms, mostly not at all, until a motion decided now would start in a known cycle of the robot."""
        with self._lock:
            wait_s = self._gate.wait_s(time.monotonic())
        if wait_s > 0:
            time.sleep(wait_s)

    def _on_emergency_stop(self, message: Bool) -> None:
        if message.data:
            is_first = not self._gate.stopped
            self._stop_now("topic emergency_stop")
            if is_first:
                self.get_logger().warning(f"stopped (by {sender_of(self, 'emergency_stop')})")

    def _on_stop_service(self, _, response: Trigger.Response) -> Trigger.Response:
        self._stop_now("service emergency_stop")
        return self.answered("~/emergency_stop", response, True, "emergency-stop: stopped; jsac-ros release lets it move again")

    def _stop_now(self, why: str) -> None:
        self._await_cycle()
        with self._lock:
            self._gate.emergency_stop(why)
            self._watch(time.monotonic())

    def _on_release_service(self, _, response: Trigger.Response) -> Trigger.Response:
        with self._lock:
            why, ending = self._gate.stopped, self._ending
            if not ending:
                self._measurements.forget_sources()
                self._gate.release()
        said = "the safety node is ending" if ending else f"released ({why or 'it was not stopped'})"
        return self.answered("~/release", response, not ending, f"release: {said}")

    def _on_program(self, message: Bool) -> None:
        with self._lock:
            self._gate.program_running(message.data)

    def _on_safety_mode(self, mode: int) -> None:
        with self._lock:
            self._gate.safety_mode(mode)

    def _on_dead_man(self, message: Bool) -> None:
        with self._lock:
            self._gate.dead_man_held(time.monotonic(), message.data)

    # -- the watch (second thread) -------------------------------------------------------------------------------

    def _watch_on(self) -> None:
        """Checks the inputs at a fixed rate until stopped; then brings the robot to rest, whatever the reason."""
        try:
            self._take_rights()
            while (tick := self._rate.wait()) is not None:
                self._ticks += 1
                self.watchdog.beat()
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
            self.watchdog.rest()

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
        """One check of inputs and rules. Call with the lock held."""
        self._measurements.take()
        decision = self._gate.watch(now_s)
        self._drivers.execute(decision)
        next_s = now_s + self._period_s
        self._drivers.period(self._gate.velocity(next_s), self._gate.position(next_s))
        self._drivers.open(now_s, self._gate.grippers.step(now_s, bool(self._gate.reasons)))

    def _come_to_rest(self) -> None:
        """Accepts no more commands; returns when the robot has been commanded to rest and has had time to reach it."""
        rate, deadline_s = FixedRate(self._period_s), time.monotonic() + _REST_TIMEOUT_S
        try:
            with self._lock:
                self._ending = True
                self._gate.emergency_stop("the safety node is ending")
            while rate.wait() is not None:
                self.watchdog.beat()
                self._await_cycle()
                now_s = time.monotonic()
                with self._lock:
                    self._watch(now_s)
                    if not self._gate.moving(now_s) or now_s > deadline_s:
                        break
        finally:
            # Sent even after an error, because a velocity controller repeats the last command forever.
            self._drivers.period(np.zeros(self._joints))

    def _tell(self, tick: Tick) -> None:
        """Publishes the status, at its rate and when the state changes."""
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
        measured, drivers = self._measurements, self._drivers
        reasons = reason, measured.joint_problem, measured.wrench_problem, drivers.unheard, *drivers.others
        return state, "; ".join(filter(None, reasons))

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
        self._parameter_services.answer()
        self._look_at_drivers()
        stamp, status, period_ms = self.get_clock().now().to_msg(), self._status_message(*self._shown), 1e3 * self._period_s
        said = safety_diagnostics(self, stamp, status, command_ms, period_ms, alarm=bool(self._drivers.others))
        self._diagnostics.publish(said)

    def _look_at_drivers(self) -> None:
        """Checks that the drivers are connected, and reports any second publisher of commands."""
        are_new = self._drivers.look()
        with self._lock:
            self._gate.gripper_problem(self._drivers.gripper_problem)
            if are_new:
                self._gate.counts["second_publisher"] += 1
        if are_new:
            self.get_logger().error("; ".join(self._drivers.others) + ": the limits here do not hold for it")

    # -- life ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        self._watcher.start()
        super().run()

    def close(self) -> None:
        self._rate.stop()
        if self._watcher.is_alive():
            self._watcher.join()
        if folder := os.environ.get("JSAC_RUN_FOLDER", ""):
            self.written(SAFETY_FILE, lambda: write_histograms(Path(folder) / SAFETY_FILE, self._timings))


def main(args=None) -> int:
    return run_node(Safety, args)


if __name__ == "__main__":
    raise SystemExit(main())
