"""The interface of what a training acts in: a Gymnasium environment, or a configured system in its simulator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jsac_ros.config import ConfigError
from jsac_ros.types import Action, Observation, Score, Transition

Choose = Callable[[Observation], Action]


class EpisodicEnvironment(ABC):
    """Every episode ends with a closing transition."""

    robot: str  # its name in every transition

    def __init__(self):
        self.observation: Observation = {}
        self._begin()

    def _begin(self) -> None:
        """An episode begins."""
        self.episode_return = 0.0
        self.terminated = self.success = False
        self.true_success: bool | None = None  # according to the task, where a classifier is believed instead
        self.reason = ""  # why the newest episode ended, if known better than by its flags
        self.length = self.interventions = self.intervened_steps = 0  # of the newest episode
        self._person_acted = False  # at the previous step

    def _count(self, score: Score, intervened: bool) -> None:
        self.episode_return += score.reward
        self.terminated = score.terminated
        self.success |= score.success
        self.length += 1
        self.interventions += intervened and not self._person_acted
        self.intervened_steps += intervened
        self._person_acted = intervened

    @property
    @abstractmethod
    def name(self) -> str:
        """The session as named in messages."""

    @property
    @abstractmethod
    def episode(self) -> int:
        """Number of the open episode, or of the next one."""

    @property
    @abstractmethod
    def step(self) -> int:
        """Steps of the open episode; 0 if none is open."""

    @abstractmethod
    def reset(self) -> Observation: ...

    @abstractmethod
    def act(self, action: Action, version: int = 0, intervened: bool = False) -> tuple[list[Transition], bool]:
        """Acts; returns the completed transitions, and whether the episode has ended."""

    @abstractmethod
    def stop(self) -> list[Transition]:
        """Closes the open episode at its newest observation; [] if none is open."""

    @abstractmethod
    def drawn(self) -> np.ndarray:
        """RGB uint8 [H, W, 3] for a film. Raises if nothing can be rendered."""

    @property
    def rate_hz(self) -> float:
        """Frames per second of a film with one frame per step."""
        return 30.0

    @property
    def card(self) -> dict[str, Any]:
        """The meaning of a policy's actions here, as JSON."""
        return {}

    def intervention(self) -> Action | None:
        """The action of a scripted person instead of the policy's; None: the policy acts."""
        return None

    def demonstration(self) -> list[Transition]:
        """An episode of the scripted expert. Raises ConfigError if there is none."""
        raise ConfigError(
            f"environment {self.name} has no scripted expert; expected train.expert, or a configuration whose task has one"
        )

    def close(self) -> None:
        """Releases what it opened itself."""


class Places(NamedTuple):
    """The environments in which a training learns and is evaluated."""

    learning: Callable[[int, int], EpisodicEnvironment]  # by seed and session
    test: Callable[[int, int], EpisodicEnvironment]
    alone: bool = False  # both act in one object: an evaluation starts only while no episode is open


def play(environment: EpisodicEnvironment, choose: Choose, stop: Callable[[], bool] = lambda: False) -> None:
    """Runs one episode, to its end or until `stop`; return and success are the environment's. Nothing is stored."""
    observation, over = environment.reset(), False
    while not over and not stop():
        _, over = environment.act(choose(observation))
        observation = environment.observation
