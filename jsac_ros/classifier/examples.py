"""From replay stores to labelled images, episode by episode: the label is the `success` of the step.

A step of success is positive, every other step negative, except the last ones before a first success, which are neither:
a person presses late, and a series of positive images that starts there ends in success.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jsac_ros.config import ConfigError
from jsac_ros.replay.demonstrations import episodes_of
from jsac_ros.replay.store import FrameStore
from jsac_ros.spaces import ImageSpace
from jsac_ros.types import Arrays

POSITIVE, NEGATIVE, NEITHER = 1, 0, -1


class LabelledEpisode(NamedTuple):
    """One episode; T observations."""

    store: str
    number: int  # in its store
    steps: np.ndarray  # int64 [T]
    frames: Arrays  # {image: uint8 [T, H, W, C]}
    labels: np.ndarray  # int8 [T]: POSITIVE, NEGATIVE, NEITHER

    @property
    def succeeded(self) -> bool:
        return bool((self.labels == POSITIVE).any())


class Examples(NamedTuple):
    images: dict[str, ImageSpace]  # of all stores alike
    episodes: list[LabelledEpisode]

    @property
    def succeeded(self) -> int:
        return sum(episode.succeeded for episode in self.episodes)


def read(stores: Iterable[str | Path], unsure: int, images: Collection[str] = ()) -> Examples:
    """The episodes of all stores. unsure: steps before a first success that are neither; images: names; empty: all.

    Damaged rows are left out. Raises ConfigError if there is no store, or their images differ.
    """
    spaces: dict[str, ImageSpace] = {}
    episodes: list[LabelledEpisode] = []
    for folder in stores:
        store = FrameStore.read(folder)
        found = {image.name: image for image in store.spaces.images if not images or image.name in images}
        shapes = {name: image.frame_shape for name, image in found.items()}
        expected = {name: image.frame_shape for name, image in spaces.items()} or shapes
        if not shapes or shapes != expected:
            shown = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in shapes.items()) or "no image"
            others = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in expected.items()) or "at least one"
            raise ConfigError(f"store {folder} has {shown}; expected {others}")
        spaces = spaces or found
        episodes += _episodes(store, str(folder), list(found), unsure)
        store.close()
    return Examples(spaces, episodes)


def _episodes(store: FrameStore, name: str, images: list[str], unsure: int) -> list[LabelledEpisode]:
    found = []
    for episode in episodes_of(store):
        whole = [row for slot in episode.slots if (row := store.whole(slot)) is not None]
        if whole:
            rows = np.concatenate([row for row, _ in whole])
            frames = {image: np.stack([held[image] for _, held in whole]) for image in images}
            steps = rows["step"].astype(np.int64)
            found.append(LabelledEpisode(name, episode.number, steps, frames, labels_of(rows["success"], unsure)))
    return found


def labels_of(success: np.ndarray, unsure: int) -> np.ndarray:
    """bool [T] -> int8 [T]."""
    labels = np.where(success, POSITIVE, NEGATIVE).astype(np.int8)
    if success.any():
        first = int(success.argmax())
        labels[max(0, first - unsure) : first] = NEITHER
    return labels


def split(examples: Examples, share: float, seed: int) -> tuple[list[LabelledEpisode], list[LabelledEpisode]]:
    """(for training, held out): whole episodes, with the same share of successes and failures.

    Raises ConfigError if there are too few of either to hold one out.
    """
    rng = np.random.default_rng(seed)
    learned: list[LabelledEpisode] = []
    held_out: list[LabelledEpisode] = []
    for succeeded, what in ((True, "succeeded"), (False, "failed")):
        of_kind = [episode for episode in examples.episodes if episode.succeeded == succeeded]
        if len(of_kind) < 2:
            count = f"{len(of_kind)} of {len(examples.episodes)} episodes {what}"
            raise ConfigError(f"{count}; expected at least 2, so that one is held out (jsac-ros classifier record)")
        order = rng.permutation(len(of_kind))
        cut = min(max(1, round(share * len(of_kind))), len(of_kind) - 1)
        held_out += [of_kind[k] for k in order[:cut]]
        learned += [of_kind[k] for k in order[cut:]]
    return learned, held_out
