"""Actor: observes, acts and publishes at a fixed rate, and sends its transitions to replay.

The executor (main thread) puts the newest images, joint states and sensor values into slots; one control thread with
absolute deadlines reads them, chooses an action and publishes the command. With `use_sim_time` its rate and all ages follow
/clock. The actor neither learns nor communicates with the robot's driver.

Subscribes  cameras, joint states, sensors, applied_action, safety_status, transition_ack, the policy mailbox (or
            policy_parameters); person_action (from teleop or a scripted person) and human_action (only the robot's motion),
            which replace the policy's action while they are fresh
Publishes   policy_command (in shadow mode shadow_command instead), transitions, episode, control_status, /diagnostics
Calls       the services that a reset requires
Serves      actor/start, pause, resume, stop, reset, evaluate, continue, success, failure, discard
A process because control must not wait for learning or sampling.
"""

from __future__ import annotations

import secrets
import sys
import time

from rclpy.qos import qos_profile_sensor_data
from rosgraph_msgs.msg import Clock as ClockMessage
from std_msgs.msg import Float64MultiArray

from jsac_ros import elapsed
from jsac_ros.control import realtime
from jsac_ros.control.ending import CONTACT
from jsac_ros.control.heard import Frame
from jsac_ros.control.inputs import FrameClock, Inputs
from jsac_ros.control.person import Person
from jsac_ros.control.rate import FixedRate, ReceivedClock, SteadyClock, Tick
from jsac_ros.control.recorded_actions import RecordedActions
from jsac_ros.control.safety import STATES as SAFETY_STATES
from jsac_ros.control.session import Choice, Outcome, Session, View
from jsac_ros.control.verbs import Situation
from jsac_ros.messages import from_action, from_outputs, from_velocity, to_ns, to_outputs
from jsac_ros.msg import Action, AppliedAction, PersonAction, PolicyParameters, SafetyStatus
from jsac_ros.nodes.acting import Acting
from jsac_ros.nodes.actor_reports import ActorReports
from jsac_ros.nodes.actor_requests import ActorRequests
from jsac_ros.nodes.driver_topics import DriverTopics
from jsac_ros.nodes.process import WorkingNode, run_folder, run_node
from jsac_ros.nodes.qos import LATCHED
from jsac_ros.nodes.reset_services import ResetServices
from jsac_ros.nodes.transitions import CLASSES, TransitionSender
from jsac_ros.report.demonstrations import demonstrations_left, is_demonstration
from jsac_ros.rig import Rig
from jsac_ros.ros_graph import sender_of
from jsac_ros.run_key import RunKey
from jsac_ros.tasks.reset import Then
from jsac_ros.types import Command, Observation

SAFETY_MAX_AGE_S = 0.5
MOST_RULES, MOST_CHARACTERS = 16, 300  # limits for text from other nodes


class Actor(WorkingNode):
    doing = "control"
    kinds = ("robot", "action", "task", "agent")

    def __init__(self):
        super().__init__("actor")
        config = self.config
        self.rig = Rig.of(config)
        self.robot = self.get_namespace().strip("/") or config.run.name
        self.folder = run_folder(config)
        session = secrets.randbits(63)
        self.person = Person(config.person)
        # A recording replaces the robot and cannot be moved home
        reset = Then if config.robot.driver == "bag" else self.person.reset_of(self.rig, time.monotonic)
        self.acting = Acting(config, self.rig.spaces, session, self.get_namespace(), self.get_logger())
        self.session = Session(self.rig, self.robot, session, reset)  # after `acting`, which configures JAX
        self.follows_clock = self.get_parameter("use_sim_time").value
        self.clock = ReceivedClock() if self.follows_clock else SteadyClock()
        plays, refuse = config.robot.driver == "bag", lambda topic, why: self.refusals.add(topic, ValueError(why))
        self.inputs = Inputs(self.rig, self.get_logger(), self.clock, plays, refuse)
        self.learns = not config.run.policy
        if not (self.learns or config.run.sampled):
            self.session.evaluation_left = sys.maxsize
        self.sender = TransitionSender(self, self.robot, session, RunKey.of(config))
        self.reports = ActorReports(self, self.folder, self.session, self.acting, self.sender.outbox, self.robot, self.clock)
        self._requests = ActorRequests(self, self.session, self._situation)
        self._resets = ResetServices(self, self.session)
        self._applied: tuple[int, Command] = (-1, self.rig.actions.rest)
        self._safety: tuple[float, SafetyStatus | None] = (0.0, None)
        self._contacts = 0  # safety's count of contacts at the last tick
        self._recorded = RecordedActions(self.rig)  # from a recording, in shadow mode
        self._demonstrations = demonstrations_left(self.folder, config.person.episodes)
        self._frame_stamp_ns = 0  # of the image that triggered the tick
        self._commands = 0
        self._waits_for = "its networks to be compiled"
        self._holds = ""  # why the robot may not move at the newest tick, even if the operator has started it
        self._connect()

    def _connect(self) -> None:
        """Creates everything except the subscriptions to the drivers' topics, which wait until the actor is ready to act."""
        config = self.config
        topic = "shadow_command" if config.shadow else "policy_command"
        self.command = self.create_publisher(Action, topic, 1)
        self.create_subscription(AppliedAction, "applied_action", self._on_applied, 10)
        self.create_subscription(SafetyStatus, "safety_status", self._on_safety, 10)
        self.create_subscription(PersonAction, "person_action", self._on_person, 1)
        self.create_subscription(Float64MultiArray, "human_action", self._on_human, 1)
        if config.learner.policy_topic:
            self.create_subscription(PolicyParameters, "policy_parameters", self.acting.on_parameters, LATCHED)
        if self.follows_clock:
            self.create_subscription(ClockMessage, "/clock", self._on_clock, qos_profile_sensor_data)

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
        """Compiles and waits for the first policy; only then may the robot move."""
        if not self.config.person.episodes:
            self.acting.warm_up()
            self._wait_for("the learner's first policy")
            while not self.stop.is_set() and self.acting.version is None:
                self.stop.wait(0.05)
        self._wait_for("/clock")
        while not self.stop.is_set() and self.clock.now_ns() == 0:
            self.stop.wait(0.05)
        if self.config.robot.driver == "external":
            self.session.reason = "jsac-ros start"
        else:
            self._requests.add("start")
        self._topics = DriverTopics(self, self.rig, self.inputs, self.follows_clock)
        limits = self.config.realtime
        for applied in (
            realtime.freeze_garbage(),
            realtime.short_switch_interval(),
            realtime.fine_timers(),
            # The other threads too, at a lower priority: the control thread waits for those that hold the GIL or its messages.
            *realtime.process_first(limits.fifo_priority and max(1, limits.fifo_priority - 1)),
            realtime.thread_fifo(limits.fifo_priority),
            realtime.pin(limits.actor_cpu),
            realtime.nice_ranks(),
        ):
            self.get_logger().info(str(applied))

    def _wait_for(self, what: str) -> None:
        self._waits_for = self.session.reason = what

    def _control(self) -> None:
        """The loop: one tick, one observation, one command; then the work that can wait."""
        config, trigger = self.config, self.config.control.trigger
        by_frame = trigger != "clock"
        if by_frame:
            clock = FrameClock(self.inputs, config.cameras[trigger].max_age_s, every_frame=config.robot.driver == "bag")
        else:
            clock = FixedRate(config.control.period_s, self.clock, self.stop)
        ends_s = None
        while not self.stop.is_set() and (tick := clock.wait()) is not None:
            self.watchdog.beat()
            view, outcome = self._act_on(tick, clock.frame if by_frame else None)
            self.watchdog.rest()  # a recording may stand still
            if config.run.duration_s and ends_s is None and outcome.acted:
                ends_s = view.time_s + config.run.duration_s - self._acted_for_s()
            if (ends_s is not None and view.time_s >= ends_s) or self._demonstrations == 0:
                break

    def _act_on(self, tick: Tick, frame: Frame | None) -> tuple[View, Outcome]:
        """Runs one control period. frame: of the camera that triggered the tick, if one did."""
        self._topics.take()
        self._resets.answer()
        events, problem = self._requests.serve(), self._safety_problem()
        if self._contact() and self.session.state == "acting":  # this observation is the result of the contact
            events, problem = (*events, CONTACT), ""
        view = self.inputs.view(tick, frame, events, problem)
        self._frame_stamp_ns = view.source_stamps_ns.get(self.config.control.trigger, 0)
        self._holds, self._waits_for = view.problem, ""
        outcome = self.session.tick(view, self._choose, self._executed())
        self._publish(outcome, view)
        self.reports.tick(tick, view, outcome)
        self._send(outcome)
        return view, outcome

    def _acted_for_s(self) -> float:
        """Seconds since the run's first action, even if an earlier actor process took it."""
        file, now_s = self.folder / "first_action", elapsed.now_s()
        first_s = elapsed.marked(file)
        if first_s is None:
            self.written(file.name, lambda: elapsed.mark(file, now_s))
            return 0.0
        return now_s - first_s

    def _finish(self) -> None:
        """Commands rest, closes the open episode and waits for replay's acknowledgements."""
        outcome = self.session.end("actor stopped" if self.stop.is_set() else "run complete")
        self._publish(outcome, None)
        self._send(outcome)
        self.sender.drain()
        self.stop.set()

    def _choose(self, observation: Observation, episode: int, step: int, deterministic: bool) -> Choice:
        if doing := self.person.doing(episode, time.monotonic()):
            sensed = self.session.sensed
            return Choice(self.rig.actions.completed(doing(sensed), sensed), -1, intervened=True)
        choice = self.acting.choose(observation, episode, step, deterministic)
        if self.config.shadow:
            self.reports.shadow(episode, step, choice)
            recorded = self.inputs.recorded_action(self._frame_stamp_ns)
            return self._recorded.choice(recorded, self.session.sensed) if recorded is not None else choice
        return choice

    def _executed(self) -> Command | None:
        """The command that safety sent for the last Action; None if it has not answered yet."""
        tick, command = self._applied
        return command if tick == self._commands - 1 and tick >= 0 else None

    def _publish(self, outcome: Outcome, view: View | None) -> None:
        command = outcome.command
        message = Action(tick=self._commands, policy_version=outcome.version, velocity=command.motion.tolist())
        message.is_first = outcome.acted and self.session.step == 0
        message.outputs = to_outputs(command.outputs, CLASSES)
        message.header.stamp = self.get_clock().now().to_msg()
        if view is not None:
            stamps = [view.source_stamps_ns[name] for name in self.rig.images] or [view.source_stamps_ns["joints"]]
            message.observation_stamp = CLASSES.time(min(stamps))
        self.command.publish(message)
        self._commands += 1

    def _send(self, outcome: Outcome) -> None:
        # In shadow mode without recorded commands the actions are unknown: no transitions.
        known = not self.config.shadow or self.config.bag.action_topic
        for transition in outcome.transitions if known and self.learns else ():
            self.sender.send(transition)
        if outcome.finished is not None:
            self.reports.episode(outcome.finished)
            if self._demonstrations is not None:
                self._demonstrations -= is_demonstration(outcome.finished.success, outcome.finished.reason)
            if finding := self._recorded.finding:
                self.get_logger().warning(finding)
        if self.session.failed:
            self.get_logger().error(self.session.failed)
            self.session.failed = ""
        self._resets.request()

    def _safety_problem(self) -> str:
        if self.config.shadow:
            return ""
        heard_s, status = self._safety
        if status is None or time.monotonic() - heard_s > SAFETY_MAX_AGE_S:
            return "the safety node is silent"
        if status.state in ("waiting", "holding", "stopped"):
            return f"safety {status.state}: {status.reason}"
        return ""

    def _contact(self) -> bool:
        """Whether the contact rule has stopped the robot since the previous tick."""
        status = self._safety[1]
        before, counts = self._contacts, zip(status.rule_names, status.rule_counts) if status is not None else ()
        self._contacts = next((count for name, count in counts if name == CONTACT), 0)
        return self._contacts > before

    # -- executor ------------------------------------------------------------------------------------------------

    def _situation(self) -> Situation:
        _, safety = self._safety
        stopped = safety.reason if safety is not None and safety.state == "stopped" and not self.config.shadow else ""
        return Situation(self.session.state, self._waits_for, stopped, self._holds, self.session.asks, self.config.shadow)

    def _on_clock(self, message: ClockMessage) -> None:
        self.clock.set(to_ns(message.clock))

    def _on_applied(self, message: AppliedAction) -> None:
        motion = from_velocity(message.velocity, self.rig.robot.motion_size)
        sizes = dict.fromkeys(self.rig.grippers, 1)
        outputs = from_outputs("applied_action", message.outputs, sizes) if message.outputs else {}
        self._applied = (message.tick, Command(motion, outputs))
        self.session.held_by = tuple(rule[:MOST_CHARACTERS] for rule in message.rules[:MOST_RULES])

    def _on_safety(self, message: SafetyStatus) -> None:
        if message.state not in SAFETY_STATES:
            raise ValueError(f"state is {message.state[:MOST_CHARACTERS]!r}; expected one of {', '.join(SAFETY_STATES)}")
        message.reason = message.reason[:MOST_CHARACTERS]
        self._safety = (time.monotonic(), message)
        if message.emergency_stop and self.config.robot.driver == "external" and self.session.state != "stopped":
            self._requests.add("stop")  # after a release, a person must start it again

    def _take_over(self, topic: str) -> None:
        """The robot rests until the message of a person turns out to be usable; the policy does not continue."""
        if not self.person.holds(time.monotonic()):
            self.get_logger().info(f"a person takes over by {topic} ({sender_of(self, topic)})", throttle_duration_sec=1.0)
        self.person.says(lambda _: {}, time.monotonic())

    def _on_person(self, message: PersonAction) -> None:
        if not message.holds:
            self.person.says(None, time.monotonic())
            return
        self._take_over("person_action")
        action = from_action("person_action", message.action, self.rig.spaces)
        self.person.says(lambda _: action, time.monotonic())

    def _on_human(self, message: Float64MultiArray) -> None:
        self._take_over("human_action")
        motion = from_velocity(message.data, self.rig.robot.motion_size)
        self.person.says(lambda sensed: self.rig.actions.of_motion(motion, sensed), time.monotonic())


def main(args=None) -> int:
    return run_node(Actor, args)


if __name__ == "__main__":
    sys.exit(main())
