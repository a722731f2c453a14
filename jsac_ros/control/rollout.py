"""What the policy sees, does and earns, one episode after the other: live, and when a recording is computed again."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from jsac_ros.control.stacks import FrameStacks
from jsac_ros.control.transitions import TransitionMaker
from jsac_ros.rig import Rig
from jsac_ros.types import Action, Command, Observation, Score, Sensed, Transition

# What a person may say of the episode while it runs -> the reason with which it ends.
VERDICTS = {"success": "success (operator)", "failure": "failure (operator)", "discard": "discarded (operator)"}
CONTACT = "contact"  # an event as those, of the safety node: the tool pressed harder than it may
_ENDS = VERDICTS | {CONTACT: CONTACT}


class Step(NamedTuple):
    """What an observation tells of the action before it."""

    transition: Transition | None  # that it completes; None at the first observation of an episode
    score: Score | None  # likewise
    ends: str  # why the episode ends here; "" where it does not, the time limit apart


class Rollout:
    """Of one session. The order is `begin`, `observe`, `act`, `observe`, ..., `close`, and again."""

    def __init__(self, rig: Rig, robot: str, session: int):
        """robot: the actor's name in every transition."""
        self._rig, self._senses, self._stacks = rig, rig.senses, FrameStacks(rig.spaces.images)
        self._maker = TransitionMaker(rig.spaces, robot, session)
        self.sensed: Sensed | None = None  # at the newest observation, tared
        self.observation: Observation = {}  # the newest, those that close episodes included
        self._action: Action | None = None  # chosen at it; None where none was

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
        """An episode begins here."""
        self._action = None
        self._senses.begin(sensed)
        self._rig.actions.begin(sensed)
        self._rig.task.begin(self._senses.tared(sensed))

    def observe(self, sensed: Sensed, executed: Command | None = None, **about: Any) -> Step:
        """The next observation. executed: what left the safety node for the action before it, None where it is not known;
        about: stamps, as `TransitionMaker.observe` takes them. Raises what the code of a plug-in raises."""
        rig, sensed = self._rig, self._senses.tared(sensed)
        score, ends = (None, "") if self._action is None else self._score(sensed)
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
        """Takes what was chosen at the newest observation; -> what it commands."""
        self._maker.act(action, version, intervened)
        self._action = action
        return self._rig.actions.command(action, self.sensed)

    def close(self) -> Transition:
        """The newest observation closes the episode; an action that was chosen there is not counted."""
        self._action = None
        return self._maker.close()

    def _score(self, sensed: Sensed) -> tuple[Score, str]:
        """What the newest action earned, and why the episode ends with it; "" where it does not."""
        score = self._rig.task.score(self.sensed, self._action, sensed)
        score = score._replace(reward=score.reward - self._rig.actions.penalty)
        if not math.isfinite(score.reward):
            raise ValueError(f"score: reward is {score.reward}; expected a finite number")
        verdict = next((event for event in sensed.events if event in _ENDS), "")
        if not verdict:
            return score, "goal" if score.terminated else ""
        parameters = self._rig.config.task
        earned = {"success": parameters.success_reward, "discard": 0.0}.get(verdict, parameters.failure_reward)
        return Score(score.reward + earned, verdict != "discard", verdict == "success"), _ENDS[verdict]
