"""Derives findings from the times, images and joints of recorded topics, with array arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

GAP_PERIODS = 3.0  # median intervals
GAP_LEAST_S = 0.05
IRREGULAR = 0.5  # median deviation of the intervals over their median, above which a topic has no rate
DARK, BRIGHT = 20, 235  # mean pixel value of an image, of 255
SKEW_S = 0.05  # between the stamp of an image and that of the nearest joint state
EVENTS = ("/rosout", "/parameter_events")  # published on events, not at a rate
CLOCK_JUMP_S = 0.5  # of the stamp relative to the recording time
FROZEN_FRAMES = 3  # identical images in a row

Names = tuple[str, ...]  # of the joints in one message


class Finding(NamedTuple):
    """A problem to know about before learning from this interval."""

    kind: str  # "gap", "frozen", "dark", ...
    topic: str
    start_s: float  # from the recording's first message
    end_s: float
    text: str


def stretches(flags: np.ndarray, seconds: np.ndarray) -> list[tuple[float, float]]:
    """Start and end time of each run of True. flags: bool [N]; seconds: float64 [N]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(float(seconds[a]), float(seconds[b - 1])) for a, b in edges.reshape(-1, 2)]


def timing(topic: str, seconds: np.ndarray) -> list[Finding]:
    """Gaps in a topic with a regular rate; an irregular topic has no gaps."""
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
    """Stamps that are zero, go back, or jump relative to the recording time."""
    if len(stamps_s) < 2 or len(stamps_s) != len(seconds):
        return []
    found = []
    zero = stamps_s + seconds[0] < -1e8  # years before the recording: never set
    if zero.any():
        found.append(Finding("clock", topic, *_span(zero, seconds), f"{zero.sum()} stamps are not set"))
    steps = np.diff(stamps_s)
    for i in np.flatnonzero((steps < 0) & ~zero[1:]):
        found.append(Finding("clock", topic, float(seconds[i]), float(seconds[i + 1]), f"stamps go back {-steps[i]:.3f} s"))
    jumps = np.diff(stamps_s - seconds)
    for i in np.flatnonzero((np.abs(jumps) > CLOCK_JUMP_S) & (steps >= 0) & ~zero[1:]):
        text = f"stamps jump {jumps[i]:+.2f} s relative to the recording time"
        found.append(Finding("clock", topic, float(seconds[i]), float(seconds[i + 1]), text))
    return found


def _span(flags: np.ndarray, seconds: np.ndarray) -> tuple[float, float]:
    at = seconds[flags]
    return float(at[0]), float(at[-1])


def pictures(topic: str, seconds: np.ndarray, means: list[float], prints: list[int]) -> list[Finding]:
    """Images that are too dark, too bright or frozen."""
    found = []
    mean = np.array(means)
    for kind, flags in (("dark", mean < DARK), ("bright", mean > BRIGHT)):
        for start, end in stretches(flags, seconds):
            inside = mean[(seconds >= start) & (seconds <= end)]
            found.append(Finding(kind, topic, start, end, f"{len(inside)} images with a mean of {inside.mean():.0f} of 255"))
    same = np.zeros(len(prints), bool)
    same[1:] = np.array(prints[1:]) == np.array(prints[:-1])
    for start, end in stretches(same, seconds):
        count = int(((seconds >= start) & (seconds <= end)).sum()) + 1
        if count >= FROZEN_FRAMES:
            found.append(Finding("frozen", topic, start, end, f"{count} images in a row are identical"))
    return found


def skew(images: str, seconds: np.ndarray, stamps_s: np.ndarray, states: str, states_stamps_s: np.ndarray) -> list[Finding]:
    """Images without a joint state close to their stamp."""
    if len(states_stamps_s) < 2:
        return []
    far = _distance(stamps_s, np.sort(states_stamps_s)) > SKEW_S
    text = f"no {states} within {SKEW_S * 1e3:.0f} ms of the images' stamps"
    return [Finding("skew", images, start, end, text) for start, end in stretches(far, seconds)]


def _distance(at: np.ndarray, stamps: np.ndarray) -> np.ndarray:
    """Distance from each of `at` to the nearest of the sorted `stamps`."""
    after = np.searchsorted(stamps, at).clip(1, len(stamps) - 1)
    return np.minimum(np.abs(at - stamps[after - 1]), np.abs(at - stamps[after]))


def joint_gaps(topic: str, heard: Mapping[Names, list[float]]) -> list[Finding]:
    """Joints that are missing while the topic continues with others. heard: times in seconds by the names in a message."""
    end_s = max((seconds[-1] for seconds in heard.values()), default=0.0)
    together: dict[frozenset[Names], list[str]] = {}  # messages -> the joints that all of them contain
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
    """Joint names that are missing or change."""
    found = []
    if unnamed := heard.get(()):
        found.append(Finding("joints", topic, start_s, end_s, f"{len(unnamed)} joint states name no joint"))
    named = [names for names in heard if names]
    same = [names for names in named if not set(names).isdisjoint(named[0])]  # the others belong to another device
    if len(same) > 1:
        text = f"the names or their order change: {len(same)} variants"
        found.append(Finding("joints", topic, start_s, end_s, text))
    return found


def other_joints(usual: Mapping[str, tuple[Names, float, float]]) -> list[Finding]:
    """Topics with the same number of joints but other names. usual: names, start and end by topic."""
    found = []
    for name, (joints, start, end) in usual.items():
        for other, (others, *_) in usual.items():
            if name < other and len(joints) == len(others) and set(joints) != set(others):
                text = f"names {', '.join(joints)}; {other} names {', '.join(others)}"
                found.append(Finding("joints", name, start, end, text))
    return found
