"""A classifier in the control loop: success if enough frames in a row are positive."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jsac_ros.classifier import files
from jsac_ros.classifier.files import Card
from jsac_ros.classifier.network import Params, from_tensors, network_of, scores
from jsac_ros.types import Arrays


class Judge:
    """The classifier of one loop. It is compiled at construction; a frame then takes about a millisecond of one core."""

    def __init__(self, card: Card, params: Params):
        self.card, self._network, self._params = card, network_of(card), params
        self._in_a_row = 0
        self.score({name: np.zeros(image.shape, np.uint8) for name, image in card.images.items()})

    @classmethod
    def load(cls, folder: str | Path) -> Judge:
        """Raises ConfigError with one line if a file is missing, damaged or inconsistent."""
        card = files.read_card(folder)
        return cls(card, from_tensors(card, files.read_tensors(folder)))

    def begin(self) -> None:
        """Starts an episode."""
        self._in_a_row = 0

    def score(self, frames: Arrays) -> float:
        """A logit. frames: {camera: uint8 [H, W, C]}; cameras that it does not use are ignored."""
        return float(scores(self._network, self._params, {name: frames[name][None] for name in self.card.images})[0])

    def is_success(self, frames: Arrays) -> bool:
        """Whether the next observation of the episode is a success."""
        self._in_a_row = self._in_a_row + 1 if self.score(frames) >= self.card.threshold else 0
        return self._in_a_row >= self.card.consecutive
