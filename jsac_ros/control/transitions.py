"""From observations, actions and rewards in order to transitions, each once and complete.

The only code that makes transitions: in the actor, in a Gymnasium environment, and from a recording.
"""

from __future__ import annotations

import numpy as np

from jsac_ros.spaces import Spaces
from jsac_ros.types import Action, Arrays, Score, Transition


class TransitionMaker:
    """The transitions of one session. The order is `observe`, `act`, `observe`, ..., `observe`, `close`, and again.

    A transition is complete when the observation after its action is known; the one that closes an episode carries the
    final observation and no action.
    """

    def __init__(self, spaces: Spaces, robot: str, session: int):
        self._spaces, self._robot, self._session = spaces, robot, session
        self._nothing = {part.name: np.zeros(part.size, np.float32) for part in spaces.actions}
        self._unknown = {part.name: np.full(part.size, np.nan, np.float32) for part in spaces.actions}
        self._open: Transition | None = None
        self._acted = False
        self.sequence = 0  # of the next transition
        self.episode = 0
        self.step = 0  # of the newest observation

    @property
    def is_open(self) -> bool:
        """Whether an episode is open."""
        return self._open is not None

    @property
    def nothing(self) -> Action:
        """No action: zeros."""
        return self._nothing

    def observe(
        self,
        frames: Arrays,
        vectors: Arrays,
        score: Score | None = None,
        executed: Action | None = None,
        *,
        stamp_ns: int = 0,
        source_stamps_ns: dict[str, int] | None = None,
        lateness_s: float = 0.0,
        events: tuple[str, ...] = (),
        time_s: float = 0.0,
    ) -> Transition | None:
        """The next observation; returns the transition that it completes.

        score: of the previous action, None at the first observation of an episode. executed: the output of the
        safety node for that action, None if unknown.
        """
        complete = None
        if self._open is not None:
            if score is None or not self._acted:
                raise RuntimeError("observe: an action and its score come between two observations of an episode")
            complete = self._numbered(
                self._open._replace(
                    reward=score.reward, mask=0.0 if score.terminated else 1.0, executed=executed or self._open.executed
                )
            )
            self.step += 1
        first = self._open is None
        self._open = Transition(
            robot=self._robot, session=self._session, sequence=0, episode=self.episode, step=self.step, is_first=first,
            is_last=False, intervened=False, success=bool(score and score.success), frames=frames, vectors=vectors,
            action=self._nothing, executed=self._unknown, reward=0.0, mask=1.0, stamp_ns=stamp_ns,
            source_stamps_ns=source_stamps_ns or dict.fromkeys(self._spaces.sources, 0), policy_version=-1,
            lateness_s=lateness_s, events=events, time_s=time_s,
        )  # fmt: skip
        self._acted = False
        return complete

    def act(self, action: Action, policy_version: int = -1, intervened: bool = False) -> None:
        """Takes the action chosen at the newest observation. Raises ValueError naming a part of another size."""
        if self._open is None:
            raise RuntimeError("act: no observation to act on")
        self._spaces.check_action(action)
        self._open = self._open._replace(action=action, policy_version=policy_version, intervened=intervened)
        self._acted = True

    def close(self) -> Transition:
        """Closes the episode at the newest observation; an action chosen there is not counted."""
        if self._open is None:
            raise RuntimeError("close: no episode is open")
        closing = self._open._replace(is_last=True, action=self._nothing, policy_version=-1, intervened=False)
        closing = self._numbered(closing)
        self._open, self._acted = None, False
        self.episode += 1
        self.step = 0
        return closing

    def _numbered(self, transition: Transition) -> Transition:
        transition = transition._replace(sequence=self.sequence)
        self.sequence += 1
        return transition
