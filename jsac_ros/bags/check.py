"""Checks the quality of a recording: rates, gaps, clocks, joints and images. Each finding has an interval of time.

It reads the messages once and then works on arrays. A configuration is optional; with one, the check also looks for its
cameras, joints, sensors and commands.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jsac_ros.bags.answers import Answer, Answered
from jsac_ros.bags.findings import (
    Finding,
    Names,
    clock,
    joint_gaps,
    joint_names,
    other_joints,
    pictures,
    skew,
    timing,
)
from jsac_ros.bags.reader import IMAGES, Bag, BagError, Record, cdr_stamp_ns
from jsac_ros.control.heard import JointReader, Joints, Times
from jsac_ros.control.images import FrameMaker, to_rgb
from jsac_ros.control.recorded_actions import RecordedActions
from jsac_ros.crc import crc32
from jsac_ros.rig import Rig
from jsac_ros.robots.joint_sources import JointSources
from jsac_ros.types import Sensed

JOINT_STATE = "sensor_msgs/msg/JointState"
DEPTHS_M = (0.0, 10.0)  # range for depth images of topics that no configured camera uses


class TopicQuality(NamedTuple):
    name: str
    type: str
    count: int
    known: bool  # its messages can be decoded
    rate_hz: float  # 1 / median interval; NaN with fewer than two messages
    jitter_ms: float  # 99th percentile of |interval - median|
    longest_gap_s: float


class Quality(NamedTuple):
    duration_s: float
    count: int
    topics: tuple[TopicQuality, ...]
    findings: tuple[Finding, ...]
    damage: str


def check(bag: Bag, rig: Rig | None = None) -> Quality:
    """Reads the whole recording. rig: also check that its sources are present and its commands valid."""
    notes = _read(bag, rig)
    findings: list[Finding] = []
    for notebook in notes.values():
        findings += timing(notebook.name, notebook.seconds())
        findings += clock(notebook.name, notebook.seconds(), notebook.stamps_s())
        findings += notebook.unusable()
        if notebook.type in IMAGES:
            findings += pictures(notebook.name, notebook.seconds(), notebook.means, notebook.prints)
    findings += _joints(notes)
    if rig is not None:
        findings += [*_missing(bag, rig, notes), *_clipped(bag, rig)]
    topics = tuple(_topic_quality(bag, name, notes) for name in sorted(bag.topics))
    for topic in topics:
        if not topic.count:
            findings.append(Finding("empty", topic.name, 0.0, bag.duration_s, "no messages"))
        elif not topic.known:
            text = f"{topic.count} messages of {topic.type}: type not known here"
            findings.append(Finding("unknown type", topic.name, 0.0, bag.duration_s, text))
    findings += [Finding("skipped", topic, 0.0, bag.duration_s, why) for topic, why in bag.left_out.items()]
    order = sorted(findings, key=lambda finding: (finding.start_s, finding.topic, finding.kind))
    return Quality(bag.duration_s, sum(t.count for t in topics), topics, tuple(order), bag.damage)


def _joints(notes: dict[str, _Notebook]) -> list[Finding]:
    """Findings about joint states, and about images relative to them."""
    found, usual = [], {}
    for states in (n for n in notes.values() if n.type == JOINT_STATE):
        seconds = states.seconds()
        start, end = float(seconds[0]), float(seconds[-1])
        found += [*joint_gaps(states.name, states.names), *joint_names(states.name, states.names, start, end)]
        found += [*states.second_sources, *states.not_measured()]
        for images in (n for n in notes.values() if n.type in IMAGES):
            found += skew(images.name, images.seconds(), images.stamps_s(), states.name, states.stamps_s())
        if named := [names for names in states.names if names]:
            usual[states.name] = (max(named, key=lambda names: len(states.names[names])), start, end)
    return found + other_joints(usual)


class _Notebook:
    """Data collected from the messages of one topic."""

    def __init__(self, name: str, kind: str, start_ns: int, has_header: bool, make_frames: list[FrameMaker]):
        self.name, self.type, self._start_ns = name, kind, start_ns
        self._has_header, self._make_frames = has_header, make_frames
        self._times_ns: list[int] = []
        self._stamps_ns: list[int] = []
        self._unusable: dict[str, list[float]] = {}  # reason -> seconds
        self.means: list[float] = []  # of images, 0..255; NaN for a depth image or one that cannot be decoded
        self.prints: list[int] = []  # checksums of the images' bytes
        self.names: dict[Names, list[float]] = {}  # names of the joints -> seconds
        self.second_sources: list[Finding] = []
        self._sources: dict[str, JointSources] = {}  # by joint
        self._not_measured: dict[str, list[float]] = {}  # joint -> seconds

    def seconds(self) -> np.ndarray:
        return (np.array(self._times_ns, np.int64) - self._start_ns) * 1e-9

    def stamps_s(self) -> np.ndarray:
        """header.stamp, seconds from the recording's first message; empty without a header."""
        return (np.array(self._stamps_ns, np.int64) - self._start_ns) * 1e-9

    def unusable(self) -> list[Finding]:
        return [
            Finding("unusable", self.name, at[0], at[-1], f"{len(at)} messages: {why}") for why, at in self._unusable.items()
        ]

    def not_measured(self) -> list[Finding]:
        """Joints whose velocities are NaN."""
        if not self._not_measured:
            return []
        at = [second for seconds in self._not_measured.values() for second in seconds]
        text = f"velocity of {', '.join(sorted(self._not_measured))} is NaN: not measured; it is derived from positions"
        return [Finding("velocity", self.name, min(at), max(at), text)]

    def note(self, bag: Bag, record: Record) -> None:
        self._times_ns.append(record.time_ns)
        if self._has_header:
            self._stamps_ns.append(cdr_stamp_ns(record.data))
        if record.type in IMAGES or record.type == JOINT_STATE:
            at = (record.time_ns - self._start_ns) * 1e-9
            try:
                message = bag.decode(record)
                self._note_joints(message, at) if record.type == JOINT_STATE else self._note_picture(message)
            except ValueError as error:
                self._unusable.setdefault(str(error), []).append(at)

    def _note_picture(self, message) -> None:
        self.prints.append(crc32(message.data))
        self.means.append(float("nan"))
        frames = [make(message) for make in self._make_frames] or [to_rgb(message, 1, DEPTHS_M)]
        if not _holds_depths(message):
            self.means[-1] = float(frames[0].mean())

    def _note_joints(self, message, at: float) -> None:
        names = tuple(message.name)
        self.names.setdefault(names, []).append(at)
        arrays = {"position": message.position, "velocity": message.velocity, "effort": message.effort}
        for name, values in arrays.items():
            if len(values) not in (0, len(names)) and names:
                raise ValueError(f"joint states with {len(names)} names and {len(values)} values of {name}")
        if np.isinf(message.velocity).any() or np.isinf(message.effort).any():
            raise ValueError("velocity or effort is infinite")
        if wrong := [name for name, value in zip(names, message.position) if not np.isfinite(value)]:
            raise ValueError(f"position of {', '.join(wrong)} is not finite")
        velocities = message.velocity if len(message.velocity) else np.full(len(names), np.nan)
        for name, position, velocity in zip(names, message.position.tolist(), velocities.tolist()):
            if len(message.velocity) and np.isnan(velocity):
                self._not_measured.setdefault(name, [at, at])[1] = at
            self._note_source(name, position, velocity, at)

    def _note_source(self, joint: str, position: float, velocity: float, at: float) -> None:
        sources = self._sources.setdefault(joint, JointSources((joint,)))
        sources.take((0,), (position,), (velocity,), self._stamps_ns[-1] or self._times_ns[-1], None)
        if not sources.second:
            return
        if self.second_sources and self.second_sources[-1].text == sources.second:
            self.second_sources[-1] = self.second_sources[-1]._replace(end_s=at)
        else:
            self.second_sources.append(Finding("joints", self.name, at, at, sources.second))
        sources.forget()


def _holds_depths(message) -> bool:
    form = getattr(message, "format", None) or message.encoding
    return form in ("16UC1", "32FC1") or "compressedDepth" in form


def _read(bag: Bag, rig: Rig | None) -> dict[str, _Notebook]:
    makers: dict[str, list[FrameMaker]] = {}
    for camera in rig.config.cameras.values() if rig else ():
        if found := _topic_of(bag, camera.topic):
            makers.setdefault(found, []).append(FrameMaker(camera))
    notes = {
        t.name: _Notebook(t.name, t.type, bag.start_ns, bag.begins_with_header(t.type), makers.get(t.name, []))
        for t in bag.topics.values()
        if t.count
    }
    for record in bag.messages():
        notes[record.topic].note(bag, record)
    return notes


def _topic_of(bag: Bag, name: str) -> str:
    """The name of the topic in the recording; "" if it is missing."""
    try:
        return bag.topic(name).name
    except BagError:
        return ""


def _missing(bag: Bag, rig: Rig, notes: dict[str, _Notebook]) -> list[Finding]:
    """Sources of the configuration that the recording lacks."""
    found = []
    for topic, kind in dict.fromkeys((source.topic, source.type) for source in rig.sources.values()):
        try:
            bag.find("topic", topic, (kind,))
        except BagError as error:
            found.append(Finding("missing", topic, 0.0, bag.duration_s, str(error)))
    states = notes.get(_topic_of(bag, rig.config.robot.joint_states_topic))
    if states is not None and states.type == JOINT_STATE:
        ours = {*rig.robot.names, *(gripper.config.joint for gripper in rig.grippers.values())}
        if lacking := sorted(ours.difference(*states.names)):
            seconds = states.seconds()
            text = f"{len(seconds)} joint states lack {', '.join(lacking)}"
            found.append(Finding("joints", states.name, *map(float, seconds[[0, -1]]), text))
    return found


def _clipped(bag: Bag, rig: Rig) -> list[Finding]:
    """Recorded commands that cannot be expressed as actions, if the configuration maps a command topic."""
    if not rig.config.bag.action_topic:
        return []
    joints, newest, actions = rig.config.robot.joint_states_topic, None, RecordedActions(rig)
    try:
        answered = Answered(bag, rig, [bag.topic(joints).name, *(bag.topic(c.topic).name for c in rig.config.cameras.values())])
    except BagError as error:
        return [Finding("missing", rig.config.bag.action_topic, 0.0, bag.duration_s, str(error))]
    read = JointReader(rig)
    for item in answered:
        if isinstance(item, Answer):
            if newest is not None and item.command is not None:
                actions.choice(item.command, _sensed(rig, newest))
        elif item.type == JOINT_STATE:
            try:
                newest = read(bag.decode(item), Times(item.time_ns, 0.0, 0.0)) or newest
            except ValueError:
                continue  # reported by another finding
    refused = [f"{count} commands: {why}" for why, count in answered.refused.items()]
    return [
        Finding("commands", answered.commands.name, 0.0, bag.duration_s, text)
        for text in [*refused, *([actions.finding] if actions.finding else [])]
    ]


def _sensed(rig: Rig, joints: Joints) -> Sensed:
    """The joints as a Sensed, which the conversion of commands to actions needs."""
    return Sensed(0.0, {}, joints.position, joints.velocity, joints.effort, {}, (), joints.outputs)


def _topic_quality(bag: Bag, name: str, notes: dict[str, _Notebook]) -> TopicQuality:
    topic = bag.topics[name]
    seconds = notes[name].seconds() if name in notes else np.empty(0)
    rate = jitter = longest = float("nan")
    if len(seconds) > 1:
        intervals = np.diff(seconds)
        median = float(np.median(intervals))
        rate = 1.0 / median if median > 0 else float("inf")
        jitter = float(np.percentile(np.abs(intervals - median), 99)) * 1e3
        longest = float(intervals.max())
    return TopicQuality(name, topic.type, len(seconds), bag.knows(topic.type), rate, jitter, longest)
