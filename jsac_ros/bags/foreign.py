"""A foreign recording (camera, joints, commands) through the actor's own session: frames become steps.

The configuration is the mapping: topics, joints by name, `action_scale` and `action_offset`, where an episode ends
(a pause longer than `camera.max_age_s`, joint states older than `robot.joint_max_age_s`, `task.episode_s`) and what is
earned (`bag.reward`). The action of a frame is the newest command before the instant of the next frame, for a
recording's commands answer its frames and not the other way round.
"""

from __future__ import annotations

import zlib
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from jsac_ros.bags.reader import IMAGES, Bag, BagError, Record, Topic
from jsac_ros.bags.recorded_run import AHEAD, DECODERS, RemadeStep
from jsac_ros.config import SystemConfig, spec_of
from jsac_ros.control.images import FrameMaker
from jsac_ros.control.session import Choice, Outcome, Session, View
from jsac_ros.control.shaping import ActionShaper
from jsac_ros.messages import to_ns
from jsac_ros.robots.joint_map import JointMap
from jsac_ros.robots.models import arm_of
from jsac_ros.tasks import make_task
from jsac_ros.tasks.task import Task
from jsac_ros.types import Step

TYPES = {
    "image": IMAGES,
    "joints": ("sensor_msgs/msg/JointState",),
    "command": ("std_msgs/msg/Float64MultiArray", "sensor_msgs/msg/JointState"),
    "reward": ("std_msgs/msg/Float64", "std_msgs/msg/Float32"),
}


class _Moment(NamedTuple):
    """A frame and what belongs to it."""

    time_ns: int
    stamp_ns: int
    frame: Future
    joints: tuple[np.ndarray, np.ndarray] | None  # rad, rad/s, newest at the frame
    joint_time_ns: int
    joint_stamp_ns: int


class _AsRecorded:
    """A task whose episodes begin where the recording stands: nobody can move that robot home any more."""

    needs_new_target = False
    waits_for = ""
    settle_s = 0.0

    def __init__(self, task: Task):
        self.episode_steps = task.episode_steps
        self.begin_episode, self.proprioception, self.score = task.begin_episode, task.proprioception, task.score

    def begin_reset(self, position: np.ndarray, now_s: float) -> None:
        pass

    def reset_velocity(self, position: np.ndarray, velocity: np.ndarray, now_s: float) -> None:
        return None


class _Newest:
    """A value that changes in time, and what it was before its newest change."""

    def __init__(self, value):
        self.value = self._previous = value
        self._since_ns = -1

    def set(self, time_ns: int, value) -> None:
        if time_ns > self._since_ns:
            self._previous = self.value
        self.value, self._since_ns = value, time_ns

    def before(self, time_ns: int):
        """What it was just before an instant that is not earlier than the newest change."""
        return self.value if self._since_ns < time_ns else self._previous


class ForeignRecording:
    """Iterates over the steps; `skipped` counts by reason what could not be used."""

    def __init__(self, bag: Bag, config: SystemConfig):
        """Raises BagError where a topic is missing or of another type, ConfigError where the configuration is wrong."""
        self._bag, self._config = bag, config
        arm = arm_of(config.robot)
        self._spec = spec_of(config, len(arm))
        self._shaper = ActionShaper(config.task)
        number = zlib.crc32(f"{bag.path.name} {bag.start_ns}".encode())
        self._session = Session(_AsRecorded(make_task(config, arm)), self._spec, self._shaper, "bag", number, len(arm))
        self._make_frame = FrameMaker(config.camera)
        self._map_joints, self._map_commands = JointMap(arm.names), JointMap(arm.names)
        self._joint_count = len(arm)
        self._camera = self._find("image", config.camera.topic)
        self._joints = self._find("joints", config.robot.joint_states_topic)
        self._command = self._find("command", config.bag.action_topic)
        self._reward = self._find("reward", config.bag.reward_topic) if config.bag.reward == "topic" else None
        self.skipped: Counter[str] = Counter()
        self.episodes = 0
        self._last_ns = 0  # of the newest frame
        self._earned = 0.0  # by the step before

    def _find(self, what: str, name: str) -> Topic:
        if not name:
            raise BagError(f"bag {self._bag.path}: the configuration names no topic for {what}")
        topic = self._bag.topic(name)
        if topic.type not in TYPES[what]:
            raise BagError(f"bag {self._bag.path}: {topic.name} is {topic.type}; expected {' or '.join(TYPES[what])}")
        if not topic.count:
            raise BagError(f"bag {self._bag.path}: {topic.name} has no messages")
        return topic

    def __iter__(self) -> Iterator[RemadeStep]:
        with ThreadPoolExecutor(DECODERS) as pool:
            steps = self._numbered(self._steps(pool))
            yield from _demonstration(steps) if self._config.bag.reward == "end" else steps
        if not self.episodes:
            why = "; ".join(f"{count} times {reason}" for reason, count in self.skipped.most_common(3))
            raise BagError(f"bag {self._bag.path}: not one step could be made of it ({why or 'no frames'})")

    def _steps(self, pool: ThreadPoolExecutor) -> Iterator[RemadeStep]:
        """Frames are decoded ahead; a moment is acted on when the next one is known, with its command."""
        waiting: deque[tuple[_Moment, np.ndarray | None, float]] = deque()
        for complete in self._moments(pool):
            waiting.append(complete)
            if len(waiting) > AHEAD:
                yield from self._act(*waiting.popleft())
        while waiting:
            yield from self._act(*waiting.popleft())
        yield from self._emitted(self._session.end("end of recording"))

    def _moments(self, pool: ThreadPoolExecutor) -> Iterator[tuple[_Moment, np.ndarray | None, float]]:
        """Each frame with the newest command and reward before the next frame."""
        joints, joint_time_ns, joint_stamp_ns = None, 0, 0
        command, reward, moment = _Newest(None), _Newest(0.0), None
        topics = [t.name for t in (self._camera, self._joints, self._command, self._reward) if t]
        for record in self._bag.messages(topics):
            if record.topic == self._camera.name:
                if moment is not None:
                    yield moment, command.before(record.time_ns), reward.before(record.time_ns)
                message = self._bag.decode(record)
                frame = pool.submit(self._make_frame, message)
                moment = _Moment(
                    record.time_ns, to_ns(message.header.stamp), frame, joints, joint_time_ns, joint_stamp_ns
                )
                continue
            if record.topic == self._joints.name:
                message = self._bag.decode(record)
                joints = self._use(self._map_joints, message) or joints
                joint_time_ns, joint_stamp_ns = record.time_ns, to_ns(message.header.stamp)
            if record.topic == self._command.name:
                command.set(record.time_ns, self._command_of(record))
            elif self._reward and record.topic == self._reward.name:
                reward.set(record.time_ns, float(self._bag.decode(record).data))
        if moment is not None:
            yield moment, command.value, reward.value

    def _use(self, mapping: JointMap, message) -> tuple[np.ndarray, np.ndarray] | None:
        try:
            position, velocity = mapping(message.name, message.position, message.velocity)
        except ValueError as error:
            self.skipped[str(error)] += 1
            return None
        if np.isfinite(position).all() and np.isfinite(velocity).all():
            return position, velocity
        self.skipped["joint state is not finite"] += 1
        return None

    def _command_of(self, record: Record) -> np.ndarray | None:
        """In the robot's units and order, float64 [N]."""
        message = self._bag.decode(record)
        if record.type == "sensor_msgs/msg/JointState":
            used = self._use(self._map_commands, message)
            return used[0] if used else None
        if len(message.data) == self._joint_count and np.isfinite(message.data).all():
            return np.asarray(message.data, np.float64)
        self.skipped[f"command has {len(message.data)} values or is not finite; expected {self._joint_count}"] += 1
        return None

    def _act(self, moment: _Moment, command: np.ndarray | None, reward: float) -> Iterator[RemadeStep]:
        try:
            frame = moment.frame.result()
        except ValueError as error:
            self.skipped[str(error)] += 1
            return
        seconds = moment.time_ns * 1e-9
        view = View(
            steady_s=seconds, stamp_ns=moment.time_ns, lateness_s=0.0, frame=frame, frame_stamp_ns=moment.stamp_ns,
            position=moment.joints[0] if moment.joints else None,
            velocity=moment.joints[1] if moment.joints else None,
            joint_stamp_ns=moment.joint_stamp_ns, frame_age_s=0.0,
            joint_age_s=(moment.time_ns - moment.joint_time_ns) * 1e-9, problem=self._problem(moment, command),
        )  # fmt: skip
        if self._session.state == "waiting":
            self._session.start()
        gap_s = (moment.time_ns - self._last_ns) * 1e-9 if self._last_ns else 0.0
        if not 0 <= gap_s <= self._config.camera.max_age_s:
            pause = view._replace(problem=f"{gap_s:.2f} s without a frame")
            yield from self._emitted(self._session.tick(pause, None, None))
        self._last_ns = moment.time_ns
        outcome = self._session.tick(view, lambda *_: Choice(self._shaper.action(command), -1), None)
        if self._reward:
            outcome = outcome._replace(steps=tuple(s._replace(reward=self._earned) for s in outcome.steps))
        self._earned = reward
        if view.problem:
            self.skipped[view.problem] += 1
        yield from self._emitted(outcome)

    def _problem(self, moment: _Moment, command: np.ndarray | None) -> str:
        if moment.joints is None:
            return "frame before the first joint state"
        if (moment.time_ns - moment.joint_time_ns) * 1e-9 > self._config.robot.joint_max_age_s:
            return f"joint state older than {self._config.robot.joint_max_age_s} s"
        return "frame before the first command" if command is None else ""

    def _emitted(self, outcome: Outcome) -> Iterator[RemadeStep]:
        self.episodes += outcome.finished is not None
        for step in outcome.steps:
            yield RemadeStep(step, None)

    @staticmethod
    def _numbered(steps: Iterator[RemadeStep]) -> Iterator[RemadeStep]:
        for sequence, remade in enumerate(steps):
            yield remade._replace(step=remade.step._replace(sequence=sequence))


def _demonstration(steps: Iterator[RemadeStep]) -> Iterator[RemadeStep]:
    """The recording shows how it is done: the last action of every episode earns 1 and ends it (mask 0)."""
    held: RemadeStep | None = None
    for remade in steps:
        if held is not None:
            last = remade.step.is_last and not held.step.is_last
            yield held._replace(step=_rewarded(held.step)) if last else held
        held = remade
    if held is not None:
        yield held


def _rewarded(step: Step) -> Step:
    return step._replace(reward=1.0, mask=0.0)
