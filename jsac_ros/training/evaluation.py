"""Evaluation of a policy in an environment, without exploration and without storing anything; and a film of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jsac_ros.documents import one_line
from jsac_ros.report import film as films
from jsac_ros.training.episodic import Choose, EpisodicEnvironment, play
from jsac_ros.types import Action, Observation

SEED = 10_000  # added to the seed of a training: starts that it did not see


class Episode(NamedTuple):
    """One episode."""

    env_steps: int  # of the training at its end; 0 outside a training
    episode_return: float  # undiscounted sum of the rewards
    steps: int
    success: bool
    terminated: bool  # reached a terminal state; else truncated
    evaluation: bool  # not stored
    interventions: int = 0  # how often a person took over
    intervened_steps: int = 0  # number of its steps that a person chose
    sampled: bool = False  # an evaluation with sampled actions; else with the policy's best
    known_reason: str = ""  # why it ended; '': see its flags
    true_success: bool | None = None  # according to the task, where a classifier is believed instead; None: nothing else knows

    @property
    def reason(self) -> str:
        """Why it ended, as in msg/Episode."""
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
        known_reason=e.reason, true_success=e.true_success,
    )  # fmt: skip


def film(
    open_environment: Callable[[], EpisodicEnvironment], choose: Choose, path: Path,
    stop: Callable[[], bool] = lambda: False,
) -> str:  # fmt: skip
    """Films one episode, or its beginning, until `stop`; returns "" or one line with the reason why it cannot be filmed.

    open_environment: makes an environment that renders.
    """
    frames: list[np.ndarray] = []
    try:
        with closing(open_environment()) as environment:

            def look_and_choose(observation: Observation) -> Action:
                frames.append(environment.drawn())
                return choose(observation)

            play(environment, look_and_choose, stop)
            films.write(path, frames, environment.rate_hz)
    except Exception as error:  # a missing OpenGL or pygame raises various exceptions
        return f"no film: {one_line(error)[:200]}"
    return ""
