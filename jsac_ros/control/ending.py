"""The reward of an action and the reason why an episode ends: from the task, or a classifier instead, then from a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jsac_ros.types import LARGEST, Action, Score, Sensed

if TYPE_CHECKING:
    from jsac_ros.rig import Rig

# A person's verdict during the episode -> the reason with which it ends.
VERDICTS = {"success": "success (operator)", "failure": "failure (operator)", "discard": "discarded (operator)"}
CONTACT = "contact"  # such an event from the safety node: the tool pressed too hard
_ENDS = VERDICTS | {CONTACT: CONTACT}
GOAL, TIME_LIMIT = "goal", "time limit"  # reasons of complete episodes
# Likewise, if the task disagrees with the classifier
FALSE_GOAL = "goal (the classifier's alone)"
MISSED_GOAL = "time limit (the classifier missed the goal)"


class Ending:
    """The scores of successive episodes: `begin`, `score`, `score`, ...

    With `task.classifier`, the classifier's success earns `success_reward` and ends the episode; the task's own score
    counts only if it ends the episode as a failure. The task's success is remembered for `reason`.
    """

    def __init__(self, rig: Rig):
        self._rig, self._task, self._judge = rig, rig.config.task, rig.judge
        self._lingers = round(rig.config.task.after_success_s / rig.config.control.period_s)
        self.begin()

    def begin(self) -> None:
        self._left: int | None = None  # steps since the first success; None before it
        self._said = False  # by a person
        self._is_true = self._is_called = False  # the goal was reached according to the task; to the classifier
        if self._judge is not None:
            self._judge.begin()

    def score(self, before: Sensed, action: Action, after: Sensed) -> tuple[Score, str]:
        """The score of `action`, and why the episode ends with it; "" if it does not. Raises what the task's code raises."""
        score = self._judged(_checked(self._rig.task.score(before, action, after)), after)
        score = score._replace(reward=score.reward - self._rig.actions.penalty)
        if not abs(score.reward) <= LARGEST:  # NaN too
            raise ValueError(f"score: reward is {score.reward}; expected a finite number that float32 can hold")
        score, ends = self._with_events(score, after.events)
        return score, self._lingered(score, ends)

    @property
    def true_success(self) -> bool | None:
        """Whether the goal was reached according to the task, if a classifier decides instead; None: unknown."""
        return self._is_true if self._judge is not None and self._rig.task.knows_success else None

    def reason(self, ends: str) -> str:
        """The reason of an episode that ended with `ends`, or '' at its time limit."""
        if self.true_success is not None:
            if ends == GOAL and self._is_called and not self._is_true:
                return FALSE_GOAL
            if not ends and self._left is None and self._is_true:
                return MISSED_GOAL
        return ends or TIME_LIMIT

    def _judged(self, score: Score, after: Sensed) -> Score:
        if self._judge is None:
            return score
        self._is_true |= score.success
        self._is_called = reached = self._judge.is_success(after.frames)
        failed = score.terminated and not score.success
        return Score(reached * self._task.success_reward, reached or failed, reached)

    def _with_events(self, score: Score, events: tuple[str, ...]) -> tuple[Score, str]:
        verdict = next((event for event in events if event in _ENDS), "success" if self._said else "")
        if not verdict:
            return score, GOAL if score.terminated else ""
        self._said = verdict == "success"
        earned = {"success": self._task.success_reward, "discard": 0.0}.get(verdict, self._task.failure_reward)
        return Score(score.reward + earned, verdict != "discard", self._said), _ENDS[verdict]

    def _lingered(self, score: Score, ends: str) -> str:
        """`ends`, delayed by `after_success_s` if the goal was reached."""
        if self._left is None and ends and score.success:
            self._left = self._lingers
        elif self._left is not None:
            self._left -= 1
        if not self._left or (ends and not score.success):
            return ends or (GOAL if self._left == 0 else "")
        return ""


def _checked(given: Any) -> Score:
    """What a task's `score` returned, as plain numbers. Raises TypeError if it is no Score."""
    if not isinstance(given, Score):
        raise TypeError(f"score() returned {type(given).__name__}; expected Score(reward, terminated, success)")
    return Score(float(given.reward), bool(given.terminated), bool(given.success))
