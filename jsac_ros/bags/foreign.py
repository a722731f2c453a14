"""Makes transitions of a foreign recording (cameras, joints, sensors, commands) with the actor's inputs and session.

The configuration defines the mapping: topics, joints by name, scale and offset of the actions, the end of an episode
(missing or stale sources, `task.episode_s`) and the reward (`bag.reward`). A tick is a control period of recording time,
or an image of the camera that `control.trigger` names, as in shadow mode; `answers.py` finds the command that belongs to it.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from jsac_ros.bags.answers import Answer, Answered, Newest
from jsac_ros.bags.reader import Bag, BagError, Record
from jsac_ros.bags.recorded_run import Remade
from jsac_ros.control.inputs import FrameClock, Inputs
from jsac_ros.control.rate import ReceivedClock, Tick
from jsac_ros.control.recorded_actions import RecordedActions
from jsac_ros.control.session import Choice, Session
from jsac_ros.rig import JOINTS, Rig
from jsac_ros.tasks.reset import Then
from jsac_ros.types import Observation, Transition

REWARDS = ("std_msgs/msg/Float64", "std_msgs/msg/Float32")
_SILENT_NS = 1_000_000  # margin after the age limit, at which a source is surely too old
# Details that vary between messages; they are removed before reasons are counted.
_DETAILS = {re.compile(r" is [\d.]+ s old"): " is too old", re.compile(r" of \d+ bytes"): ""}


class ForeignRecording:
    """Iterates over the transitions; `skipped` counts unusable messages and ticks by reason."""

    def __init__(self, bag: Bag, rig: Rig):
        """Raises BagError if a topic is missing or has another type."""
        self._bag, self._rig = bag, rig
        self.skipped: Counter[str] = Counter()
        self.episodes = 0
        self._said: list[str] = []
        self._clock = ReceivedClock()
        self._inputs = Inputs(rig, self, self._clock, plays=True)
        number = zlib.crc32(f"{bag.path.name} {bag.start_ns}".encode())
        # An episode starts wherever the recording is: a recorded robot cannot be moved home.
        self._session = Session(rig, "bag", number, reset=Then)
        self._recorded = RecordedActions(rig)
        self._hear: dict[str, list[Any]] = {}  # topic -> functions that take its messages
        for source in rig.sources.values():
            topic = bag.find(f"topic of {source.name}", source.topic, (source.type,))
            self._hear.setdefault(topic.name, []).append(self._taker(source.name))
        bag_config, self._reward = rig.config.bag, Newest(0.0)
        if bag_config.reward == "topic":
            topic = bag.find("bag.reward_topic", bag_config.reward_topic, REWARDS)
            self._hear.setdefault(topic.name, []).append(self._take_reward)
        self._answered = Answered(bag, rig, self._hear)

    def _taker(self, source: str):
        """A function (message, record) that puts a message into the slot of this source."""
        inputs = self._inputs
        if source == JOINTS:
            return lambda message, record: inputs.on_joints(message, record.published_ns)
        on = inputs.on_image if source in self._rig.images else inputs.on_sensor
        return lambda message, record: on(source, message, record.published_ns)

    def _take_reward(self, message: Any, record: Record) -> None:
        self._reward.set(record.time_ns, float(message.data))

    # -- the logger of the inputs, instead of a node's ------------------------------------------------------------

    def error(self, line: str, **_: Any) -> None:
        self._skip(line)

    def warning(self, line: str, **_: Any) -> None:
        self._said.append(line)

    def _skip(self, why: str) -> None:
        for details, words in _DETAILS.items():
            why = details.sub(words, why)
        self.skipped[why] += 1

    @property
    def warnings(self) -> list[str]:
        """Warnings about the transitions read so far, one line each."""
        skipped = self.skipped + self._answered.refused
        lines = [f"{count} times {why}" for why, count in skipped.most_common(5)]
        return [*self._said, *lines, *([self._recorded.finding] if self._recorded.finding else [])]

    # -- reading -------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Remade]:
        transitions = self._transitions()
        if self._rig.config.bag.reward == "end":
            transitions = _demonstration(transitions)
        yield from (Remade(transition, None) for transition in transitions)
        if not self.episodes:
            raise BagError(f"bag {self._bag.path}: no step could be made of it ({'; '.join(self.warnings) or 'no frames'})")

    def _transitions(self) -> Iterator[Transition]:
        trigger = self._rig.config.control.trigger
        self._session.start()
        yield from self._by_period() if trigger == "clock" else self._by_frame(trigger)
        yield from self._sent(self._session.end("end of recording"))

    def _by_period(self) -> Iterator[Transition]:
        period_ns = round(self._rig.config.control.period_s * 1e9)
        due_ns = self._bag.start_ns
        for item in self._answered:
            while due_ns < item.time_ns:
                self._clock.set(due_ns)
                yield from self._tick(Tick(0, due_ns, due_ns, 0))
                due_ns += period_ns
            self._take(item)

    def _by_frame(self, trigger: str) -> Iterator[Transition]:
        wait_ns = round(self._rig.config.cameras[trigger].max_age_s * 1e9) + _SILENT_NS
        frames = FrameClock(self._inputs, 0.0, every_frame=True)
        silent_ns = None  # when a missing frame is noticed
        for item in self._answered:
            if silent_ns is not None and item.time_ns > silent_ns:
                self._clock.set(silent_ns)
                yield from self._tick(frames.now(), frames)
                silent_ns = None
            self._take(item)
            while (tick := frames.now()) and frames.frame is not None:
                yield from self._tick(tick, frames)
                silent_ns = item.time_ns + wait_ns
        if self._inputs.frames:  # no joint state has arrived
            yield from self._tick(frames.now())

    def _take(self, item: Record | Answer) -> None:
        self._clock.set(max(item.time_ns, self._clock.now_ns()))
        if isinstance(item, Answer):
            self._inputs.on_recorded_action(item.stamp_ns, item.command)
            return
        try:
            message = self._bag.decode(item)
        except BagError as error:
            self._skip(str(error))
            return
        for take in self._hear[item.topic]:
            take(message, item)

    def _tick(self, tick: Tick, frames: FrameClock | None = None) -> Iterator[Transition]:
        session, trigger = self._session, self._rig.config.control.trigger
        view = self._inputs.view(tick, frames and frames.frame, (), "")
        if view.problem and (frames is None or frames.frame or self._inputs.frames):  # otherwise a pause without messages
            self._skip(view.problem)

        def choose(observation: Observation, *_: Any) -> Choice:
            return self._recorded.choice(self._inputs.recorded_action(view.source_stamps_ns.get(trigger, 0)), session.sensed)

        outcome = session.tick(view, choose, None)
        if session.failed:
            raise BagError(f"bag {self._bag.path}: {session.failed}")
        yield from self._sent(outcome)

    def _sent(self, outcome) -> Iterator[Transition]:
        self.episodes += outcome.finished is not None
        earned = self._reward.before(self._clock.now_ns())
        for transition in outcome.transitions:
            topic = self._rig.config.bag.reward == "topic" and not transition.is_last
            yield transition._replace(reward=earned) if topic else transition


def _demonstration(transitions: Iterator[Transition]) -> Iterator[Transition]:
    """Treats every episode as a demonstration: its last action gets reward 1 and ends it (mask 0)."""
    held: Transition | None = None
    for transition in transitions:
        if held is not None:
            yield held._replace(reward=1.0, mask=0.0) if transition.is_last and not held.is_last else held
        held = transition
    if held is not None:
        yield held
