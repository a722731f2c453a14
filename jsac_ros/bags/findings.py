"""From the times, pictures and joints of recorded topics to findings: arithmetic on arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

GAP_PERIODS = 3.0  # of the median interval
GAP_LEAST_S = 0.05
IRREGULAR = 0.5  # median deviation of the intervals over their median: not a rate
DARK, BRIGHT = 20, 235  # mean of a picture's pixels, of 255
SKEW_S = 0.05  # between a picture's stamp and the nearest joint state's
EVENTS = ("/rosout", "/parameter_events")  # come when something happens
CLOCK_JUMP_S = 0.5  # of stamp against recording time
FROZEN_FRAMES = 3  # alike in a row

Names = tuple[str, ...]  # of the joints in one message


class Finding(NamedTuple):
    """Something that a person should know before learning from this stretch."""

    kind: str  # "gap", "frozen", "dark", ...
    topic: str
    start_s: float  # from the recording's first message
    end_s: float
    text: str


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
        found.append(Finding("clock", topic, float(seconds[i]), float(seconds[i + 1]), f"stamps go back {-steps[i]:.3f} s"))
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
            found.append(Finding(kind, topic, start, end, f"{len(inside)} pictures with a mean of {inside.mean():.0f} of 255"))
    same = np.zeros(len(prints), bool)
    same[1:] = np.array(prints[1:]) == np.array(prints[:-1])
    for start, end in stretches(same, seconds):
        count = int(((seconds >= start) & (seconds <= end)).sum()) + 1
        if count >= FROZEN_FRAMES:
            found.append(Finding("frozen", topic, start, end, f"{count} pictures in a row are the same"))
    return found


def skew(images: str, seconds: np.ndarray, stamps_s: np.ndarray, states: str, states_stamps_s: np.ndarray) -> list[Finding]:
    """Pictures whose nearest joint state is far away in time, by their stamps."""
    if len(states_stamps_s) < 2:
        return []
    far = _distance(stamps_s, np.sort(states_stamps_s)) > SKEW_S
    text = f"no {states} within {SKEW_S * 1e3:.0f} ms of the pictures' stamps"
    return [Finding("skew", images, start, end, text) for start, end in stretches(far, seconds)]


def _distance(at: np.ndarray, stamps: np.ndarray) -> np.ndarray:
    """From each of `at` to the nearest of the sorted `stamps`."""
    after = np.searchsorted(stamps, at).clip(1, len(stamps) - 1)
    return np.minimum(np.abs(at - stamps[after - 1]), np.abs(at - stamps[after]))


def joint_gaps(topic: str, heard: Mapping[Names, list[float]]) -> list[Finding]:
    """Joints that are missing while the topic continues with others; heard: seconds by the names in a message."""
    end_s = max((seconds[-1] for seconds in heard.values()), default=0.0)
    together: dict[frozenset[Names], list[str]] = {}  # messages -> the joints that all of them hold
    for joint in dict.fromkeys(joint for names in heard for joint in names):
        together.setdefault(frozenset(names for names in heard if joint in names), []).append(joint)
    found = []
    for messages, joints in together.items():
        times = sorted(second for names in messages for second in heard[names])
        if len(times) < 4 or len(messages) == len([names for names in heard if names]):
            continue
        limit_s = max(GAP_PERIODS * float(np.median(np.diff(times))), 2 * GAP_LEAST_S)
        gaps = [(a, b) for a, b in zip(times, [*times[1:], end_s]) if b - a > limit_s]
        found += [Finding("gap", topic, a, b, f"{b - a:.2f} s without {', '.join(joints)}") for a, b in gaps]
    return found


def joint_names(topic: str, heard: Mapping[Names, list[float]], start_s: float, end_s: float) -> list[Finding]:
    """Names that are missing or change."""
    found = []
    if unnamed := heard.get(()):
        found.append(Finding("joints", topic, start_s, end_s, f"{len(unnamed)} joint states name no joint"))
    named = [names for names in heard if names]
    same = [names for names in named if not set(names).isdisjoint(named[0])]  # the others are another device's
    if len(same) > 1:
        text = f"the names or their order change: {len(same)} variants"
        found.append(Finding("joints", topic, start_s, end_s, text))
    return found


def other_joints(usual: Mapping[str, tuple[Names, float, float]]) -> list[Finding]:
    """Topics of as many joints that name others; usual: by topic, with its start and end."""
    found = []
    for name, (joints, start, end) in usual.items():
        for other, (others, *_) in usual.items():
            if name < other and len(joints) == len(others) and set(joints) != set(others):
                text = f"names {', '.join(joints)}; {other} names {', '.join(others)}"
                found.append(Finding("joints", name, start, end, text))
    return found
