"""What a policy earns in an environment, without exploration and without storing anything; and a film of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jsac_ros.report import film as films
from jsac_ros.training.episodic import Choose, EpisodicEnvironment, play
from jsac_ros.types import Action, Observation

SEED = 10_000  # added to a training's: starts that it did not see


class Episode(NamedTuple):
    """One episode."""

    env_steps: int  # of the training when it ended; 0 outside of one
    episode_return: float  # sum of the rewards, without discount
    steps: int
    success: bool
    terminated: bool  # reached a terminal state; else its time was up
    evaluation: bool  # not stored
    interventions: int = 0  # how often a person took over
    intervened_steps: int = 0  # of its steps, that a person chose
    sampled: bool = False  # an evaluation with sampled actions; else they are the policy's best
    known_reason: str = ""  # why it ended; '': by its flags

    @property
    def reason(self) -> str:
        """Why it ended, as msg/Episode has it."""
        by_flags = ("goal" if self.success else "terminal state") if self.terminated else "time limit"
        return self.known_reason or by_flags


def evaluate(
    environment: EpisodicEnvironment, choose: Choose, episodes: int, env_steps: int = 0, sampled: bool = False
) -> list[Episode]:
    found = []
    for _ in range(episodes):
        play(environment, choose)
        found.append(episode_of(environment, env_steps, evaluation=True)._replace(sampled=sampled))
    return found


def episode_of(environment: EpisodicEnvironment, env_steps: int, evaluation: bool = False) -> Episode:
    """The newest episode there."""
    e = environment
    return Episode(
        env_steps, e.episode_return, e.length, e.success, e.terminated, evaluation, e.interventions, e.intervened_steps,
        known_reason=e.reason,
    )  # fmt: skip


def film(
    open_environment: Callable[[], EpisodicEnvironment], choose: Choose, path: Path,
    stop: Callable[[], bool] = lambda: False,
) -> str:  # fmt: skip
    """Films one episode, or its begin, until `stop`; -> "" or, where nothing can be filmed, why, in one line.

    open_environment: makes one that draws.
    """
    frames: list[np.ndarray] = []
    try:
        with closing(open_environment()) as environment:

            def look_and_choose(observation: Observation) -> Action:
                frames.append(environment.drawn())
                return choose(observation)

            play(environment, look_and_choose, stop)
            films.write(path, frames, environment.rate_hz)
    except Exception as error:  # a missing GL or pygame shows as anything
        return f"no film: {' '.join(str(error).split())[:200]}"
    return ""
