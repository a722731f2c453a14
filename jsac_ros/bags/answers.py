"""Matches the commands of a recording to its frames or ticks.

A command answers the observation that precedes it: the action at a frame is the newest command before the next frame, and
the action at a tick is the newest command before the next tick. The rule is the same live (`nodes/player.py`) and offline
(`bags/foreign.py`).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterator
from typing import NamedTuple

from jsac_ros.bags.reader import Bag, Record, cdr_stamp_ns
from jsac_ros.control.recorded_actions import CommandReader
from jsac_ros.rig import Rig
from jsac_ros.types import Command


class Answer(NamedTuple):
    """The command for one frame; it comes right before that frame."""

    time_ns: int  # as in a Record
    stamp_ns: int  # of the frame; 0: the command applies from now on
    command: Command | None  # None: no command had been recorded yet


class Newest:
    """A value that changes over time, and its previous value."""

    def __init__(self, value):
        self.value = self._previous = value
        self._since_ns = -1

    def set(self, time_ns: int, value) -> None:
        if time_ns > self._since_ns:
            self._previous = self.value
        self.value, self._since_ns = value, time_ns

    def before(self, time_ns: int):
        """The value just before `time_ns`, which is not earlier than the newest change."""
        return self.value if self._since_ns < time_ns else self._previous


class Answered:
    """Iterates over the records of a bag and their answers. `refused` counts the unusable commands by reason."""

    def __init__(self, bag: Bag, rig: Rig, topics: Collection[str]):
        """topics: of the records to yield. Raises BagError if the command topic is missing or has another type."""
        self._bag, self._rig, self._topics = bag, rig, topics
        self._read = CommandReader(rig)
        self.commands = bag.find("bag.action_topic", rig.config.bag.action_topic, self._read.types)
        self.refused: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Record | Answer]:
        trigger = self._rig.config.control.trigger
        return self._by_period() if trigger == "clock" else self._by_frame(self._rig.sources[trigger].topic)

    def _by_period(self) -> Iterator[Record | Answer]:
        """Shifts the commands one control period earlier."""
        return heapq.merge(self._early(), self._bag.messages(self._topics), key=lambda item: item.time_ns)

    def _early(self) -> Iterator[Answer]:
        period_ns = round(self._rig.config.control.period_s * 1e9)
        for record in self._bag.messages([self.commands.name]):
            if (command := self._command(record)) is not None:
                yield Answer(record.time_ns - period_ns, 0, command)

    def _by_frame(self, camera: str) -> Iterator[Record | Answer]:
        """Holds a frame back until the next frame, or until a next one would be too late for the same episode."""
        config = self._rig.config.cameras[self._rig.config.control.trigger]
        name, command = self._bag.topic(camera).name, Newest(None)
        frame: Record | None = None
        after: list[Record] = []  # records since that frame
        for record in self._bag.messages([*self._topics, self.commands.name]):
            if frame and (record.topic == name or record.time_ns - frame.time_ns > config.max_age_s * 1e9):
                stamp_ns = cdr_stamp_ns(frame.data) if config.stamps == "header" else 0
                yield Answer(frame.time_ns, stamp_ns, command.before(record.time_ns))
                yield frame
                yield from after
                frame, after = None, []
            if record.topic == self.commands.name:
                command.set(record.time_ns, self._command(record) or command.value)
            elif record.topic == name:
                frame = record
            elif frame:
                after.append(record)
            else:
                yield record
        if frame:
            stamp_ns = cdr_stamp_ns(frame.data) if config.stamps == "header" else 0
            yield Answer(frame.time_ns, stamp_ns, command.value)
            yield frame
            yield from after

    def _command(self, record: Record) -> Command | None:
        try:
            return self._read(self._bag.decode(record), record.type)
        except ValueError as error:
            self.refused[str(error)] += 1
            return None
