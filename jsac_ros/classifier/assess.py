"""Evaluates a classifier on episodes that it has not learned from: threshold, precision, recall, worst images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jsac_ros.classifier.examples import NEGATIVE, NEITHER, POSITIVE, LabelledEpisode

_MOST_MARGIN = 1.0  # logits by which a threshold lies below the lowest accepted score


class Judged(NamedTuple):
    """An episode and its scores."""

    episode: LabelledEpisode
    scores: np.ndarray  # float32 [T], logits
    runs: np.ndarray  # float32 [T], the minimum over the last scores in a row; -inf before there are enough


class Counts(NamedTuple):
    """Counts of predicted and of true successes."""

    called: int
    rightly: int
    there: int

    @property
    def precision(self) -> float:
        """1 if no success was predicted."""
        return self.rightly / self.called if self.called else 1.0

    @property
    def recall(self) -> float:
        return self.rightly / self.there if self.there else 1.0


def judged(episode: LabelledEpisode, scores: np.ndarray, consecutive: int) -> Judged:
    runs = np.full(len(scores), -np.inf, np.float32)
    if len(scores) >= consecutive:
        runs[consecutive - 1 :] = np.lib.stride_tricks.sliding_window_view(scores, consecutive).min(axis=1)
    return Judged(episode, scores, runs)


def choose_threshold(episodes: Sequence[Judged], precision: float) -> tuple[float, Counts]:
    """The threshold with the best recall among those that reach `precision`, and its counts.

    It counts single images, of which there are more than episodes; the need for several in a row comes on top.
    If none reaches it, the nearest one. The threshold is in the middle between the lowest accepted score
    and the highest negative one below, but close to the first.
    """
    scores, labels = (np.concatenate(parts) for parts in zip(*[(one.scores, one.episode.labels) for one in episodes]))
    counted = np.flatnonzero(labels != NEITHER)
    order = counted[np.argsort(-scores[counted], kind="stable")]
    scores, positive = scores[order], labels[order] == POSITIVE
    found = [Counts(k + 1, int(rightly), int(positive.sum())) for k, rightly in enumerate(np.cumsum(positive))]
    ends = [k for k in np.flatnonzero(positive) if k + 1 == len(scores) or scores[k + 1] < scores[k]]
    best = max(ends, key=lambda k: (min(found[k].precision, precision), found[k].recall))
    lowest = float(scores[best])
    below = next((float(scores[k]) for k in range(best + 1, len(scores)) if not positive[k]), -np.inf)
    return (lowest + max(below, lowest - 2 * _MOST_MARGIN)) / 2, found[best]


def count_images(episodes: Sequence[Judged], threshold: float) -> Counts:
    """Counts over single images, without those labelled neither."""
    scores, labels = (np.concatenate(parts) for parts in zip(*[(one.scores, one.episode.labels) for one in episodes]))
    called, positive = (scores >= threshold) & (labels != NEITHER), labels == POSITIVE
    return Counts(int(called.sum()), int((called & positive).sum()), int(positive.sum()))


def count_episodes(episodes: Sequence[Judged], threshold: float) -> Counts:
    """Counts over episodes as in a run: each ends at the first predicted success, correctly unless its image is negative."""
    ends = [ending_of(one, threshold) for one in episodes]
    rightly = sum(end is not None and bool(one.episode.labels[end] != NEGATIVE) for one, end in zip(episodes, ends))
    return Counts(sum(end is not None for end in ends), rightly, sum(one.episode.succeeded for one in episodes))


def ending_of(one: Judged, threshold: float) -> int | None:
    """The observation at which the episode would end as a success; None if it would not."""
    over = np.flatnonzero(one.runs >= threshold)
    return int(over[0]) if len(over) else None


class Worst(NamedTuple):
    """An image that was judged wrongly or almost wrongly."""

    one: Judged
    at: int  # of its observations

    @property
    def score(self) -> float:
        return float(self.one.scores[self.at])


def worst(episodes: Sequence[Judged], label: int, count: int) -> list[Worst]:
    """The images of one label with the most wrong scores, at most two per episode."""
    sign = -1 if label == NEGATIVE else 1
    found: list[Worst] = []
    for one in episodes:
        of_label = np.flatnonzero(one.episode.labels == label)
        found += [Worst(one, int(at)) for at in of_label[np.argsort(sign * one.scores[of_label], kind="stable")][:2]]
    return sorted(found, key=lambda image: sign * image.score)[:count]
