"""The actor's life as a pure state machine: wait, reset, act, hold, pause; one `tick` per control period.

It decides what to command, closes every transition it opened and counts episodes. It knows no ROS, no clock and no
network: the node hands it a `View` and a policy, and sends what comes out. That is what makes a live run and its
replay from a bag the same code.

    waiting ──start──▶ resetting ──home, settled──▶ acting ──end of episode──▶ resetting
       ▲                  ▲  ▲                        │
       └──────stop────────┘  └──fresh data── holding ◀┘ stale image or joints       pause ⇄ resume from anywhere
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jsac_ros.control.observation import FrameStack
from jsac_ros.control.shaping import ActionShaper
from jsac_ros.tasks.task import Task
from jsac_ros.types import Observation, Spec, Step


LONG_RESET_S = 30.0


class View(NamedTuple):
    """What the actor knows when a tick begins."""

    steady_s: float  # steady clock
    stamp_ns: int  # ROS time
    lateness_s: float
    frame: np.ndarray | None  # uint8 [H, W, C]
    frame_stamp_ns: int
    position: np.ndarray | None  # rad, [N], our joint order
    velocity: np.ndarray | None  # rad/s, [N]
    joint_stamp_ns: int
    frame_age_s: float  # when the tick began; NaN without a frame
    joint_age_s: float
    problem: str  # why this must not be acted on ("image 0.31 s old, limit 0.20 s"); "" when fresh


class Choice(NamedTuple):
    """A policy's answer to an observation."""

    action: np.ndarray  # float32 [A]
    version: int  # updates behind it; -1: not from a policy
    intervened: bool = False  # a person chose it


class EpisodeResult(NamedTuple):
    episode: int
    steps: int
    episode_return: float
    success: bool
    terminated: bool
    truncated: bool
    reason: str
    duration_s: float
    reset_duration_s: float
    policy_version: int
    evaluation: bool


class Outcome(NamedTuple):
    velocity: np.ndarray  # rad/s, [N]; zero wherever the policy does not act
    acted: bool  # an observation was taken and an action chosen at this tick
    version: int
    steps: tuple[Step, ...]  # complete now, to be sent in this order
    finished: EpisodeResult | None


Policy = Callable[[Observation, int, int, bool], Choice]  # observation, episode, step, deterministic


class Session:
    """One start of an actor. Not thread-safe: `tick` and the operator's requests belong to the control thread."""

    def __init__(self, task: Task, spec: Spec, shaper: ActionShaper, robot: str, session: int, joints: int):
        self.task, self.spec, self.shaper = task, spec, shaper
        self.robot, self.session, self.joints = robot, session, joints
        self.state, self.reason = "waiting", "start"
        self.target_wanted = False  # the node asks for a new target and calls `target_ready`
        self.episode = 0
        self.step = 0
        self.held_by: tuple[str, ...] = ()  # rules of safety that had a say in the last command
        self.evaluation_left = 0  # episodes to run deterministically, not stored
        self._evaluating = False
        self._stack = FrameStack(spec)
        self._pending: Step | None = None
        self._steps: list[Step] = []
        self._finished: EpisodeResult | None = None
        self._reset_began_s: float | None = None
        self._settled_since_s: float | None = None
        self._reset_duration_s = 0.0
        self._previous_action = np.zeros(spec.action, np.float32)

    # -- operator ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Resets and acts, from any state."""
        self._halt("operator reset")
        self._enter("resetting", "")

    def pause(self) -> None:
        self._halt("operator pause")
        self._enter("paused", "operator")

    def stop(self, reason: str = "operator stop") -> None:
        self._halt(reason)
        self._enter("stopped", reason)

    def target_ready(self) -> None:
        self.target_wanted = False

    # -- control -------------------------------------------------------------------------------------------------

    def tick(self, view: View, policy: Policy, executed: np.ndarray | None) -> Outcome:
        """One control period. `executed`: what left the safety node for the previous action, action units [A]."""
        rest = np.zeros(self.joints)
        velocity, acted, version = rest, False, -1
        if self.state in ("resetting", "acting", "holding") and view.problem:
            self._halt(view.problem)
            self._enter("holding", view.problem)
        elif self.state == "holding":
            self._enter("resetting", "")
        if self.state == "resetting":
            velocity = self._reset(view)
        if self.state == "acting":
            choice = self._act(view, policy, executed)
            if choice is not None:
                velocity, acted, version = self.shaper.velocity(choice.action, self.joints), True, choice.version
        return self._outcome(velocity, acted, version)

    def end(self, reason: str) -> Outcome:
        """Rest; the last transitions of an episode that was open."""
        self.stop(reason)
        return self._outcome(np.zeros(self.joints), False, -1)

    def _outcome(self, velocity: np.ndarray, acted: bool, version: int) -> Outcome:
        steps, finished = tuple(self._steps), self._finished
        self._steps, self._finished = [], None
        return Outcome(velocity, acted, version, steps, finished)

    def _enter(self, state: str, reason: str) -> None:
        self.state, self.reason = state, reason
        if state == "resetting":
            self._reset_began_s = self._settled_since_s = None

    def _reset(self, view: View) -> np.ndarray:
        """Moves home, asks for a new target, lets the arm settle; ends in "acting" at the same tick."""
        if self._reset_began_s is None:
            self._reset_began_s = view.steady_s
            self.target_wanted = self.task.needs_new_target
            self.task.begin_reset(view.position, view.steady_s)
        velocity = self.task.reset_velocity(view.position, view.velocity, view.steady_s)
        if velocity is not None:
            took_s, self._settled_since_s = view.steady_s - self._reset_began_s, None
            late = f" for {took_s:.0f} s; safety: {', '.join(self.held_by) or 'no rule'}" if took_s > LONG_RESET_S else ""
            self.reason = self.task.waits_for or f"moving home{late}"
            return velocity
        if self._settled_since_s is None:
            self._settled_since_s = view.steady_s
        if self.target_wanted:
            self.reason = "waiting for the new target (service new_target)"
        elif view.steady_s - self._settled_since_s >= self.task.settle_s:
            self._reset_duration_s = view.steady_s - self._reset_began_s
            self._begin_episode(view)
        return np.zeros(self.joints)

    def _begin_episode(self, view: View) -> None:
        self._enter("acting", "")
        self.step = 0
        self._evaluating = self.evaluation_left > 0
        self._return, self._success, self._version = 0.0, False, -1
        self._began_s = self._seen_s = view.steady_s
        self._previous_action = np.zeros(self.spec.action, np.float32)
        self._pending = None
        self.task.begin_episode()

    def _act(self, view: View, policy: Policy, executed: np.ndarray | None) -> Choice | None:
        """Observes, scores the previous action and chooses the next; None where the episode ends here."""
        observation = Observation(
            self._stack.reset(view.frame) if self.step == 0 else self._stack.push(view.frame),
            self.task.proprioception(view.position, view.velocity, self._previous_action)[: self.spec.proprioception],
        )
        self._seen_s = view.steady_s
        score = self.task.score(view.frame) if self.step else None
        if score is not None:
            self._return += score.reward
            self._success |= score.success
            self._emit(
                self._pending._replace(
                    reward=score.reward,
                    mask=0.0 if score.terminated else 1.0,
                    executed=self._pending.executed if executed is None else executed,
                )
            )
        self._pending = self._observe(view, observation, bool(score and score.success))
        if score is not None and (score.terminated or self.step >= self.task.episode_steps):
            self._close("goal" if score.terminated else "time limit", score.terminated)
            self._enter("resetting", "")
            return None
        choice = policy(observation, self.episode, self.step, self._evaluating)
        self._version = choice.version
        self._previous_action = choice.action
        self._pending = self._pending._replace(
            action=choice.action, intervened=choice.intervened, policy_version=choice.version
        )
        self.step += 1
        return choice

    def _observe(self, view: View, observation: Observation, success: bool) -> Step:
        nothing = np.full(self.spec.action, np.nan, np.float32)
        return Step(
            robot=self.robot, session=self.session, sequence=0, episode=self.episode, step=self.step,
            is_first=self.step == 0, is_last=False, intervened=False, success=success,
            frame=view.frame if self.spec.height else np.zeros(self.spec.frame_shape, np.uint8),
            proprioception=observation.proprioception, action=np.zeros(self.spec.action, np.float32),
            executed=nothing, reward=0.0, mask=1.0, stamp_ns=view.stamp_ns, frame_stamp_ns=view.frame_stamp_ns,
            joint_stamp_ns=view.joint_stamp_ns, policy_version=-1, lateness_s=view.lateness_s,
        )  # fmt: skip

    def _halt(self, reason: str) -> None:
        """Ends an open episode without a new observation: the newest one closes it, its action never counted."""
        if self.state == "acting" and self._pending is not None:
            self.step = self._pending.step
            self._close(reason, terminated=False)

    def _close(self, reason: str, terminated: bool) -> None:
        self._emit(self._pending._replace(is_last=True, action=np.zeros(self.spec.action, np.float32)))
        self._pending = None
        self._finished = EpisodeResult(
            self.episode, self.step, self._return, self._success, terminated, not terminated, reason,
            self._seen_s - self._began_s, self._reset_duration_s, self._version, self._evaluating,
        )  # fmt: skip
        self.evaluation_left -= self._evaluating
        self.episode += 1
        self.step = 0

    def _emit(self, step: Step) -> None:
        if not self._evaluating:
            self._steps.append(step)
