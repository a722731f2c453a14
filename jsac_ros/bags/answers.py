"""The commands of a recording as answers to what was seen: which one belongs to a frame or to a tick.

A recording's commands answer its observations and not the other way round: the action at a frame is the newest command
before the next frame, at a tick the newest before the next tick. One rule, live (`nodes/player.py`) and offline
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
    """Comes right before the frame that it answers."""

    time_ns: int  # as of a record
    stamp_ns: int  # of the frame; 0: of everything from now on
    command: Command | None  # None: nothing had been commanded yet


class Newest:
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


class Answered:
    """A recording with its answers. `refused` counts by reason the commands that could not be used."""

    def __init__(self, bag: Bag, rig: Rig, topics: Collection[str]):
        """topics: those of the records. Raises BagError where the commands' topic is missing or of another type."""
        self._bag, self._rig, self._topics = bag, rig, topics
        self._read = CommandReader(rig)
        self.commands = bag.find("bag.action_topic", rig.config.bag.action_topic, self._read.types)
        self.refused: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Record | Answer]:
        trigger = self._rig.config.control.trigger
        return self._by_period() if trigger == "clock" else self._by_frame(self._rig.sources[trigger].topic)

    def _by_period(self) -> Iterator[Record | Answer]:
        """Commands come earlier by one period."""
        return heapq.merge(self._early(), self._bag.messages(self._topics), key=lambda item: item.time_ns)

    def _early(self) -> Iterator[Answer]:
        period_ns = round(self._rig.config.control.period_s * 1e9)
        for record in self._bag.messages([self.commands.name]):
            if (command := self._command(record)) is not None:
                yield Answer(record.time_ns - period_ns, 0, command)

    def _by_frame(self, camera: str) -> Iterator[Record | Answer]:
        """Reads on until the next frame is known, or will come too late to be of the same episode."""
        config = self._rig.config.cameras[self._rig.config.control.trigger]
        name, command = self._bag.topic(camera).name, Newest(None)
        frame: Record | None = None
        after: list[Record] = []  # came since
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
