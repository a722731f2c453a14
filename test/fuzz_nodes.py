"""Every callback of every node, called in this process with random messages and requests, and what the node then does.

`SUBSCRIBES` says of each subscription in docs/reference/topics.md which case calls it.
"""

from __future__ import annotations

import functools
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import domains
import numpy as np
import rclpy
from fuzz import message_class, random_message
from fuzz_messages import good, tried_with
from replay_cases import SPACES
from rig_cases import BASE, HOME, REACHER

from jsac_ros.config import SystemConfig
from jsac_ros.control.rate import Tick
from jsac_ros.dashboard.hub import Reader
from jsac_ros.nodes.driver_topics import DriverTopics
from jsac_ros.nodes.refusals import Refusals
from jsac_ros.nodes.transitions import to_time
from jsac_ros.parameters import dump, from_parameters, load
from jsac_ros.rig import JOINTS, Rig, write_spaces
from jsac_ros.spaces import Spaces

CONFIG = Path(__file__).parents[1] / "config"
PERIOD_NS = 40_000_000
# One camera of every kind, one sensor of every kind.
EVERYTHING = REACHER | {
    "task.camera": "wrist", "cameras.wrist.topic": "camera/image_raw", "learner.policy_topic": True,
    "cameras.wrist.mount": "tool", "cameras.wrist.position_m": (0.0, 0.0, 0.0), "cameras.wrist.orientation": (0.0, 0.0, 1.0, 0.0),
    "cameras.wrist.intrinsics_px": (87.27, 87.27, 48.0, 32.0),
    "cameras.packed.topic": "packed/compressed", "cameras.packed.compressed": True,
    "cameras.depth.topic": "depth/image_raw", "cameras.depth.channels": 1, "cameras.depth.depth_range_m": (0.1, 3.0),
    "cameras.coded.topic": "depth/compressedDepth", "cameras.coded.compressed": True, "cameras.coded.channels": 1,
    "cameras.coded.depth_range_m": (0.1, 3.0),
    "sensors.wrench.topic": "wrench", "sensors.wrench.type": "geometry_msgs/msg/WrenchStamped",
    "sensors.wrench.fields": tuple(f"wrench.{kind}.{axis}" for kind in ("force", "torque") for axis in "xyz"),
    "sensors.wrench.tare": True,
    "sensors.turn.topic": "imu", "sensors.turn.type": "sensor_msgs/msg/Imu", "sensors.turn.fields": ("angular_velocity.z",),
    "sensors.glove.topic": "glove", "sensors.glove.type": "std_msgs/msg/Float64MultiArray", "sensors.glove.fields": ("data[0:3]",),
    "sensors.torque.topic": "torques", "sensors.torque.type": "sensor_msgs/msg/JointState", "sensors.torque.fields": ("effort[2]",),
    "sensors.said.topic": "said", "sensors.said.type": "std_msgs/msg/Bool", "sensors.said.fields": ("data",),
    "sensors.said.max_age_s": 0.0,
    "grippers.gripper.joint": "finger_joint", "grippers.gripper.interface": "float64_multi_array",
    "grippers.gripper.topic": "gripper/commands", "actions.gripper.type": "gripper",
    "safety.wrench": "wrench", "safety.max_force_n": 30.0, "safety.dead_man_topic": "dead_man",
    "robot.program_running_topic": "program_running", "robot.speed_scaling_topic": "speed_scaling",
    "robot.safety_mode_topic": "safety_mode",
    "agent.conv_channels": (4, 4, 4, 4), "agent.latent_dim": 8, "agent.hidden": (16,),
}  # fmt: skip
for camera in ("packed", "depth", "coded"):
    EVERYTHING |= {f"cameras.{camera}.height": 32, f"cameras.{camera}.width": 48, f"cameras.{camera}.stack": 2}
MAPPINGS = {
    "of a leader": """{source: leader, topic: leader/joint_states, buttons_topic: joy, buttons: {enable: 4},
        joints: {shoulder_pan_joint: {joint: shoulder_pan_joint}, elbow_joint: {joint: elbow_joint, scale: -1.0}}}""",
    "of velocities": "{source: twist, topic: cmd_vel, axes: {x: {axis: 0}, y: {axis: 1}, z: {axis: 2}}}",
    "of stamped velocities": "{source: twist_stamped, topic: cmd_vel, axes: {x: {axis: 0}, y: {axis: 1}, z: {axis: 2}}}",
}
ARM = {"robot.type": "ur5e", "robot.home": HOME, "task.type": "shadow", "actions.arm.type": "twist", "person.by": "device"}


class Case(NamedTuple):
    """A node, how it is configured, and what its own threads do with what was heard."""

    node: str  # jsac_ros.nodes.NODE:CLASS
    values: dict[str, Any]
    after: Callable[[Any, Tick], None] = lambda node, tick: None
    begin: Callable[[Any], None] = lambda node: None
    arguments: tuple[str, ...] = ()
    file: str = ""  # shipped configuration that `values` change
    spaces: Spaces | None = None  # default: the rig's


def _act(node, tick) -> None:
    node._act_on(tick, node.inputs.frames.popleft() if node.inputs.frames else None)
    if node.session.state in ("stopped", "paused", "waiting"):
        node.session.start()


def _hear_drivers(node) -> None:
    node._topics = DriverTopics(node, node.rig, node.inputs, node.follows_clock)


def _watch(node, tick) -> None:
    with node._lock:
        node._watch(time.monotonic())
    node._tell(tick)
    if tick.number % 50 == 0:
        with node._lock:
            node._gate.release()


def _sample(node, tick) -> None:
    if (slot := node.ring.fill(0.0)) is not None:
        node.sampler.sample_into(np.random.default_rng(tick.number), slot.batch)


def _look(node) -> None:
    """As a page that is open, with everything shown."""
    node.reader = Reader(node.hub).__enter__()
    node.watch.update()
    node._adviser.newest = lambda: None  # a process


def _show(node, tick) -> None:
    json.dumps(node.reader.changes(), allow_nan=False)


def _move(node, tick) -> None:
    now_s = tick.begun_ns * 1e-9
    with node._lock:
        node._apply_faults(now_s)
        node._take_trajectory()
        node._sim.step(0.008)
        state = node._joint_state(node._names)
    node._publish_status(tick.number)
    node._publish_sensors(node._sim.sensors, now_s)
    node._description.joints(node._spoiled(state, now_s))


def _gripper(interface: str) -> Case:
    values = {"grippers.gripper.interface": interface, "grippers.gripper.topic": "gripper/commands"}
    return Case("sim_robot:SimRobot", values, _move, file="lift.yaml")


def _teleop(mapping: str) -> Case:
    return Case("teleop:Teleop", ARM | {"person.mapping": mapping})


CASES = {
    "actor": Case("actor:Actor", EVERYTHING, _act, _hear_drivers),
    "actor of a recording": Case(
        "actor:Actor", REACHER | {"robot.driver": "bag", "robot.interface": "none", "bag.path": "/", "bag.action_topic": "theirs",
                                  "control.trigger": "wrist", "task.type": "shadow"},
        _act, _hear_drivers, ("-p", "use_sim_time:=true"),
    ),
    "safety": Case("safety:Safety", EVERYTHING, _watch),
    "safety of velocities": Case("safety:Safety", EVERYTHING | {"robot.interface": "velocity"}, _watch),
    "safety of a base": Case("safety:Safety", BASE, _watch),
    "replay": Case("replay:Replay", {"agent.n_step": 3, "replay.capacity": 400, "replay.batch_size": 8}, _sample, spaces=SPACES),
    "reporter": Case("reporter:Reporter", {"robot.driver": "external", "run.report": False}, spaces=SPACES),
    "dashboard": Case("dashboard:Dashboard", EVERYTHING | {"dashboard.port": 0}, _show, _look),
    "scripted person": Case("scripted_person:ScriptedPerson", {"person.by": "intervener"}, file="push.yaml"),
    "gamepad": _teleop("gamepad"),
    "twist": _teleop("of velocities"),
    "twist_stamped": _teleop("of stamped velocities"),
    "keys": _teleop("keyboard"),
    "leader": _teleop("of a leader"),
    "simulated arm": Case("sim_robot:SimRobot", EVERYTHING, _move),
    "simulated arm of poses": Case("sim_robot:SimRobot", {"robot.interface": "pose"}, _move, file="insert.yaml"),
    "simulated gripper": _gripper("joint_trajectory"),
    "simulated fingers": _gripper("float64_multi_array"),
    "simulated base": Case("sim_robot:SimRobot", BASE | {"robot.twist_stamped": True}, _move),
}  # fmt: skip

# {section of the page: {(name, type) there: (case, topic)}}
SUBSCRIBES = {
    "actor": {
        ("/clock", "ClockMessage"): ("actor of a recording", "/clock"),
        ("applied_action", "AppliedAction"): ("actor", "applied_action"),
        ("human_action", "Float64MultiArray"): ("actor", "human_action"),
        ("person_action", "PersonAction"): ("actor", "person_action"),
        ("policy_parameters", "PolicyParameters"): ("actor", "policy_parameters"),
        ("safety_status", "SafetyStatus"): ("actor", "safety_status"),
    },
    "dashboard": {
        ("topic", "kind"): ("dashboard", "control_status", "training_status", "replay_status", "safety_status", "episode"),
    },
    "dashboard_watch": {
        ("topic", "kind"): ("dashboard", "camera/image_raw", "depth/image_raw", "policy_command", "applied_action", "joint_states"),
    },
    "driver_topics": {
        ("recorded_action", "Action"): ("actor of a recording", "recorded_action"),
        ("robot.joint_states_topic", "JointState"): ("actor", "joint_states"),
        ("source.topic", "kind"): ("actor", "said", "wrench", "imu", "glove", "torques"),
        ("topic", "message_class(kind)"): (
            "actor", "camera/image_raw", "packed/compressed", "depth/image_raw", "depth/compressedDepth",
        ),
    },
    "listening": {
        ("source.topic", "message_class(source.type)"): ("ears",),
        ("topic", "UInt8MultiArray"): ("ears",),
    },
    "looking": {("source.topic", "message_class(source.type)"): ("ears",)},
    "measurements": {
        ("robot.joint_states_topic", "JointState"): ("safety", "joint_states"),
        ("topic", "Float64"): ("safety", "speed_scaling"),
        ("wrench_topic", "WrenchStamped"): ("safety", "wrench"),
    },
    "replay": {("transitions", "Transition"): ("replay", "transitions")},
    "reporter": {
        ("episode", "Episode"): ("reporter", "episode"),
        ("topic", "message"): ("reporter", "control_status", "training_status", "replay_status", "safety_status"),
    },
    "safety": {("topic", "kind"): ("safety", "policy_command", "emergency_stop", "program_running", "dead_man")},
    "scripted_person": {
        ("episode", "Episode"): ("scripted person", "episode"),
        ("policy_command", "Action"): ("scripted person", "policy_command"),
        ("sim_truth", "SimTruth"): ("scripted person", "sim_truth"),
    },
    "sim_grippers": {
        ("topic", "Float64MultiArray"): ("simulated fingers", "gripper/commands"),
        ("topic", "JointTrajectory"): ("simulated gripper", "gripper/commands"),
    },
    "sim_robot": {
        ("robot.pose_topic", "PoseStamped"): ("simulated arm of poses", "cartesian_compliance_controller/target_frame"),
        ("robot.trajectory_topic", "JointTrajectory"): ("simulated arm", "scaled_joint_trajectory_controller/joint_trajectory"),
        ("robot.twist_topic", "twist_type"): ("simulated base", "cmd_vel"),
        ("robot.velocity_topic", "Float64MultiArray"): ("simulated arm", "forward_velocity_controller/commands"),
        ("sim_fault", "String"): ("simulated arm", "sim_fault"),
    },
    "teleop": {
        ("mapping.buttons_topic", "Joy"): ("leader", "joy"),
        ("mapping.topic", "JointState"): ("leader", "leader/joint_states"),
        ("mapping.topic", "Joy"): ("gamepad", "joy"),
        ("mapping.topic", "String"): ("keys", "keys"),
        ("mapping.topic", "TwistStamped"): ("twist_stamped", "cmd_vel"),
        ("mapping.topic", "Twist"): ("twist", "cmd_vel"),
        ("robot.joint_states_topic", "JointState"): ("leader", "joint_states"),
    },
    "transitions": {("transition_ack", "TransitionAck"): ("actor", "transition_ack")},
}  # fmt: skip


# -- without a node --------------------------------------------------------------------------------------------------------


def ears(rng: random.Random, folder: Path) -> Iterator[Callable]:
    """What `jsac-ros doctor`, `crop` and `teach` listen to, in processes without a guard: they raise at no message."""
    from jsac_ros.nodes.listening import Ear
    from jsac_ros.nodes.looking import Camera, JointStates

    config = from_parameters(EVERYTHING)
    sources, clock = Rig(config).sources, SimpleNamespace(now=lambda: SimpleNamespace(to_msg=lambda: to_time(time.time_ns())))
    node = SimpleNamespace(get_clock=lambda: clock, config=config)

    def use():
        name = rng.choice(list(sources))
        message = tried_with(message_class(sources[name].type), sources[name].topic, node, rng)
        ear, heard = Ear(sources[name], config.cameras.get(name)), JointStates(config)
        if name in config.cameras:
            heard = Camera(config, name)
        try:
            for _ in range(2):
                ear.hear(message, {"publication_sequence_number": rng.choice((None, 1, 2**40))})
            json.dumps(ear.told())
            if name == JOINTS or name in config.cameras:
                heard.hear(message)
        except ValueError as error:
            raise AssertionError(f"{name}: {error!r} of {message}"[:3000]) from error
        heard.told(0.0)

    while True:
        yield use


# -- a node ----------------------------------------------------------------------------------------------------------------


def config_of(case: Case, folder: Path) -> SystemConfig:
    values = dict(case.values)
    if (text := MAPPINGS.get(values.get("person.mapping", ""))) is not None:
        (folder / "mapping.yaml").write_text(text)
        values["person.mapping"] = str(folder / "mapping.yaml")
    return load(CONFIG / case.file, values) if case.file else from_parameters(values)


@functools.cache
def _domain() -> int:
    """Of this process, in which one node follows the other."""
    return domains.take()


@contextmanager
def started(name: str, folder: Path, disk: AbstractContextManager | None = None) -> Iterator[Any]:
    """The node of a case, not spinning. disk: as it finds it at its start."""
    case = CASES[name]
    config = config_of(case, folder)
    dump(config, folder / "config.yaml")
    write_spaces(folder, case.spaces or Rig.of(config).spaces)
    domain = _domain()
    os.environ |= {"ROS_DOMAIN_ID": str(domain), "JSAC_RUN_FOLDER": str(folder), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    rclpy.init(args=["--ros-args", "--params-file", str(folder / "config.yaml"), *case.arguments], domain_id=domain)
    module, made = case.node.split(":")
    try:
        with disk or nullcontext():
            node = getattr(__import__(f"jsac_ros.nodes.{module}", fromlist=[made]), made)()
        try:
            case.begin(node)
            yield node
        finally:
            node.close()
            node.destroy_node()
            node._claim.close()
    finally:
        rclpy.shutdown()


def fuzz_node(name: str, folder: Path, seconds: float, seed: int) -> Counter[str]:
    """Calls what a case's node hears and serves, and then what it does of itself; -> {topic: how often}.

    Raises AssertionError where something raises what is no ValueError, or anything outside the guard of a message.
    """
    rng, tried, where = random.Random(seed), Counter(), f"{name}, seed {seed}"
    with started(name, folder) as node, unforeseen() as found:
        called = [(s.topic_name.removeprefix("/") if s.topic_name != "/clock" else "/clock", s) for s in node.subscriptions]
        end_s, number = time.monotonic() + seconds, 0
        while time.monotonic() < end_s or not called or len(tried) < len({topic for topic, _ in called}):
            topic, subscription = rng.choice(called)
            message = tried_with(subscription.msg_type, topic, node, rng)
            published_ns, waited_ns = rng.choice((time.time_ns(), 0)), rng.choice((0, 0, 10**7, 10**9))
            hear(subscription, message, rng.choice((None, 1, rng.randrange(2**40))), published_ns, waited_ns)
            tried[topic] += 1
            number += 1
            if rng.random() < 0.3:
                now_ns = time.monotonic_ns()
                CASES[name].after(node, Tick(number, now_ns - rng.choice((0, PERIOD_NS)), now_ns, 0))
                rng.choice([timer.callback for timer in node.timers] or [lambda: None])()
            if rng.random() < 0.05 and (services := [s for s in node.services if s.srv_type.__module__.startswith("std_srvs")]):
                service = rng.choice(services)
                service.callback(random_message(service.srv_type.Request, rng), service.srv_type.Response())
            assert not found, f"{where}: {found[0][0]}: {found[0][1]!r} of {message}"[:3000]
    return tried


def rounds(name: str, node: Any, first: int, count: int, rng: random.Random) -> None:
    """So many control periods of good messages: each topic once in each (images and policies in one of ten, to save time),
    each timer once in a second's."""
    for number in range(first, first + count):
        for subscription in node.subscriptions:
            if number % 10 and subscription.msg_type.__name__ in ("Image", "CompressedImage", "PolicyParameters"):
                continue
            message = good(subscription.msg_type, subscription.topic_name.removeprefix("/"), node, rng)
            _count_up(message, number)
            hear(subscription, message, number)
        now_ns = time.monotonic_ns()
        CASES[name].after(node, Tick(number, now_ns, now_ns, 0))
        for timer in node.timers if number % 25 == 0 else ():
            timer.callback()


def _count_up(message: Any, number: int) -> None:
    """What differs from one message to the next."""
    fields = message.get_fields_and_field_types()
    for name in fields.keys() & {"ticks", "updates", "received", "episode", "tick", "policy_version", "checkpoint"}:
        setattr(message, name, number)
    if "rule_names" in fields:
        message.rule_names, message.rule_counts = ["acceleration", "box"], [number, number // 2]
    if "reason" in fields:
        message.reason = f"camera is {number / 100:.2f} s old"


def hear(subscription: Any, message: Any, number: int | None, published_ns: int = 0, waited_ns: int = 0) -> None:
    """As an executor calls it. number, published_ns: as the middleware gives them."""
    info = {
        "source_timestamp": published_ns, "received_timestamp": time.time_ns() - waited_ns,
        "publication_sequence_number": number,
    }  # fmt: skip
    with_info = subscription._callback_type == subscription.CallbackType.WithMessageInfo
    subscription.callback(*((message, info) if with_info else (message,)))


@contextmanager
def unforeseen() -> Iterator[list[tuple[str, Exception]]]:
    """What was refused by an error that is no ValueError."""
    found, add = [], Refusals.add

    def refused(self, topic, error):
        if not isinstance(error, ValueError):
            found.append((topic, error))
        add(self, topic, error)

    Refusals.add = refused
    try:
        yield found
    finally:
        Refusals.add = add
