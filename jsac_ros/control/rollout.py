"""Observations, actions and scores of successive episodes: live, and when a recording is recomputed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jsac_ros.control.ending import Ending
from jsac_ros.control.stacks import FrameStacks
from jsac_ros.control.transitions import TransitionMaker
from jsac_ros.rig import Rig
from jsac_ros.types import Action, Command, Observation, Score, Sensed, Transition


class Step(NamedTuple):
    """The result of the previous action at an observation."""

    transition: Transition | None  # that it completes; None at the first observation of an episode
    score: Score | None  # likewise
    ends: str  # why the episode ends here, except by the time limit; "" if it does not


class Rollout:
    """The rollout of one session. The order is `begin`, `observe`, `act`, `observe`, ..., `close`, and again."""

    def __init__(self, rig: Rig, robot: str, session: int):
        """robot: the actor's name in every transition."""
        self._rig, self._senses, self._stacks = rig, rig.senses, FrameStacks(rig.spaces.images)
        _ = rig.encoders  # compiled now, not at the first observation
        self._maker = TransitionMaker(rig.spaces, robot, session)
        self._ending = Ending(rig)
        self.sensed: Sensed | None = None  # at the newest observation, tared
        self.observation: Observation = {}  # the newest, those that close episodes included
        self._action: Action | None = None  # chosen at it; None if none was

    @property
    def is_open(self) -> bool:
        """Whether there is an observation that no transition closes yet."""
        return self._maker.is_open

    @property
    def episode(self) -> int:
        return self._maker.episode

    @property
    def step(self) -> int:
        return self._maker.step

    def begin(self, sensed: Sensed) -> None:
        """Starts an episode."""
        self._action = None
        self._ending.begin()
        self._senses.begin(sensed)
        self._rig.actions.begin(sensed)
        self._rig.task.begin(_read_only(self._senses.tared(sensed)))

    def observe(self, sensed: Sensed, executed: Command | None = None, **about: Any) -> Step:
        """The next observation. executed: the output of the safety node for the previous action, None if unknown;
        about: stamps, as for `TransitionMaker.observe`. Raises what the code of a plug-in raises."""
        rig, sensed = self._rig, _read_only(self._senses.tared(sensed))
        score, ends = (None, "") if self._action is None else self._ending.score(self.sensed, self._action, sensed)
        frames = {image.name: sensed.frames[image.name] for image in rig.spaces.images}
        vectors = self._senses.observe(sensed, self._action or self._maker.nothing)
        images = self._stacks.push(frames) if self._maker.is_open else self._stacks.reset(frames)
        transition = self._maker.observe(
            frames, vectors, score, executed and rig.actions.action(executed, sensed), events=sensed.events,
            time_s=sensed.time_s, **about,
        )  # fmt: skip
        self.sensed, self.observation = sensed, images | vectors
        return Step(transition, score, ends)

    def act(self, action: Action, version: int = -1, intervened: bool = False) -> Command:
        """Takes the action chosen at the newest observation; returns its command."""
        action = {name: np.array(values) for name, values in action.items()}  # a copy: its owner may go on writing
        for values in action.values():
            values.setflags(write=False)
        self._maker.act(action, version, intervened)
        self._action = action
        return self._rig.actions.command(action, self.sensed)

    def close(self) -> Transition:
        """Closes the episode at the newest observation; an action chosen there is not counted."""
        self._action = None
        return self._maker.close()

    def reason(self, ends: str) -> str:
        """The reason of an episode that ended with `Step.ends`, or '' at its time limit."""
        return self._ending.reason(ends)

    @property
    def true_success(self) -> bool | None:
        """As `Ending.true_success`, of the newest episode."""
        return self._ending.true_success


def _read_only(sensed: Sensed) -> Sensed:
    """Makes the arrays read-only: a task that modifies its input raises an error there and cannot change stored data. Frames
    are read-only already."""
    for array in (sensed.position, sensed.velocity, sensed.effort, *sensed.sensors.values(), *sensed.outputs.values()):
        array.setflags(write=False)
    return sensed
