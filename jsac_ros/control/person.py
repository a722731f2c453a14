"""A person's commands instead of the policy's actions, as received by the actor: fresh, silent, or handed back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from jsac_ros.config import PersonConfig
from jsac_ros.rig import Rig
from jsac_ros.tasks.reset import ResetPart, Then
from jsac_ros.types import Action, Command, Sensed

Doing = Callable[[Sensed], Action]  # sensed values at the tick -> some or all parts of the action


class _Said(NamedTuple):
    doing: Doing | None  # None: handed back
    at_s: float


class Person:
    """The executor's thread calls `says`, the control thread calls `doing`."""

    def __init__(self, config: PersonConfig):
        self._config = config
        self._said = _Said(None, -math.inf)
        self._episode = -1  # in which the person acted last

    def says(self, doing: Doing | None, now_s: float) -> None:
        """doing: None hands back."""
        self._said = _Said(doing, now_s)

    def doing(self, episode: int, now_s: float) -> Doing | None:
        """The person's current action instead of the policy's; None: the policy acts."""
        doing, at_s = self._said
        if doing is not None and now_s - at_s <= self._config.max_age_s:
            self._episode = episode
            return doing
        left_alone = doing is not None and self._config.on_silence == "rest" and episode == self._episode
        return _rest if left_alone or self._config.episodes else None

    def holds(self, now_s: float) -> bool:
        """Whether a person has taken over and still sends commands."""
        doing, at_s = self._said
        return doing is not None and now_s - at_s <= self._config.max_age_s

    def reset_of(self, rig: Rig, now_s: Callable[[], float]) -> Callable[[], ResetPart] | None:
        """The task's reset and then, if only a person acts, rest until one has taken over; None: the task's reset alone."""
        if not self._config.episodes:
            return None
        return lambda: Then(rig.task.reset(), _Awaited(rig.actions.rest, lambda: self.holds(now_s())))


class _Awaited(ResetPart):
    """Rests until a person has taken over."""

    reason = "waiting for a person to take over"

    def __init__(self, rest: Command, is_there: Callable[[], bool]):
        self._rest, self._is_there = rest, is_there

    def step(self, sensed: Sensed) -> Command | None:
        return None if self._is_there() else self._rest


def _rest(sensed: Sensed) -> Action:
    return {}
