"""The recording of a run: recomputes every transition of the actor from the messages of cameras, joints and sensors.

The recorded Transition identifies the messages, the action and the time of a tick. Frames, vectors, reward and success are
recomputed with the actor's code and can be compared with the recorded ones.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from jsac_ros import documents, plugins
from jsac_ros.bags.reader import IMAGES, Bag, BagError, Record, cdr_stamp_ns
from jsac_ros.config import SystemConfig
from jsac_ros.control.heard import Frame, Heard, JointReader, Joints, Reading, Times, known_by, sensed_of
from jsac_ros.control.images import FrameMaker
from jsac_ros.control.rollout import Rollout
from jsac_ros.messages import from_message, to_ns
from jsac_ros.parameters import from_parameters
from jsac_ros.rig import JOINTS, Rig, Source
from jsac_ros.types import Sensed, Transition

KINDS = ("robot", "action", "task", "agent")  # kinds of plug-ins that reading a recording needs
DECODERS = 2  # threads; OpenCV releases the GIL while it decodes
AHEAD = 8  # transitions whose frames are being decoded
_HELD_IMAGES, _HELD, _HELD_POLICIES = 200, 4000, 64


class Remade(NamedTuple):
    """One recomputed transition of a recording."""

    transition: Transition
    recorded: Transition | None  # as the live actor sent it; None in a foreign recording
    missing: tuple[str, ...] = ()  # sources whose message is not in the bag; recorded values replace them
    rules: tuple[str, ...] = ()  # rules of safety that changed the command of this step
    parameters: np.ndarray | None = None  # float32 [count], of the policy that acted; None if not recorded


class _Begun(NamedTuple):
    """A transition whose frames are still being decoded."""

    recorded: Transition
    heard: dict[str, Future | Joints | Record]  # by source; only those in the bag
    rules: tuple[str, ...]
    parameters: np.ndarray | None


def is_recorded_run(bag: Bag) -> bool:
    """Whether the bag contains transitions of an actor."""
    return any(t.type == "jsac_ros/msg/Transition" and t.count for t in bag.topics.values())


def configuration_of(bag: Bag) -> SystemConfig | None:
    """The configuration that the recorder wrote first; None in a foreign bag."""
    for record in bag.messages([t.name for t in bag.topics.values() if t.name.endswith("/configuration")]):
        if record.type == "std_msgs/msg/String":
            try:
                return from_parameters(documents.yaml_of(bag.decode(record).data[: documents.YAML_BYTES]), KINDS)
            except ValueError as error:
                raise BagError(f"bag {bag.path}: its configuration cannot be used: {error}") from None
    return None


class _Held(OrderedDict):
    """Keeps the newest entries."""

    def __init__(self, limit: int):
        super().__init__()
        self._limit = limit

    def keep(self, key: Any, value: Any) -> None:
        self[key] = value
        if len(self) > self._limit:
            self.popitem(last=False)


class RecordedRun:
    """Iterates over the transitions of one actor, in order."""

    def __init__(self, bag: Bag, rig: Rig):
        """Raises BagError if the bag lacks a topic of the rig."""
        self._bag, self._rig = bag, rig
        self._make_frame = {name: FrameMaker(camera) for name, camera in rig.config.cameras.items()}
        self._read_joints = JointReader(rig)
        self._sources: dict[str, list[Source]] = {}  # by the topic in the bag
        for source in rig.sources.values():
            self._sources.setdefault(bag.topic(source.topic).name, []).append(source)
        self._heard = {name: _Held(_HELD_IMAGES if name in rig.images else _HELD) for name in rig.sources}
        self._commands, self._rules, self._policies = _Held(_HELD), _Held(_HELD), _Held(_HELD_POLICIES)
        self.duplicates = 0  # resent transitions
        self.lost = 0  # sequence numbers that the recording lacks; the rest of their episode is skipped
        self.refused: Counter[str] = Counter()  # messages that could not be read, by reason

    @property
    def warnings(self) -> list[str]:
        return [f"{count} messages refused: {why}" for why, count in self.refused.most_common(3)]

    def __iter__(self) -> Iterator[Remade]:
        with ThreadPoolExecutor(DECODERS) as pool:
            waiting: deque[_Begun] = deque()
            remake = _Remake(self._rig)
            for begun in self._begun(pool):
                waiting.append(begun)
                if len(waiting) > AHEAD:
                    yield from remake(waiting.popleft())
            while waiting:
                yield from remake(waiting.popleft())

    def _begun(self, pool: ThreadPoolExecutor) -> Iterator[_Begun]:
        """Reads the bag and keeps the messages that a later transition may need."""
        bag, order = self._bag, _Order(self)
        hear = {
            "jsac_ros/msg/Action": self._on_command,
            "jsac_ros/msg/AppliedAction": self._on_applied,
            "jsac_ros/msg/PolicyParameters": self._on_policy,
        }
        ours = [t.name for t in bag.topics.values() if t.type in hear or t.type == "jsac_ros/msg/Transition"]
        for record in bag.messages([*ours, *self._sources]):
            try:
                if record.topic in self._sources:
                    for source in self._sources[record.topic]:
                        self._hear(source, record)
                elif record.type in hear:
                    hear[record.type](bag.decode(record))
                else:
                    transition = from_message(bag.decode(record), self._rig.spaces)
                    if order.accepts(transition):
                        yield self._begin(transition, pool)
            except ValueError as error:
                self.refused[str(error)] += 1
        if not order.accepted:
            why = next(iter(self.refused), "no episode starts in it")
            raise BagError(f"bag {bag.path}: no transition could be made of it ({why})")

    def _hear(self, source: Source, record: Record) -> None:
        has_header = record.type in IMAGES or self._bag.begins_with_header(record.type)
        stamp_ns = known_by(cdr_stamp_ns(record.data) if has_header else 0, record.published_ns, source.stamps)
        heard: Record | Joints | None = record
        if source.name == JOINTS:
            heard = self._read_joints(self._bag.decode(record), Times(stamp_ns, 0.0, 0.0))
        if heard is not None:
            self._heard[source.name].keep(stamp_ns, heard)

    def _begin(self, transition: Transition, pool: ThreadPoolExecutor) -> _Begun:
        heard = {}
        for name, stamp_ns in transition.source_stamps_ns.items():
            found = self._heard[name].get(stamp_ns)
            if isinstance(found, Record) and name in self._make_frame:
                found = self._heard[name][stamp_ns] = pool.submit(self._decode, name, found)  # two ticks may use it
            if found is not None:
                heard[name] = found if not isinstance(found, Record) else self._reading(name, found)
        rules = self._rules.get(self._commands.get(self._decided_on(transition), -1), ())
        return _Begun(transition, heard, rules, self._policies.get(transition.policy_version))

    def _decode(self, camera: str, record: Record) -> np.ndarray:
        return self._make_frame[camera](self._bag.decode(record))

    def _reading(self, sensor: str, record: Record) -> np.ndarray:
        return self._rig.sensors[sensor].read(self._bag.decode(record))

    def _decided_on(self, transition: Transition) -> int:
        """`observation_stamp` of the command of this transition."""
        stamps = transition.source_stamps_ns
        return min((stamps[name] for name in self._rig.images), default=stamps[JOINTS])

    def _on_command(self, command: Any) -> None:
        self._commands.keep(to_ns(command.observation_stamp), command.tick)

    def _on_applied(self, applied: Any) -> None:
        if applied.intervened:
            self._rules.keep(applied.tick, tuple(applied.rules))

    def _on_policy(self, message: Any) -> None:
        self._policies.keep(message.info.version, np.frombuffer(message.data, np.float32))


class _Order:
    """Accepts each transition once and in sequence; after a gap, none until the next episode starts."""

    def __init__(self, run: RecordedRun):
        self._run = run
        self._robot = ""
        self._next: dict[tuple[str, int], int] = {}
        self._broken: set[tuple[str, int]] = set()
        self.accepted = 0

    def accepts(self, transition: Transition) -> bool:
        self._robot = self._robot or transition.robot
        if transition.robot != self._robot:  # only the first of several actors in one recording
            return False
        stream = (transition.robot, transition.session)
        expected = self._next.get(stream, transition.sequence)
        if transition.sequence < expected:
            self._run.duplicates += 1
            return False
        self._run.lost += transition.sequence - expected
        if transition.sequence > expected or stream not in self._next:
            self._broken.add(stream)
        self._next[stream] = transition.sequence + 1
        if transition.is_first:
            self._broken.discard(stream)
        self.accepted += stream not in self._broken
        return stream not in self._broken


class _Remake:
    """Recomputes transitions with the actor's code. A transition is complete when the next observation is known."""

    def __init__(self, rig: Rig):
        self._rig, self._rollout = rig, Rollout(rig, "bag", 0)
        self._pending: Remade | None = None
        self._newest: dict[str, Heard] = {}

    def __call__(self, begun: _Begun) -> Iterator[Remade]:
        recorded = begun.recorded
        if recorded.is_first and self._pending is not None:  # a gap cut its episode off
            yield self._close_pending()
        where = f"episode {recorded.episode} step {recorded.step}"
        try:
            sensed, missing = self._sensed(begun)
        except ValueError as error:  # an image that does not fit the configuration
            raise BagError(f"{where}: {error}") from None
        try:
            transition = self._observe(recorded, sensed, bool(missing))
        except Exception as error:  # plug-ins may raise any type
            raise BagError(f"{where}: {plugins.where(error)}") from None
        if self._pending is not None:
            yield self._pending
        self._pending = Remade(transition, recorded, missing, begun.rules, begun.parameters)
        if recorded.is_last:
            yield self._pending
            self._pending = None

    def _observe(self, recorded: Transition, sensed: Sensed, incomplete: bool) -> Transition:
        """Starts the transition of this observation; the pending one gets its reward and mask."""
        rollout = self._rollout
        if recorded.is_first:
            rollout.begin(sensed)
        score = rollout.observe(sensed).score
        if self._pending is not None:
            earned = {"reward": score.reward, "mask": 0.0 if score.terminated else 1.0}
            self._pending = self._pending._replace(transition=self._pending.transition._replace(**earned))
        vectors = {vector.name: rollout.observation[vector.name] for vector in self._rig.spaces.vectors}
        if recorded.is_last:
            rollout.close()
        else:
            rollout.act(recorded.action)
        return recorded._replace(
            frames={image.name: sensed.frames[image.name] for image in self._rig.spaces.images},
            vectors=recorded.vectors if incomplete else vectors,
            success=bool(score and score.success), reward=0.0, mask=1.0,
        )  # fmt: skip

    def _sensed(self, begun: _Begun) -> tuple[Sensed, tuple[str, ...]]:
        """The Sensed of this tick, and the sources missing in the bag, whose newest value is used instead."""
        recorded, missing = begun.recorded, []
        for name, source in self._rig.sources.items():
            times = Times(recorded.source_stamps_ns[name], 0.0, 0.0)
            found = begun.heard.get(name)
            if found is not None:
                self._newest[name] = self._heard(name, found, times)
            elif times.stamp_ns or source.max_age_s:  # otherwise it had not been received live either
                missing.append(name)
                self._stand_in(name, recorded, times)
        return sensed_of(self._rig, self._newest, recorded.time_s, recorded.events), tuple(missing)

    def _heard(self, name: str, found: Future | Joints | np.ndarray, times: Times) -> Heard:
        if isinstance(found, Joints):
            return found
        return Reading(found, times) if name in self._rig.sensors else Frame(found.result(), times, 0.0)

    def _stand_in(self, name: str, recorded: Transition, times: Times) -> None:
        n = len(self._rig.robot)
        if name in recorded.frames:
            self._newest[name] = Frame(recorded.frames[name], times, 0.0)
        elif name in self._newest:
            return
        elif name in self._rig.images:
            self._newest[name] = Frame(np.zeros(self._rig.images[name].frame_shape, np.uint8), times, 0.0)
        elif name == JOINTS:
            openings = {gripper: np.zeros(1) for gripper in self._rig.grippers}
            self._newest[name] = Joints(self._rig.robot.home, np.zeros(n), np.full(n, np.nan), openings, times, ())

    def _close_pending(self) -> Remade:
        """Closes an unfinished episode with its newest observation, as the reward of its action is not known."""
        pending, self._pending = self._pending, None
        self._rollout.close()
        return pending._replace(transition=pending.transition._replace(is_last=True))
