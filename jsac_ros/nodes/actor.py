"""Actor: observes, acts and publishes at a fixed rate, and sends its transitions to replay.

The newest frames, joint state and sensor values go into slots (executor, main thread); one control thread with absolute
deadlines reads them, decides and publishes. With `use_sim_time` its rate and every age follow /clock. Nothing is learned
here, and nothing here talks to the robot's driver.

Subscribes  cameras, joint states, sensors, applied_action, safety_status, transition_ack, the policy mailbox (or
            policy_parameters); person_action (of teleop or a scripted person), human_action (the robot's motion alone):
            both take over from the policy while they are fresh
Publishes   policy_command (in shadow mode shadow_command instead), transitions, episode, control_status, /diagnostics
Calls       the services that a reset asks for
Serves      actor/start, pause, resume, stop, reset, evaluate, continue, success, failure, discard
A process because control must not wait for learning or sampling.
"""

from __future__ import annotations

import queue
import secrets
import sys
import time
from collections import defaultdict

import numpy as np
from rclpy.client import Client
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from rclpy.subscription import Subscription
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger

from jsac_ros import elapsed
from jsac_ros.control import realtime
from jsac_ros.control.ending import CONTACT
from jsac_ros.control.inputs import FrameClock, Inputs
from jsac_ros.control.person import Person
from jsac_ros.control.rate import FixedRate, ReceivedClock, SteadyClock
from jsac_ros.control.recorded_actions import RecordedActions
from jsac_ros.control.session import Choice, Outcome, Session, View
from jsac_ros.control.verbs import EVENTS, VERBS, Situation, answer
from jsac_ros.messages import from_action, from_outputs, to_ns, to_outputs
from jsac_ros.msg import Action, AppliedAction, PersonAction, PolicyParameters, SafetyStatus
from jsac_ros.nodes.acting import Acting
from jsac_ros.nodes.actor_reports import ActorReports
from jsac_ros.nodes.polled import Polled, take
from jsac_ros.nodes.process import WorkingNode, run_folder, run_node
from jsac_ros.nodes.transitions import CLASSES, TransitionSender
from jsac_ros.report.demonstrations import demonstrations_left, is_demonstration
from jsac_ros.rig import Rig
from jsac_ros.ros_types import message_class
from jsac_ros.run_key import RunKey
from jsac_ros.tasks.reset import Then
from jsac_ros.types import Command, Observation

SAFETY_MAX_AGE_S = 0.5
SERVICE_TIMEOUT_S = 1.0  # a service that a reset wants is called again when it did not answer
SAFETY_STATES = ("waiting", "ready", "moving", "holding", "stopped")
MOST_RULES, MOST_CHARACTERS = 16, 300  # of another node's words that are kept
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


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
        # In the place of a robot a recording stands: nothing moves it home
        reset = Then if config.robot.driver == "bag" else self.person.reset_of(self.rig, time.monotonic)
        self.acting = Acting(config, self.rig.spaces, session, self.get_namespace(), self.get_logger())
        self.session = Session(self.rig, self.robot, session, reset)  # after `acting`, which says where JAX computes
        self.follows_clock = self.get_parameter("use_sim_time").value
        self.clock = ReceivedClock() if self.follows_clock else SteadyClock()
        plays, refuse = config.robot.driver == "bag", lambda topic, why: self.refusals.add(topic, ValueError(why))
        self.inputs = Inputs(self.rig, self.get_logger(), self.clock, plays, refuse)
        self.learns = not config.run.policy
        if not (self.learns or config.run.sampled):
            self.session.evaluation_left = sys.maxsize
        self.sender = TransitionSender(self, self.robot, session, RunKey.of(config))
        self.reports = ActorReports(self, self.folder, self.session, self.acting, self.sender.outbox, self.robot, self.clock)
        self._requests: queue.SimpleQueue = queue.SimpleQueue()
        self._answers: queue.SimpleQueue = queue.SimpleQueue()  # of services that a reset called
        self._applied: tuple[int, Command] = (-1, self.rig.actions.rest)
        self._safety: tuple[float, SafetyStatus | None] = (0.0, None)
        self._contacts = 0  # that safety had counted at the last tick
        self._recorded = RecordedActions(self.rig)  # of a recording in shadow mode
        self._demonstrations = demonstrations_left(self.folder, config.person.episodes)
        self._frame_stamp_ns = 0  # of the frame that triggered the tick
        self._commands = 0
        self._waits_for = "its networks to be compiled"
        self._holds = ""  # why nothing may move at the newest tick, whether or not an operator has started
        self._reset_services: dict[str, Client] = {}
        self._polled: list[Subscription] = []
        self._service_wanted = self.create_guard_condition(self._call_service)
        self._called_s = -SERVICE_TIMEOUT_S
        self._connect()

    def _connect(self) -> None:
        """Everything but the drivers' topics, which are subscribed to once we are ready to act on them."""
        config = self.config
        topic = "shadow_command" if config.shadow else "policy_command"
        self.command = self.create_publisher(Action, topic, 1)
        self.create_subscription(AppliedAction, "applied_action", self._on_applied, 10)
        self.create_subscription(SafetyStatus, "safety_status", self._on_safety, 10)
        self.create_subscription(PersonAction, "person_action", self._on_person, 1)
        self.create_subscription(Float64MultiArray, "human_action", self._on_human, 1)
        if config.learner.policy_topic:
            self.create_subscription(PolicyParameters, "policy_parameters", self.acting.on_parameters, _LATCHED)
        if self.follows_clock:
            self.create_subscription(ClockMessage, "/clock", self._on_clock, qos_profile_sensor_data)
        for verb in (*VERBS, *EVENTS):
            self.create_service(Trigger, f"~/{verb}", lambda _, response, verb=verb: self._on_request(verb, response))

    def _hear_drivers(self) -> None:
        config, inputs = self.config, self.inputs
        # Every frame of a recording is a step: reliable, and deep enough to survive a busy moment.
        qos = QoSProfile(depth=100) if config.robot.driver == "bag" else qos_profile_sensor_data
        cameras = defaultdict(list)
        for name in self.rig.images:
            source = self.rig.sources[name]
            cameras[source.topic, source.type].append(name)
        for (topic, kind), names in cameras.items():
            self.create_subscription(message_class(kind), topic, self._on_images_of(names), qos)
        # An executor that wakes for each of 500 joint states a second takes half a core; each tick takes what has come.
        # A frame of a recording waits for the joint states that belong to it; and how long a message has waited for its
        # tick is not known where /clock runs at a speed of its own.
        polled = {} if config.robot.driver == "bag" or self.follows_clock else {"callback_group": Polled()}
        take_later = [self.create_subscription(JointState, config.robot.joint_states_topic, self._on_joints, qos, **polled)]
        for name in self.rig.sensors:
            source = self.rig.sources[name]
            heard = lambda message, info, name=name: inputs.on_sensor(name, message, _published_ns(info), self._waited_s(info))
            kind = message_class(source.type, f"sensors.{name}.type")
            take_later.append(self.create_subscription(kind, source.topic, heard, qos, **polled))
            if not source.max_age_s:  # said once, perhaps before we came: a latched publisher's last word counts too
                take_later.append(self.create_subscription(kind, source.topic, heard, _LATCHED, **polled))
        self._polled = take_later if polled else []
        if inputs.needs_answers:
            self.create_subscription(Action, "recorded_action", self._on_recorded_action, 100)

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
            self._requests.put("start")
        self._hear_drivers()
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

    def _wait_for(self, what: str) -> None:
        self._waits_for = self.session.reason = what

    def _control(self) -> None:
        """The loop: one tick, one observation, one command; then what can wait."""
        config, trigger = self.config, self.config.control.trigger
        by_frame = trigger != "clock"
        if by_frame:
            clock = FrameClock(self.inputs, config.cameras[trigger].max_age_s, every_frame=config.robot.driver == "bag")
        else:
            clock = FixedRate(config.control.period_s, self.clock, self.stop)
        ends_s = None
        while not self.stop.is_set() and (tick := clock.wait()) is not None:
            for subscription in self._polled:
                take(subscription)
            events, problem = self._serve_requests(), self._safety_problem()
            if self._contact() and self.session.state == "acting":  # what is seen now is what the contact led to
                events, problem = (*events, CONTACT), ""
            view = self.inputs.view(tick, clock.frame if by_frame else None, events, problem)
            self._frame_stamp_ns = view.source_stamps_ns.get(trigger, 0)
            self._holds, self._waits_for = view.problem, ""
            outcome = self.session.tick(view, self._choose, self._executed())
            self._publish(outcome, view)
            self.reports.tick(tick, view, outcome)
            self._send(outcome)
            if config.run.duration_s and ends_s is None and outcome.acted:
                ends_s = view.time_s + config.run.duration_s - self._acted_for_s()
            if (ends_s is not None and view.time_s >= ends_s) or self._demonstrations == 0:
                break

    def _acted_for_s(self) -> float:
        """Since the run's first action, were it that of an actor that has died since."""
        file, now_s = self.folder / "first_action", elapsed.now_s()
        first_s = elapsed.marked(file)
        if first_s is None:
            self.written(file.name, lambda: elapsed.mark(file, now_s))
            return 0.0
        return now_s - first_s

    def _finish(self) -> None:
        """Rest, close the open episode, wait for replay to have it all."""
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
        """What safety sent for our last command; None while it has not said."""
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
        # In shadow mode without recorded commands it is not known what was done: no transitions.
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
        if self.session.service and time.monotonic() - self._called_s > SERVICE_TIMEOUT_S:
            self._called_s = time.monotonic()  # one call at a time; called again when it was not answered
            self._service_wanted.trigger()

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
        """Whether the contact rule has stopped the robot since the tick before."""
        status = self._safety[1]
        before, counts = self._contacts, zip(status.rule_names, status.rule_counts) if status is not None else ()
        self._contacts = next((count for name, count in counts if name == CONTACT), 0)
        return self._contacts > before

    def _serve_requests(self) -> tuple[str, ...]:
        """Does what was asked for; -> what a person said since the tick before."""
        session, events = self.session, []
        while not self._answers.empty():
            service, answer = self._answers.get()
            self._called_s = -SERVICE_TIMEOUT_S
            if service == session.service and answer is not None:
                session.answered(answer.success, answer.message)
        while not self._requests.empty():
            verb = self._requests.get()
            if verb in EVENTS:
                events.append(verb)
            elif verb in ("start", "reset"):
                session.start()
            elif verb == "resume" and session.state == "paused":
                session.start()
            elif verb == "pause":
                session.pause()
            elif verb == "stop":
                session.stop()
            elif verb == "evaluate":
                session.evaluation_left += 1
        return tuple(events)

    # -- executor ------------------------------------------------------------------------------------------------

    def _call_service(self) -> None:
        """What the reset wants, in this thread: making a client takes a moment that the control thread has not."""
        name = self.session.service
        if not name:
            return
        client = self._reset_services.get(name)
        if client is None:
            client = self._reset_services[name] = self.create_client(Trigger, name)
        if client.service_is_ready():
            client.call_async(Trigger.Request()).add_done_callback(lambda future: self._answers.put((name, future.result())))
        else:
            self._called_s = -SERVICE_TIMEOUT_S

    def _on_request(self, verb: str, response):
        success, message = answer(verb, self._situation())
        if success:
            self._requests.put(verb)
        return self.answered(verb, response, success, message)

    def _situation(self) -> Situation:
        _, safety = self._safety
        stopped = safety.reason if safety is not None and safety.state == "stopped" and not self.config.shadow else ""
        return Situation(self.session.state, self._waits_for, stopped, self._holds, self.session.asks, self.config.shadow)

    def _on_clock(self, message: ClockMessage) -> None:
        self.clock.set(to_ns(message.clock))

    def _on_applied(self, message: AppliedAction) -> None:
        motion = self._motion_of(message.velocity)
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
            self._requests.put("stop")  # after a release, a person starts it again

    def _on_images_of(self, cameras: list[str]):
        """These share a topic."""

        def on_image(message, info: dict) -> None:
            for name in cameras:
                self.inputs.on_image(name, message, _published_ns(info), _number(info))

        return on_image

    def _on_joints(self, message: JointState, info: dict) -> None:
        self.inputs.on_joints(message, _published_ns(info), self._waited_s(info), _number(info))

    def _on_recorded_action(self, message: Action) -> None:
        """Without a velocity: nothing had been commanded yet."""
        command = None
        if len(message.velocity):
            sizes = {name: 1 for name in self.rig.grippers if name in {output.name for output in message.outputs}}
            command = Command(self._motion_of(message.velocity), from_outputs("recorded_action", message.outputs, sizes))
        self.inputs.on_recorded_action(to_ns(message.observation_stamp), command)

    def _waited_s(self, info: dict) -> float:
        """Since a message came; 0 with /clock, whose seconds are not this computer's."""
        return 0.0 if self.follows_clock else max(time.time_ns() - info["received_timestamp"], 0) * 1e-9

    # A person has taken over: where a message cannot be used the robot rests, and the policy does not continue.

    def _on_person(self, message: PersonAction) -> None:
        if not message.holds:
            self.person.says(None, time.monotonic())
            return
        self.person.says(lambda _: {}, time.monotonic())
        action = from_action("person_action", message.action, self.rig.spaces)
        self.person.says(lambda _: action, time.monotonic())

    def _on_human(self, message: Float64MultiArray) -> None:
        self.person.says(lambda _: {}, time.monotonic())
        motion = self._motion_of(message.data)
        self.person.says(lambda sensed: self.rig.actions.of_motion(motion, sensed), time.monotonic())

    def _motion_of(self, values) -> np.ndarray:
        """Raises ValueError where these are not the finite values of a motion."""
        motion, size = np.asarray(values, np.float64), self.rig.robot.motion_size
        if motion.shape != (size,) or not np.isfinite(motion).all():
            shown = f"{len(values)} values" if len(values) != size else str(motion.tolist())
            raise ValueError(f"velocity is {shown}; expected {size} finite values")
        return motion


def _published_ns(info: dict) -> int:
    """When the message was published, by its publisher's clock; 0 where the middleware does not tell."""
    return info.get("source_timestamp") or 0


def _number(info: dict) -> int | None:
    """Which its publisher gave the message; None where the middleware does not tell."""
    return info.get("publication_sequence_number")


def main(args=None) -> int:
    return run_node(Actor, args)


if __name__ == "__main__":
    sys.exit(main())
