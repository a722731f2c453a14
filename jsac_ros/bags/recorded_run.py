"""A run's own recording: every step of the actor made again from what the camera and the joints said.

The recorded Transition tells which frame, which joint state and which action belong to a tick; pixels, proprioception,
reward and success are computed anew with the actor's own code, and can be compared with what it had.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import yaml

from jsac_ros.bags.reader import Bag, BagError, Record, cdr_stamp_ns
from jsac_ros.config import ConfigError, SystemConfig, from_parameters, spec_of
from jsac_ros.control.images import FrameMaker
from jsac_ros.messages import from_message, to_ns
from jsac_ros.robots.joint_map import JointMap
from jsac_ros.robots.models import arm_of
from jsac_ros.tasks import make_task
from jsac_ros.types import Step

DECODERS = 2  # threads; OpenCV leaves the interpreter while it decodes
AHEAD = 8  # steps whose frames are being decoded
_HELD_FRAMES, _HELD_JOINTS, _HELD_COMMANDS, _HELD_POLICIES = 200, 4000, 1000, 64


class RemadeStep(NamedTuple):
    """One step of a recording, made again."""

    step: Step
    recorded: Step | None  # as the live actor sent it; None in a foreign recording
    missing: tuple[str, ...] = ()  # "image", "joints": not in the bag, the recorded ones stand in
    rules: tuple[str, ...] = ()  # of safety, that changed the command of this step
    parameters: np.ndarray | None = None  # float32 [count], the policy that acted, where it was recorded


class _Begun(NamedTuple):
    """A step whose frame is still being decoded."""

    recorded: Step
    frame: Future | None
    joints: Record | None
    rules: tuple[str, ...]
    parameters: np.ndarray | None


def is_recorded_run(bag: Bag) -> bool:
    """Whether the bag holds what an actor of ours sent."""
    return any(t.type == "jsac_ros/msg/Transition" and t.count for t in bag.topics.values())


def configuration_of(bag: Bag) -> SystemConfig | None:
    """The configuration that a recorder of ours put in front; None in a foreign bag."""
    for record in bag.messages([t.name for t in bag.topics.values() if t.name.endswith("/configuration")]):
        if record.type == "std_msgs/msg/String":
            try:
                return from_parameters(yaml.safe_load(bag.decode(record).data))
            except (ConfigError, yaml.YAMLError) as error:
                raise BagError(f"bag {bag.path}: its configuration cannot be used: {error}") from None
    return None


class _Held(OrderedDict):
    """The newest entries."""

    def __init__(self, limit: int):
        super().__init__()
        self._limit = limit

    def keep(self, key: Any, value: Any) -> None:
        self[key] = value
        if len(self) > self._limit:
            self.popitem(last=False)


class RecordedRun:
    """Iterates over the steps of one actor's recording in the order in which they were taken."""

    def __init__(self, bag: Bag, config: SystemConfig):
        """Raises BagError where the bag has no such topics, ConfigError where robot and task do not fit."""
        self._bag = bag
        arm = arm_of(config.robot)
        self._spec = spec_of(config, len(arm))
        self._make_frame = FrameMaker(config.camera)
        self._map_joints = JointMap(arm.names)
        self._task = make_task(config, arm)
        self._camera = bag.topic(config.camera.topic).name if self._spec.height else ""
        self._joints = bag.topic(config.robot.joint_states_topic).name
        self._frames, self._joint_states = _Held(_HELD_FRAMES), _Held(_HELD_JOINTS)
        self._commands, self._rules = _Held(_HELD_COMMANDS), _Held(_HELD_COMMANDS)
        self._policies = _Held(_HELD_POLICIES)
        self.duplicates = 0  # resent transitions
        self.lost = 0  # sequence numbers that the recording lacks; the rest of their episode is left out

    def __iter__(self) -> Iterator[RemadeStep]:
        with ThreadPoolExecutor(DECODERS) as pool:
            waiting: deque[_Begun] = deque()
            remake = _Remake(self._spec, self._task, self._map_joints, self._bag)
            for begun in self._begun(pool):
                waiting.append(begun)
                if len(waiting) > AHEAD:
                    yield from remake(waiting.popleft())
            while waiting:
                yield from remake(waiting.popleft())

    def _begun(self, pool: ThreadPoolExecutor) -> Iterator[_Begun]:
        """Reads on, holding what a later step may need."""
        bag, order = self._bag, _Order(self)
        hear = {
            "sensor_msgs/msg/JointState": self._on_joints,
            "jsac_ros/msg/Action": self._on_command,
            "jsac_ros/msg/AppliedAction": self._on_applied,
            "jsac_ros/msg/PolicyParameters": self._on_policy,
        }
        wanted = [t.name for t in bag.topics.values() if t.type in hear or t.type == "jsac_ros/msg/Transition"]
        for record in bag.messages([*wanted, self._camera]):
            if record.topic == self._camera:
                self._frames.keep(cdr_stamp_ns(record.data), record)
            elif record.type in hear:
                hear[record.type](record)
            else:
                step = from_message(bag.decode(record))
                if order.accepts(step):
                    yield self._begin(step, pool)

    def _begin(self, step: Step, pool: ThreadPoolExecutor) -> _Begun:
        frame = self._frames.get(step.frame_stamp_ns) if self._camera else None
        if isinstance(frame, Record):
            frame = pool.submit(self._decode, frame)
            self._frames[step.frame_stamp_ns] = frame  # a frame may serve two ticks
        rules = self._rules.get(self._commands.get(step.frame_stamp_ns, -1), ())
        joints = self._joint_states.get(step.joint_stamp_ns)
        return _Begun(step, frame, joints, rules, self._policies.get(step.policy_version))

    def _decode(self, record: Record) -> np.ndarray:
        return self._make_frame(self._bag.decode(record))

    def _on_joints(self, record: Record) -> None:
        if record.topic == self._joints:
            self._joint_states.keep(cdr_stamp_ns(record.data), record)

    def _on_command(self, record: Record) -> None:
        command = self._bag.decode(record)
        self._commands.keep(to_ns(command.observation_stamp), command.tick)

    def _on_applied(self, record: Record) -> None:
        applied = self._bag.decode(record)
        if applied.intervened:
            self._rules.keep(applied.tick, tuple(applied.rules))

    def _on_policy(self, record: Record) -> None:
        message = self._bag.decode(record)
        self._policies.keep(message.info.version, np.frombuffer(message.data, np.float32))


class _Order:
    """Each step once and in sequence; after a gap, nothing until the next episode begins."""

    def __init__(self, run: RecordedRun):
        self._run = run
        self._robot = ""
        self._next: dict[tuple[str, int], int] = {}
        self._broken: set[tuple[str, int]] = set()

    def accepts(self, step: Step) -> bool:
        self._robot = self._robot or step.robot
        if step.robot != self._robot:  # several actors in one recording: the first one's
            return False
        stream = (step.robot, step.session)
        expected = self._next.get(stream, step.sequence)
        if step.sequence < expected:
            self._run.duplicates += 1
            return False
        self._run.lost += step.sequence - expected
        if step.sequence > expected or stream not in self._next:
            self._broken.add(stream)
        self._next[stream] = step.sequence + 1
        if step.is_first:
            self._broken.discard(stream)
        return stream not in self._broken


class _Remake:
    """Observation, reward and success with the actor's own code; a step is complete when the next one is seen."""

    def __init__(self, spec, task, map_joints: JointMap, bag: Bag):
        self._spec, self._task, self._map_joints, self._bag = spec, task, map_joints, bag
        self._pending: RemadeStep | None = None

    def __call__(self, begun: _Begun) -> Iterator[RemadeStep]:
        recorded = begun.recorded
        frame, missing = recorded.frame, []
        if begun.frame is not None:
            frame = begun.frame.result()
        elif self._spec.height:
            missing.append("image")
        previous = None if recorded.is_first else self._pending
        proprioception = recorded.proprioception
        if begun.joints is None:
            missing.append("joints")
        else:
            joints = self._bag.decode(begun.joints)
            position, velocity = self._map_joints(joints.name, joints.position, joints.velocity)
            action = previous.step.action if previous else np.zeros(self._spec.action, np.float32)
            proprioception = self._task.proprioception(position, velocity, action)
        success = False
        if recorded.is_first:
            self._task.begin_episode()
            if self._pending is not None:  # its episode was cut by a gap
                yield self._close_pending()
        elif previous is not None:
            score = self._task.score(frame)
            success = score.success
            step = previous.step._replace(reward=score.reward, mask=0.0 if score.terminated else 1.0)
            yield previous._replace(step=step)
        step = recorded._replace(frame=frame, proprioception=proprioception, success=success, reward=0.0, mask=1.0)
        self._pending = RemadeStep(step, recorded, tuple(missing), begun.rules, begun.parameters)
        if recorded.is_last:
            yield self._pending
            self._pending = None

    def _close_pending(self) -> RemadeStep:
        """The newest observation of an unfinished episode closes it: its reward is not known."""
        pending, self._pending = self._pending, None
        return pending._replace(step=pending.step._replace(is_last=True))
