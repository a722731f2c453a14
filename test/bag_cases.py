"""Recordings made by the simulator: a run of the actor's own inputs and session in simulated time, said on its topics."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from rig_cases import FIVE, HOME

from jsac_ros import agent as algorithms
from jsac_ros.agent.policy import acting_seed, action_key, flatten, layout_hash, make_act, random_action
from jsac_ros.bags import definitions
from jsac_ros.bags.export import CLASSES
from jsac_ros.bags.writer import BagWriter
from jsac_ros.config import SystemConfig
from jsac_ros.control.inputs import Inputs
from jsac_ros.control.rate import ReceivedClock, Tick
from jsac_ros.control.session import Choice, Session
from jsac_ros.messages import to_message
from jsac_ros.parameters import from_parameters, to_parameters
from jsac_ros.rig import Rig
from jsac_ros.sim.world import World
from jsac_ros.types import Transition

DEMO = Path(__file__).resolve().parent.parent / "config" / "ur5_reacher_demo.yaml"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SESSION = 77
START_NS = 1_750_000_000_000_000_000
PERIOD_NS = 40_000_000
SMALL = {
    "agent.conv_channels": (4, 4, 4, 4), "agent.conv_kernels": (3,), "agent.conv_strides": (2, 2, 1, 1),
    "agent.latent_dim": 8, "agent.hidden": (16,), "replay.batch_size": 16, "replay.capacity": 2000, "task.episode_s": 0.6,
}  # fmt: skip
REACHER = SMALL | {
    "cameras.wrist.height": 31, "cameras.wrist.width": 35, "cameras.wrist.stack": 3, "cameras.wrist.source_height": 31,
    "cameras.wrist.source_width": 35, "robot.home": HOME, "actions.arm.type": "joint_velocity",
    "actions.arm.joints": FIVE, "task.reset_s": 0.2, "task.settle_s": 0.0,
}  # fmt: skip
# Three cameras, of which two share a topic, none of them alike, and a sensor that is tared.
SEVERAL = REACHER | {
    "cameras.close.topic": "camera/image_raw", "cameras.close.crop": (4, 4, 24, 26), "cameras.close.height": 24,
    "cameras.close.width": 26, "cameras.close.source_height": 31, "cameras.close.source_width": 35,
    "cameras.scene.topic": "scene/image_raw", "cameras.scene.height": 24, "cameras.scene.width": 24,
    "cameras.scene.channels": 1, "cameras.scene.stack": 2, "task.camera": "wrist",
    "sensors.wrench.topic": "wrench", "sensors.wrench.type": "geometry_msgs/msg/WrenchStamped",
    "sensors.wrench.fields": ("wrench.force.x", "wrench.force.z"), "sensors.wrench.tare": True,
    "sensors.said.topic": "said", "sensors.said.type": "std_msgs/msg/Float64MultiArray", "sensors.said.fields": ("data[0:3]",),
    "sensors.said.max_age_s": 0.0,
}  # fmt: skip
BASE = SMALL | {
    "cameras.front.height": 36, "cameras.front.width": 48, "cameras.front.source_height": 36, "cameras.front.source_width": 48,
    "robot.type": "diff_drive", "robot.interface": "twist", "actions.base.type": "base_velocity",
    "actions.base.scale": (0.3, 2.0), "task.type": "create_reacher", "task.reset_s": 0.2, "task.settle_s": 0.0,
    "task.reward": "dense", "safety.max_base_turn_rad_s": 2.0, "safety.command_max_age_s": 0.15,
    "sensors.bumper.topic": "bumper", "sensors.bumper.type": "std_msgs/msg/Bool", "sensors.bumper.fields": ("data",),
    "sensors.battery.topic": "battery_state", "sensors.battery.type": "sensor_msgs/msg/BatteryState",
    "sensors.battery.fields": ("percentage",), "sensors.battery.nan_as": (1.0,), "sensors.battery.stamps": "arrival",
}  # fmt: skip
GRIPS = REACHER | {
    "grippers.gripper.joint": "finger_joint", "grippers.gripper.stroke_m": 0.08, "actions.gripper.type": "gripper",
    "safety.command_max_age_s": 0.2,
}  # fmt: skip


def tiny_config(base: dict[str, Any] = REACHER, /, **overrides: Any) -> SystemConfig:
    """`overrides` as task__reward="sparse"; None leaves a field of `base` out."""
    values = base | {name.replace("__", "."): value for name, value in overrides.items()}
    return from_parameters({name: value for name, value in values.items() if value is not None})


class Recorder:
    """Topics of a run, written as its recorder would."""

    def __init__(self, folder: Path, **options):
        self.types = definitions.known()
        self.writer = BagWriter(folder, **options)

    def make(self, kind: str, **fields):
        return self.types.types[kind](**fields)

    def blank(self, kind: str):
        """A message of zeros and of nothing."""
        return self.make(kind, **{name: self._blank(field) for name, field in self.types.fielddefs[kind][1]})

    def _blank(self, field):
        node, about = field
        if node.name == "NAME":
            return self.blank(about)
        if node.name == "BASE":
            return {"string": "", "bool": False}.get(about[0], 0.0 if about[0].startswith("float") else 0)
        inner, size = about
        numbers = inner[0].name == "BASE" and inner[1][0] not in ("string", "bool")
        dtype = inner[1][0] if numbers else object
        return np.zeros(size or 0, dtype) if numbers else []

    def header(self, time_ns: int):
        return self.make("std_msgs/msg/Header", stamp=CLASSES.time(time_ns), frame_id="")

    def say(self, topic: str, kind: str, time_ns: int, message) -> None:
        if topic not in self.writer.topics:
            self.writer.add_topic(topic, kind)
        self.writer.write(topic, time_ns, bytes(self.types.serialize_cdr(message, kind)))

    def write(self, topic: str, kind: str, time_ns: int, **fields):
        message = self.make(kind, **fields)
        self.say(topic, kind, time_ns, message)
        return message

    def image(self, time_ns: int, frame: np.ndarray, topic: str = "/camera/image_raw"):
        height, width, channels = frame.shape
        return self.write(
            topic, "sensor_msgs/msg/Image", time_ns, header=self.header(time_ns), height=height, width=width,
            encoding="rgb8", is_bigendian=0, step=width * channels, data=frame.reshape(-1),
        )  # fmt: skip

    def compressed(self, time_ns: int, frame: np.ndarray, topic: str):
        data = cv2.imencode(".png", frame[..., ::-1])[1].reshape(-1)
        kind = "sensor_msgs/msg/CompressedImage"
        return self.write(topic, kind, time_ns, header=self.header(time_ns), format="png", data=data)

    def depth(self, time_ns: int, frame: np.ndarray, topic: str):
        """Brightness as millimetres."""
        depth = 8 * frame[..., 0].astype("<u2")
        height, width = depth.shape
        return self.write(
            topic, "sensor_msgs/msg/Image", time_ns, header=self.header(time_ns), height=height, width=width,
            encoding="16UC1", is_bigendian=0, step=2 * width, data=depth.reshape(-1).view(np.uint8),
        )  # fmt: skip

    def joints(self, time_ns: int, names, position, velocity=(), topic="/joint_states", recorded_ns: int = 0, effort=()):
        return self.write(
            topic, "sensor_msgs/msg/JointState", recorded_ns or time_ns, header=self.header(time_ns), name=list(names),
            position=np.array(position, np.float64), velocity=np.array(velocity, np.float64), effort=np.array(effort, np.float64),
        )  # fmt: skip

    def floats(self, topic: str, time_ns: int, values):
        layout = self.make("std_msgs/msg/MultiArrayLayout", dim=[], data_offset=0)
        kind = "std_msgs/msg/Float64MultiArray"
        return self.write(topic, kind, time_ns, layout=layout, data=np.array(values, np.float64))

    def transition(self, transition: Transition, time_ns: int) -> None:
        self.say("/transitions", "jsac_ros/msg/Transition", time_ns, to_message(transition, CLASSES))

    def policy(self, version: int, vector: np.ndarray, hash_: int, time_ns: int) -> None:
        info = self.make(
            "jsac_ros/msg/PolicyInfo", header=self.header(time_ns), session=5, version=version,
            parameter_count=vector.size, layout_hash=hash_,
        )  # fmt: skip
        data = vector.view(np.uint8)
        self.write("/policy_parameters", "jsac_ros/msg/PolicyParameters", time_ns, info=info, data=data)


@lru_cache
def recorded_run() -> tuple[Path, list[Transition], SystemConfig]:
    """One run for all tests of a process: its recording, the transitions that were sent, its configuration."""
    config = tiny_config()
    folder = temporary() / "bag"
    return folder, record_run(folder, config), config


def temporary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="jsac_bag_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class Silent:
    """A logger that must not be needed."""

    def error(self, line: str, **_) -> None:
        raise AssertionError(line)

    warning = error


class Run:
    """A simulated actor on its recorded inputs; `sent` holds its transitions.

    learned: with policies, which takes seconds to compile.
    """

    def __init__(self, folder: Path, config: SystemConfig, learned: bool = True):
        self.config, self.rig = config, Rig.of(config)
        self.world = World(Rig.of(_simulated(config)), seed=3)
        self.recorder, self.clock = Recorder(folder), ReceivedClock()
        self.inputs = Inputs(self.rig, Silent(), self.clock)
        self.session = Session(self.rig, "ur5", SESSION)
        agent = algorithms.build(config.agent, self.rig.spaces)
        self._act = make_act(agent)
        self.policies = {8 * k: agent.policy_params(agent.init(seed=k)) for k in (1, 2)} if learned else {}
        self.version = 0
        self.sent: list[Transition] = []
        self._executed = None
        self._random = np.random.default_rng(1)
        text = yaml.safe_dump(to_parameters(config))
        self.recorder.write("/configuration", "std_msgs/msg/String", START_NS, data=text)
        for version, params in self.policies.items():
            self.recorder.policy(version, np.array(flatten(params)), layout_hash(agent) % 2**64, START_NS + 1)
        self.session.start()

    def choose(self, observation, episode, step, deterministic) -> Choice:
        key = action_key(acting_seed(self.config.run.seed, SESSION), episode, step)
        if self.version == 0:
            return Choice(random_action(key, self.rig.spaces), 0)
        return Choice(self._act(self.policies[self.version], observation, key, deterministic), self.version)

    def tick(self, number: int, events=(), problem="") -> None:
        """Joints 3 ms and images 2 ms before it."""
        now_ns = START_NS + 10**6 + number * PERIOD_NS
        self._say(now_ns)
        self.clock.set(now_ns)
        view = self.inputs.view(Tick(number, now_ns, now_ns + 100_000, 0), None, events, problem)
        outcome = self.session.tick(view, self.choose, self._executed)
        if self.session.service:
            self.session.answered(*self.world.call(self.session.service))
        self._send(outcome.transitions, now_ns)
        self._executed = self.world.step(outcome.command._replace(outputs={}))

    def _say(self, now_ns: int) -> None:
        rig, sim, recorder, inputs = self.rig, self.world.sim, self.recorder, self.inputs
        order = sorted(range(len(rig.robot)), key=lambda i: rig.robot.names[i])
        fingers = [gripper.config for gripper in rig.grippers.values()]  # nearly open
        names = [*(rig.robot.names[i] for i in order), *(of.joint for of in fingers)]
        places = [of.open + 0.05 * self._random.random() * (of.closed - of.open) for of in fingers]
        q, qd = (np.concatenate((values[order], more)) for values, more in ((sim.q, places), (sim.qd, 0.0 * np.array(places))))
        joints = recorder.joints(now_ns - 3_000_000, names, q, qd, effort=self._random.normal(size=len(names)))
        self.clock.set(now_ns - 3_000_000)
        inputs.on_joints(joints, now_ns - 3_000_000)
        snapshot = sim.snapshot()
        self.clock.set(now_ns - 2_000_000)
        for name, topic in {camera.topic: (name, camera.topic) for name, camera in self.config.cameras.items()}.values():
            about = self.config.cameras[name]
            say = recorder.compressed if about.compressed else recorder.depth if about.depth_range_m else recorder.image
            message = say(now_ns - 2_000_000, sim.render(name, snapshot), f"/{topic}")
            for camera, about in self.config.cameras.items():
                if about.topic == topic:
                    inputs.on_image(camera, message, now_ns - 2_000_000)
        for name, sensor in rig.sensors.items():
            if sensor.config.max_age_s or now_ns > START_NS + 10 * PERIOD_NS:
                self._say_sensor(name, now_ns - 1_000_000)

    def _say_sensor(self, name: str, time_ns: int) -> None:
        sensor = self.rig.sensors[name]
        message = sensor.written(self.recorder.blank(sensor.config.type), self._random.uniform(0.2, 1.0, sensor.space.size))
        for field, value in vars(message).items():
            if isinstance(value, list):  # as `rosbags` has arrays
                setattr(message, field, np.array(value))
        if hasattr(message, "header"):
            message.header = self.recorder.header(time_ns)
        self.recorder.say(f"/{sensor.config.topic}", sensor.config.type, time_ns, message)
        self.clock.set(time_ns)
        self.inputs.on_sensor(name, message, time_ns)

    def _send(self, transitions, now_ns: int) -> None:
        for transition in transitions:
            self.recorder.transition(transition, now_ns)
        self.sent += transitions

    def close(self, now_ns: int) -> None:
        self._send(self.session.end("run complete").transitions, now_ns)
        self.recorder.writer.close()
        self.world.close()


def _simulated(config: SystemConfig) -> SystemConfig:
    """Without sensors and grippers, whose messages are made up; with the reacher's scene if the task has none."""
    tree, task = to_parameters(config), Rig.of(config).task
    colour = next(iter(name for name, camera in config.cameras.items() if camera.channels == 3), "")
    reacher = {"type": "ur5_reacher", "camera": colour}
    moving = {name: part for name, part in tree["actions"].items() if part["type"] != "gripper"}
    return from_parameters(
        tree | {
            "sensors": {}, "grippers": {}, "actions": moving, "sim": {"type": "kinematic"}, "safety": {"command_max_age_s": config.safety.command_max_age_s},
            "task": reacher if task.scene(0) is None else {**tree["task"], "observe": []},
        }
    )  # fmt: skip


def record_run(folder: Path, config: SystemConfig, ticks: int = 150, learned: bool = True) -> list[Transition]:
    """A simulated run, recorded; returns the transitions as the live actor sent them.

    Random actions first, then two policies; the joint state of a tick is a little older than its frame.
    """
    run = Run(folder, config, learned)
    for number in range(ticks):
        run.version = (0, 8, 16)[min(2, 3 * number // ticks)] if learned else 0
        run.tick(number)
    run.close(START_NS + 10**6 + ticks * PERIOD_NS)
    return run.sent
