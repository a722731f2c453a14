"""Recordings made by the simulator: a run of the actor's own session in simulated time, said on its topics."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml

from jsac_ros.agent.algorithm import algorithm_of
from jsac_ros.agent.policy import acting_seed, action_key, flatten, layout_hash, policy_parameters, random_action
from jsac_ros.bags import definitions
from jsac_ros.bags.writer import BagWriter
from jsac_ros.config import SystemConfig, load, spec_of, to_parameters
from jsac_ros.control.images import FrameMaker
from jsac_ros.control.session import Choice, Session, View
from jsac_ros.control.shaping import ActionShaper
from jsac_ros.robots.models import arm_of
from jsac_ros.robots.sim_world import SimWorld
from jsac_ros.tasks import make_task
from jsac_ros.types import Step

DEMO = Path(__file__).resolve().parent.parent / "config" / "ur5_reacher_demo.yaml"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SESSION = 77
START_NS = 1_750_000_000_000_000_000
PERIOD_NS = 40_000_000


def tiny_config(**overrides) -> SystemConfig:
    values = {
        "camera.height": 31, "camera.width": 35, "task.episode_s": 0.6, "task.reset_s": 0.2,
        "task.settle_s": 0.0, "task.stack": 3,
        "agent.conv_channels": (4, 4, 4, 4), "agent.latent_dim": 8, "agent.hidden": (16,), "replay.batch_size": 16,
        "replay.capacity": 2000, "sim.camera_height": 31, "sim.camera_width": 35,
    }  # fmt: skip
    return load(DEMO, values | {name.replace("__", "."): value for name, value in overrides.items()})


class Recorder:
    """Topics of a run, written as its recorder would."""

    def __init__(self, folder: Path, **options):
        self.types = definitions.known()
        self.writer = BagWriter(folder, **options)

    def make(self, kind: str, **fields):
        return self.types.types[kind](**fields)

    def stamp(self, time_ns: int):
        return self.make("builtin_interfaces/msg/Time", sec=time_ns // 10**9, nanosec=time_ns % 10**9)

    def header(self, time_ns: int):
        return self.make("std_msgs/msg/Header", stamp=self.stamp(time_ns), frame_id="")

    def write(self, topic: str, kind: str, time_ns: int, **fields) -> None:
        if topic not in self.writer.topics:
            self.writer.add_topic(topic, kind)
        self.writer.write(topic, time_ns, bytes(self.types.serialize_cdr(self.make(kind, **fields), kind)))

    def image(self, time_ns: int, frame: np.ndarray, topic: str = "/camera/image_raw") -> None:
        height, width, channels = frame.shape
        self.write(
            topic, "sensor_msgs/msg/Image", time_ns, header=self.header(time_ns), height=height, width=width,
            encoding="rgb8", is_bigendian=0, step=width * channels, data=frame.reshape(-1),
        )  # fmt: skip

    def joints(
        self, time_ns: int, names, position, velocity=(), topic: str = "/joint_states", recorded_ns: int = 0
    ) -> None:
        self.write(
            topic, "sensor_msgs/msg/JointState", recorded_ns or time_ns, header=self.header(time_ns), name=list(names),
            position=np.array(position, np.float64), velocity=np.array(velocity, np.float64), effort=np.empty(0),
        )  # fmt: skip

    def floats(self, topic: str, time_ns: int, values) -> None:
        layout = self.make("std_msgs/msg/MultiArrayLayout", dim=[], data_offset=0)
        self.write(topic, "std_msgs/msg/Float64MultiArray", time_ns, layout=layout, data=np.array(values, np.float64))

    def transition(self, step: Step, time_ns: int) -> None:
        height, width, channels = step.frame.shape
        self.write(
            "/transitions", "jsac_ros/msg/Transition", time_ns, header=self.header(step.stamp_ns), robot=step.robot,
            session=step.session, sequence=step.sequence, oldest_sequence=0, episode=step.episode, step=step.step,
            is_first=step.is_first, is_last=step.is_last, intervened=step.intervened, success=step.success,
            height=height, width=width, channels=channels, encoding="raw", frame=step.frame.reshape(-1),
            proprioception=step.proprioception, action=step.action, executed=step.executed, reward=step.reward,
            mask=step.mask, frame_stamp=self.stamp(step.frame_stamp_ns), joint_stamp=self.stamp(step.joint_stamp_ns),
            policy_version=step.policy_version, lateness=step.lateness_s,
        )  # fmt: skip

    def policy(self, version: int, vector: np.ndarray, hash_: int, time_ns: int) -> None:
        info = self.make(
            "jsac_ros/msg/PolicyInfo", header=self.header(time_ns), session=5, version=version,
            parameter_count=vector.size, layout_hash=hash_,
        )  # fmt: skip
        data = vector.view(np.uint8)
        self.write("/policy_parameters", "jsac_ros/msg/PolicyParameters", time_ns, info=info, data=data)


@lru_cache
def recorded_run() -> tuple[Path, list[Step], SystemConfig]:
    """One run for all tests of a process: its recording, the steps that were sent, its configuration."""
    folder = Path(tempfile.mkdtemp(prefix="jsac_bag_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    config = tiny_config()
    return folder / "bag", record_run(folder / "bag", config), config


def record_run(folder: Path, config: SystemConfig, ticks: int = 150) -> list[Step]:
    """A simulated run, recorded; returns the steps as the live actor sent them.

    Random actions first, then two policies; the joint state of a tick is a little older than its frame.
    """
    arm = arm_of(config.robot)
    spec = spec_of(config, len(arm))
    session = Session(make_task(config, arm), spec, ActionShaper(config.task), "ur5", SESSION, len(arm))
    algorithm = algorithm_of(config.agent)
    act = algorithm.make_act(config.agent, spec)
    policies = {8 * k: policy_parameters(algorithm.create(config.agent, spec, seed=k)) for k in (1, 2)}
    make_frame = FrameMaker(config.camera)
    recorder, world, sent = Recorder(folder), SimWorld(config, seed=3), []
    text = yaml.safe_dump(to_parameters(config))
    recorder.write("/configuration", "std_msgs/msg/String", START_NS, data=text)
    for version, parameters in policies.items():
        vector = np.array(flatten(parameters))
        recorder.policy(version, vector, layout_hash(config.agent, spec) % 2**64, START_NS + 1)
    frame, version = world.reset(), 0

    def choose(observation, episode, step, deterministic):
        key = action_key(acting_seed(config.run.seed, SESSION), episode, step)
        if version == 0:
            return Choice(random_action(key, spec), 0)
        return Choice(np.asarray(act(policies[version], *observation, key, deterministic)), version)

    session.start()
    for tick in range(ticks):
        now_ns = START_NS + 10**6 + tick * PERIOD_NS
        version = (0, 8, 16)[min(2, 3 * tick // ticks)]
        names = sorted(arm.names)
        order = [arm.names.index(name) for name in names]
        position, velocity = world.q.copy(), world.qd.copy()
        recorder.joints(now_ns - 3_000_000, names, position[order], velocity[order])
        recorder.image(now_ns - 2_000_000, frame)
        view = View(
            steady_s=now_ns * 1e-9, stamp_ns=now_ns, lateness_s=0.0001, frame=make_frame(_Raw(frame)),
            frame_stamp_ns=now_ns - 2_000_000, position=position, velocity=velocity,
            joint_stamp_ns=now_ns - 3_000_000, frame_age_s=0.002, joint_age_s=0.003, problem="",
        )  # fmt: skip
        outcome = session.tick(view, choose, None)
        if session.target_wanted:
            session.target_ready()
        sent += _send(recorder, outcome.steps, len(sent), now_ns)
        frame = world.step(outcome.velocity)
    sent += _send(recorder, session.end("run complete").steps, len(sent), now_ns + 1)
    recorder.writer.close()
    return sent


def _send(recorder: Recorder, steps, first_sequence: int, now_ns: int) -> list[Step]:
    numbered = [step._replace(sequence=first_sequence + i) for i, step in enumerate(steps)]
    for step in numbered:
        recorder.transition(step, now_ns)
    return numbered


class _Raw:
    """A frame as the message that `Recorder.image` writes."""

    encoding, is_bigendian = "rgb8", 0

    def __init__(self, frame: np.ndarray):
        self.height, self.width, channels = frame.shape
        self.step, self.data = self.width * channels, frame.tobytes()
