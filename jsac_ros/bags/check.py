"""Quality of a recording: rates, gaps, clocks, joints and pictures, each finding with the stretch of time it is in.

One pass over the messages, then arithmetic on arrays. Nothing needs a configuration; with one, its camera and joints
are looked for as well.
"""

from __future__ import annotations

import zlib
from collections import Counter
from typing import NamedTuple

import numpy as np

from jsac_ros.bags.reader import IMAGES, Bag, BagError, Record, cdr_stamp_ns
from jsac_ros.config import SystemConfig
from jsac_ros.control.images import to_rgb
from jsac_ros.robots.models import arm_of

JOINT_STATE = "sensor_msgs/msg/JointState"
GAP_PERIODS = 3.0  # of the median interval
GAP_LEAST_S = 0.05
IRREGULAR = 0.5  # median deviation of the intervals over their median: not a rate
DARK, BRIGHT = 20, 235  # mean of a picture's pixels, of 255
SKEW_S = 0.05  # between a picture's stamp and the nearest joint state's
EVENTS = ("/rosout", "/parameter_events")  # come when something happens
CLOCK_JUMP_S = 0.5  # of stamp against recording time
FROZEN_FRAMES = 3  # alike in a row


class Finding(NamedTuple):
    """Something that a person should know before learning from this stretch."""

    kind: str  # "gap", "frozen", "dark", ...
    topic: str
    start_s: float  # from the recording's first message
    end_s: float
    text: str


class TopicQuality(NamedTuple):
    name: str
    type: str
    count: int
    known: bool  # its messages can be decoded
    rate_hz: float  # of the median interval; NaN with fewer than two messages
    jitter_ms: float  # 99th percentile of |interval - median|
    longest_gap_s: float


class Quality(NamedTuple):
    duration_s: float
    count: int
    topics: tuple[TopicQuality, ...]
    findings: tuple[Finding, ...]
    damage: str


def check(bag: Bag, config: SystemConfig | None = None) -> Quality:
    """Reads the whole recording. Raises BagError or ConfigError where `config` means topics that are not there."""
    notes = _read(bag)
    findings: list[Finding] = []
    for notebook in notes.values():
        findings += timing(notebook.name, notebook.seconds())
        findings += clock(notebook.name, notebook.seconds(), notebook.stamps_s())
        findings += notebook.findings
        if notebook.type in IMAGES:
            findings += pictures(notebook.name, notebook.seconds(), notebook.means, notebook.prints)
    findings += skews(notes)
    findings += joint_names(notes)
    if config is not None:
        findings += _configured(bag, config, notes)
    topics = tuple(_topic_quality(bag, name, notes) for name in sorted(bag.topics))
    for topic in topics:
        if not topic.count:
            findings.append(Finding("empty", topic.name, 0.0, bag.duration_s, "no messages"))
        elif not topic.known:
            text = f"{topic.count} messages of {topic.type}: type not known here"
            findings.append(Finding("unknown type", topic.name, 0.0, bag.duration_s, text))
    order = sorted(findings, key=lambda finding: (finding.start_s, finding.topic, finding.kind))
    return Quality(bag.duration_s, sum(t.count for t in topics), topics, tuple(order), bag.damage)


class _Notebook:
    """What is remembered of one topic's messages."""

    def __init__(self, name: str, kind: str, start_ns: int):
        self.name, self.type, self._start_ns = name, kind, start_ns
        self._times_ns: list[int] = []
        self._stamps_ns: list[int] = []
        self.means: list[float] = []  # of pictures, 0..255; NaN where one cannot be decoded
        self.prints: list[int] = []  # checksums of their bytes
        self.names: Counter[tuple[str, ...]] = Counter()  # of joints
        self.findings: list[Finding] = []

    def seconds(self) -> np.ndarray:
        return (np.array(self._times_ns, np.int64) - self._start_ns) * 1e-9

    def stamps_s(self) -> np.ndarray:
        """header.stamp, seconds from the recording's first message; empty without a header."""
        return (np.array(self._stamps_ns, np.int64) - self._start_ns) * 1e-9

    def note(self, bag: Bag, record: Record, has_header: bool) -> None:
        self._times_ns.append(record.time_ns)
        if has_header:
            self._stamps_ns.append(cdr_stamp_ns(record.data))
        if record.type in IMAGES or record.type == JOINT_STATE:
            try:
                message = bag.decode(record)
                self._note_joints(message) if record.type == JOINT_STATE else self._note_picture(message)
            except ValueError as error:
                at = (record.time_ns - self._start_ns) * 1e-9
                if not self.findings or self.findings[-1].text != str(error):
                    self.findings.append(Finding("unusable", self.name, at, at, str(error)))
                else:
                    self.findings[-1] = self.findings[-1]._replace(end_s=at)

    def _note_picture(self, message) -> None:
        self.prints.append(zlib.crc32(message.data))
        self.means.append(float("nan"))
        self.means[-1] = float(to_rgb(message, 1).mean())

    def _note_joints(self, message) -> None:
        self.names[tuple(message.name)] += 1
        arrays = {"position": message.position, "velocity": message.velocity, "effort": message.effort}
        for name, values in arrays.items():
            if len(values) not in (0, len(message.name)) and message.name:
                raise ValueError(f"joint states with {len(message.name)} names and {len(values)} values of {name}")
            if not np.isfinite(values).all():
                raise ValueError(f"{name} is not finite")


def _read(bag: Bag) -> dict[str, _Notebook]:
    notes = {t.name: _Notebook(t.name, t.type, bag.start_ns) for t in bag.topics.values() if t.count}
    headers = {name: bag.begins_with_header(notebook.type) for name, notebook in notes.items()}
    for record in bag.messages():
        notes[record.topic].note(bag, record, headers[record.topic])
    return notes


def stretches(flags: np.ndarray, seconds: np.ndarray) -> list[tuple[float, float]]:
    """Runs of True: time of the first and of the last. flags: bool [N]; seconds: float64 [N]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(float(seconds[a]), float(seconds[b - 1])) for a, b in edges.reshape(-1, 2)]


def timing(topic: str, seconds: np.ndarray) -> list[Finding]:
    """Gaps of a regular topic; a topic without a rate has none."""
    if len(seconds) < 4 or topic in EVENTS:
        return []
    intervals = np.diff(seconds)
    median = float(np.median(intervals))
    if median <= 0 or np.median(np.abs(intervals - median)) > IRREGULAR * median:
        return []
    limit = max(GAP_PERIODS * median, GAP_LEAST_S)
    return [
        Finding("gap", topic, float(seconds[i]), float(seconds[i + 1]), f"{intervals[i]:.2f} s without a message")
        for i in np.flatnonzero(intervals > limit)
    ]


def clock(topic: str, seconds: np.ndarray, stamps_s: np.ndarray) -> list[Finding]:
    """Stamps that are zero, run backwards or jump against the recording's time."""
    if len(stamps_s) < 2 or len(stamps_s) != len(seconds):
        return []
    found = []
    zero = stamps_s + seconds[0] < -1e8  # years before the recording began: never set
    if zero.any():
        found.append(Finding("clock", topic, *_span(zero, seconds), f"{zero.sum()} stamps are not set"))
    steps = np.diff(stamps_s)
    for i in np.flatnonzero((steps < 0) & ~zero[1:]):
        found.append(
            Finding("clock", topic, float(seconds[i]), float(seconds[i + 1]), f"stamps go back {-steps[i]:.3f} s")
        )
    jumps = np.diff(stamps_s - seconds)
    for i in np.flatnonzero((np.abs(jumps) > CLOCK_JUMP_S) & (steps >= 0) & ~zero[1:]):
        text = f"stamps jump {jumps[i]:+.2f} s against the recording's time"
        found.append(Finding("clock", topic, float(seconds[i]), float(seconds[i + 1]), text))
    return found


def _span(flags: np.ndarray, seconds: np.ndarray) -> tuple[float, float]:
    at = seconds[flags]
    return float(at[0]), float(at[-1])


def pictures(topic: str, seconds: np.ndarray, means: list[float], prints: list[int]) -> list[Finding]:
    """Too dark, too bright, frozen."""
    found = []
    mean = np.array(means)
    for kind, flags in (("dark", mean < DARK), ("bright", mean > BRIGHT)):
        for start, end in stretches(flags, seconds):
            inside = mean[(seconds >= start) & (seconds <= end)]
            found.append(
                Finding(kind, topic, start, end, f"{len(inside)} pictures with a mean of {inside.mean():.0f} of 255")
            )
    same = np.zeros(len(prints), bool)
    same[1:] = np.array(prints[1:]) == np.array(prints[:-1])
    for start, end in stretches(same, seconds):
        count = int(((seconds >= start) & (seconds <= end)).sum()) + 1
        if count >= FROZEN_FRAMES:
            found.append(Finding("frozen", topic, start, end, f"{count} pictures in a row are the same"))
    return found


def skews(notes: dict[str, _Notebook]) -> list[Finding]:
    """Pictures whose nearest joint state is far away in time, by their stamps."""
    found = []
    joints = [n for n in notes.values() if n.type == JOINT_STATE and len(n.stamps_s()) > 1]
    for images in (n for n in notes.values() if n.type in IMAGES):
        for states in joints:
            far = _distance(images.stamps_s(), np.sort(states.stamps_s())) > SKEW_S
            for start, end in stretches(far, images.seconds()):
                text = f"no {states.name} within {SKEW_S * 1e3:.0f} ms of the pictures' stamps"
                found.append(Finding("skew", images.name, start, end, text))
    return found


def _distance(at: np.ndarray, stamps: np.ndarray) -> np.ndarray:
    """From each of `at` to the nearest of the sorted `stamps`."""
    after = np.searchsorted(stamps, at).clip(1, len(stamps) - 1)
    return np.minimum(np.abs(at - stamps[after - 1]), np.abs(at - stamps[after]))


def joint_names(notes: dict[str, _Notebook]) -> list[Finding]:
    """Names that are missing, change, or differ between two topics of as many joints."""
    found, usual = [], {}
    for states in (n for n in notes.values() if n.type == JOINT_STATE):
        start, end = float(states.seconds()[0]), float(states.seconds()[-1])
        if states.names[()]:
            found.append(Finding("joints", states.name, start, end, f"{states.names[()]} joint states name no joint"))
        named = [names for names in states.names if names]
        if len(named) > 1:
            found.append(
                Finding("joints", states.name, start, end, f"the names or their order change: {len(named)} variants")
            )
        if named:
            usual[states.name] = (states.names.most_common(1)[0][0] or named[0], start, end)
    for name, (joints, start, end) in usual.items():
        for other, (others, *_) in usual.items():
            if name < other and len(joints) == len(others) and set(joints) != set(others):
                text = f"names {', '.join(joints)}; {other} names {', '.join(others)}"
                found.append(Finding("joints", name, start, end, text))
    return found


def _configured(bag: Bag, config: SystemConfig, notes: dict[str, _Notebook]) -> list[Finding]:
    """What the configuration asks for and the recording does not have."""
    found = []
    wanted = [config.robot.joint_states_topic] + ([config.camera.topic] if config.camera.height else [])
    for name in wanted:
        try:
            bag.topic(name)
        except BagError as error:
            found.append(Finding("missing", name, 0.0, bag.duration_s, str(error)))
    names = set(arm_of(config.robot).names)
    for states in notes.values():
        if states.type == JOINT_STATE and states.name.endswith(config.robot.joint_states_topic):
            for seen, count in states.names.items():
                if missing := sorted(names - set(seen)):
                    text = f"{count} joint states lack {', '.join(missing)}"
                    found.append(Finding("joints", states.name, *map(float, states.seconds()[[0, -1]]), text))
    return found


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
