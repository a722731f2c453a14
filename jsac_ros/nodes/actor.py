"""Actor: observes, acts and publishes at a fixed rate, and sends what it lived through to replay.

The newest camera frame and joint state go into slots (executor, main thread); one control thread with absolute
deadlines reads them, decides and publishes. With `use_sim_time` its rate and every age follow /clock. Nothing is learned
here, and nothing here talks to the robot's driver.

Hears   camera, joint states, applied_action, safety_status, transition_ack, the policy mailbox (or policy_parameters);
        human_action (a person's velocities, take over while they are fresh)
Says    policy_command (in shadow mode shadow_command instead), transitions, episode, control_status, /diagnostics
Asks    new_target, at every reset
Serves  actor/start, pause, resume, stop, reset, evaluate
A process of its own so that control never waits for learning or sampling.
"""

from __future__ import annotations

import queue
import secrets
import sys
import time

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import BatteryState, CompressedImage, Image, JointState
from std_msgs.msg import Bool, Float64MultiArray
from std_srvs.srv import Trigger

from jsac_ros import config as configuration
from jsac_ros.control import realtime
from jsac_ros.control.rate import FixedRate, ReceivedClock, SteadyClock
from jsac_ros.control.session import Choice, Outcome, Session, View
from jsac_ros.control.shaping import ActionShaper
from jsac_ros.messages import to_ns
from jsac_ros.msg import Action, AppliedAction, PolicyParameters, SafetyStatus
from jsac_ros.nodes.acting import Acting
from jsac_ros.nodes.actor_reports import ActorReports
from jsac_ros.nodes.inputs import FrameClock, Inputs
from jsac_ros.nodes.process import WorkingNode, claim, run_folder, run_node
from jsac_ros.nodes.transitions import TransitionSender, to_time
from jsac_ros.replay import names
from jsac_ros.robots.models import arm_of
from jsac_ros.tasks import make_task

HUMAN_MAX_AGE_S = 0.25
SAFETY_MAX_AGE_S = 0.5
NEW_TARGET_TIMEOUT_S = 1.0


class Actor(WorkingNode):
    doing = "control"

    def __init__(self):
        super().__init__("actor")
        config = self.config
        arm = arm_of(config.robot)
        self.robot = config.run.name if not self.get_namespace().strip("/") else self.get_namespace().strip("/")
        self._claimed = claim(f"{names.system(config.run.name)}_actor_{self.robot}")
        self.folder = run_folder(config)
        self.spec = configuration.spec_of(config, len(arm))
        self.shaper = ActionShaper(config.task)
        session = secrets.randbits(63)
        self.session = Session(make_task(config, arm), self.spec, self.shaper, self.robot, session, len(arm))
        self.acting = Acting(config, self.spec, session, self.get_logger())
        self.follows_clock = self.get_parameter("use_sim_time").value
        self.clock = ReceivedClock() if self.follows_clock else SteadyClock()
        self.inputs = Inputs(config, arm, self.get_logger(), self.clock)
        self.sender = TransitionSender(self, self.robot, session)
        self.reports = ActorReports(self, self.folder, self.session, self.acting, self.sender.outbox, self.robot, self.clock)
        self._requests: queue.SimpleQueue = queue.SimpleQueue()
        self._applied: tuple[int, np.ndarray] = (-1, np.zeros(len(arm)))
        self._safety: tuple[float, SafetyStatus | None] = (0.0, None)
        self._human: tuple[float, np.ndarray | None] = (0.0, None)
        self._commands = 0
        self._target_asked_s = -NEW_TARGET_TIMEOUT_S
        self._connect()

    def _connect(self) -> None:
        """Everything but the robot's own topics, which are heard once we are ready to act on them."""
        config = self.config
        topic = "shadow_command" if config.shadow else "policy_command"
        self.command = self.create_publisher(Action, topic, 1)
        self.create_subscription(AppliedAction, "applied_action", self._on_applied, 10)
        self.create_subscription(SafetyStatus, "safety_status", self._on_safety, 10)
        self.create_subscription(Float64MultiArray, "human_action", self._on_human, 1)
        if config.learner.policy_topic:
            latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            self.create_subscription(PolicyParameters, "policy_parameters", self.acting.on_parameters, latched)
        if self.follows_clock:
            told = lambda message: self.clock.set(to_ns(message.clock))  # noqa: E731
            self.create_subscription(ClockMessage, "/clock", told, qos_profile_sensor_data)
        self.new_target = self.create_client(Trigger, "new_target")
        for verb in ("start", "pause", "resume", "stop", "reset", "evaluate"):
            self.create_service(Trigger, f"~/{verb}", lambda _, response, verb=verb: self._on_request(verb, response))

    def _hear_robot(self) -> None:
        config, inputs = self.config, self.inputs
        # Every frame of a recording is a step: reliable, and deep enough to survive a busy moment.
        qos = QoSProfile(depth=100) if config.robot.driver == "bag" else qos_profile_sensor_data
        if self.spec.height:
            kind = CompressedImage if config.camera.compressed else Image
            self.create_subscription(kind, config.camera.topic, inputs.on_image, qos)
        self.create_subscription(JointState, config.robot.joint_states_topic, inputs.on_joints, qos)
        if config.bag.action_topic:
            self.create_subscription(Float64MultiArray, "recorded_action", inputs.on_recorded_action, 100)
        task = self.session.task
        if config.robot.bumper_topic and hasattr(task, "contact"):
            self.create_subscription(
                Bool, config.robot.bumper_topic, lambda message: setattr(task, "contact", message.data), 1
            )
        if config.robot.battery_topic and hasattr(task, "battery"):
            self.create_subscription(
                BatteryState, config.robot.battery_topic, lambda message: setattr(task, "battery", message.percentage), 1
            )

    def close(self) -> None:
        super().close()
        self.acting.close()
        self.reports.close()

    # -- control thread ------------------------------------------------------------------------------------------

    def work(self) -> None:
        try:
            self._prepare()
            self._control()
        finally:
            self._finish()

    def _prepare(self) -> None:
        """Compiles every shape and waits for the first policy; only then may the robot move."""
        self.acting.warm_up()
        self.session.reason = "the learner's first policy"
        while not self.stop.is_set() and self.acting.version is None:
            self.stop.wait(0.05)
        self.session.reason = "/clock"
        while not self.stop.is_set() and self.clock.now_ns() == 0:
            self.stop.wait(0.05)
        if self.config.robot.driver == "external":
            self.session.reason = "jsac-ros start"
        else:
            self._requests.put("start")
        self._hear_robot()
        limits = self.config.realtime
        for applied in (
            realtime.freeze_garbage(),
            realtime.short_switch_interval(),
            realtime.fine_timers(),
            # The others too, below this one: it waits for whichever of them holds the interpreter or brings a message.
            *realtime.process_first(limits.fifo_priority and max(1, limits.fifo_priority - 1)),
            realtime.thread_fifo(limits.fifo_priority),
            realtime.pin(limits.actor_cpu),
            realtime.nice_ranks(),
        ):
            self.get_logger().info(str(applied))

    def _control(self) -> None:
        """The loop: one tick, one observation, one command; then what can wait."""
        config = self.config
        by_frame = config.task.trigger == "frame"
        if by_frame:
            clock = FrameClock(self.inputs, config.camera.max_age_s, every_frame=config.robot.driver == "bag")
        else:
            clock = FixedRate(config.task.control_period_s, self.clock, self.stop)
        ends_s = None
        while not self.stop.is_set() and (tick := clock.wait()) is not None:
            frame = clock.frame if by_frame else self.inputs.newest_frame()
            view = self.inputs.view(tick, frame, self._safety_problem())
            self._serve_requests()
            outcome = self.session.tick(view, self._choose, self._executed())
            self._publish(outcome, view)
            self.reports.tick(tick, view, outcome)
            self._send(outcome)
            if config.run.duration_s and ends_s is None and outcome.acted:
                ends_s = view.steady_s + config.run.duration_s - self._acted_for_s()
            if ends_s is not None and view.steady_s >= ends_s:
                break

    def _acted_for_s(self) -> float:
        """Since the run's first action, were it that of an actor that has died since."""
        began = self.folder / "first_action_unix_s"
        if not began.exists():
            began.write_text(f"{time.time():.3f}\n")
        return max(0.0, time.time() - float(began.read_text()))

    def _finish(self) -> None:
        """Rest, close the open episode, wait for replay to have it all."""
        outcome = self.session.end("actor stopped" if self.stop.is_set() else "run complete")
        self._publish(outcome, None)
        self._send(outcome)
        self.sender.drain()
        self.reports.write()
        self.stop.set()

    def _choose(self, observation, episode: int, step: int, deterministic: bool) -> Choice:
        arrived_s, human = self._human
        if human is not None and time.monotonic() - arrived_s < HUMAN_MAX_AGE_S:
            return Choice(self.shaper.action(human), -1, intervened=True)
        choice = self.acting.choose(observation, episode, step, deterministic)
        if self.config.shadow:
            self.reports.shadow(episode, step, choice)
            recorded = self.inputs.recorded_action()
            return Choice(self.shaper.action(recorded), -1) if recorded is not None else choice
        return choice

    def _executed(self) -> np.ndarray | None:
        """What safety sent for our last command, in action units; None while it has not said."""
        tick, velocity = self._applied
        return self.shaper.action(velocity) if tick == self._commands - 1 and tick >= 0 else None

    def _publish(self, outcome: Outcome, view: View | None) -> None:
        message = Action(tick=self._commands, policy_version=outcome.version, velocity=outcome.velocity.tolist())
        message.header.stamp = self.get_clock().now().to_msg()
        if view is not None:
            message.observation_stamp = to_time(view.frame_stamp_ns or view.joint_stamp_ns)
        self.command.publish(message)
        self._commands += 1

    def _send(self, outcome: Outcome) -> None:
        # In shadow mode without recorded commands nobody knows what was done: no transitions.
        for step in outcome.steps if not self.config.shadow or self.config.bag.action_topic else ():
            self.sender.send(step)
        if outcome.finished is not None:
            self.reports.episode(outcome.finished)
        if self.session.target_wanted:
            self._ask_for_target()

    def _ask_for_target(self) -> None:
        """One call at a time; asked again when it was not answered."""
        now_s = time.monotonic()
        if now_s - self._target_asked_s < NEW_TARGET_TIMEOUT_S or not self.new_target.service_is_ready():
            return
        self._target_asked_s = now_s
        future = self.new_target.call_async(Trigger.Request())
        future.add_done_callback(lambda _: self._requests.put("target"))

    def _safety_problem(self) -> str:
        if self.config.shadow:
            return ""
        heard_s, status = self._safety
        if status is None or time.monotonic() - heard_s > SAFETY_MAX_AGE_S:
            return "the safety node is silent"
        if status.state in ("waiting", "holding", "stopped"):
            return f"safety {status.state}: {status.reason}"
        return ""

    def _serve_requests(self) -> None:
        session = self.session
        while not self._requests.empty():
            verb = self._requests.get()
            if verb in ("start", "reset"):
                session.start()
            elif verb == "resume" and session.state == "paused":
                session.start()
            elif verb == "pause":
                session.pause()
            elif verb == "stop":
                session.stop()
            elif verb == "evaluate":
                session.evaluation_left += 1
            elif verb == "target":
                session.target_ready()
                self._target_asked_s = -NEW_TARGET_TIMEOUT_S

    # -- executor ------------------------------------------------------------------------------------------------

    def _on_request(self, verb: str, response):
        self._requests.put(verb)
        response.success, response.message = True, f"{verb}: was {self.session.state}"
        return response

    def _on_applied(self, message: AppliedAction) -> None:
        self._applied = (message.tick, np.asarray(message.velocity))
        self.session.held_by = tuple(message.rules)

    def _on_safety(self, message: SafetyStatus) -> None:
        self._safety = (time.monotonic(), message)
        if message.emergency_stop and self.config.robot.driver == "external" and self.session.state != "stopped":
            self._requests.put("stop")  # after a release, a person starts it again

    def _on_human(self, message: Float64MultiArray) -> None:
        velocity = np.asarray(message.data)
        if velocity.shape != (self.session.joints,) or not np.isfinite(velocity).all():
            self.get_logger().error(
                f"human_action is {velocity.tolist()}; expected {self.session.joints} finite values: the robot rests",
                throttle_duration_sec=1.0,
            )
            velocity = np.zeros(self.session.joints)  # a person has taken hold: the policy must not go on
        self._human = (time.monotonic(), velocity)


def main(args=None) -> int:
    return run_node(Actor, args)


if __name__ == "__main__":
    sys.exit(main())
