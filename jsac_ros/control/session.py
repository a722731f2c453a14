"""The actor's state machine, pure: wait, reset, act, hold, pause; one `tick` per control period.

It decides what to command, completes every transition that it began and counts episodes. It uses no ROS, no clock and no
network: the node passes a `View` and a policy, and sends the result. So a live run and its replay from a bag use the
same code.

    waiting ──start──▶ resetting ──home, settled──▶ acting ──end of episode──▶ resetting
       ▲                  ▲  ▲                        │
       └──────stop────────┘  └──fresh data── holding ◀┘ stale image, joints or sensor    pause ⇄ resume from anywhere
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jsac_ros import plugins
from jsac_ros.control.rollout import Rollout
from jsac_ros.rig import Rig
from jsac_ros.tasks.reset import ResetPart
from jsac_ros.types import Action, Command, Observation, Sensed, Transition

LONG_RESET_S = 30.0
EVALUATION = "evaluation"  # the reason of a state in which a deterministic episode is acted


class View(NamedTuple):
    """The actor's inputs at the start of a tick."""

    time_s: float  # steady clock
    stamp_ns: int  # ROS time
    lateness_s: float
    sensed: Sensed | None  # None if an input has never arrived
    source_stamps_ns: dict[str, int]  # {source: stamp of the newest message}; 0: none
    ages_s: dict[str, float]  # {source: age at the start of the tick}; NaN if nothing has arrived
    problem: str  # why this must not be acted on ("wrist is 0.31 s old, limit 0.20 s"); "" when fresh


class Choice(NamedTuple):
    """A policy's answer to an observation."""

    action: Action
    version: int  # updates that made the policy; -1: not from a policy
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
    interventions: int = 0  # how often a person took over
    intervened_steps: int = 0  # that a person chose


class Outcome(NamedTuple):
    command: Command  # no motion while the policy does not act
    acted: bool  # an observation was taken and an action chosen at this tick
    version: int
    transitions: tuple[Transition, ...]  # complete now, to be sent in this order
    finished: EpisodeResult | None


Policy = Callable[[Observation, int, int, bool], Choice]  # observation, episode, step, deterministic


class Session:
    """One start of an actor. Not thread-safe: call `tick` and the operator's requests from the control thread."""

    def __init__(self, rig: Rig, robot: str, session: int, reset: Callable[[], ResetPart] | None = None):
        """robot: the actor's name in every transition; reset: replaces the task's, for recordings."""
        self.rig, self.task, self.session = rig, rig.task, session
        self.state, self.reason = "waiting", "start"
        self.failed = ""  # the exception of a plug-in, with file and line
        self.service = ""  # a std_srvs/Trigger service that the reset requests; '' for none
        self.held_by: tuple[str, ...] = ()  # safety rules that changed the last command
        self.evaluation_left = 0  # episodes to run deterministically, not stored
        self._make_reset = reset or self.task.reset
        self._rollout = Rollout(rig, robot, session)
        self._evaluating = False
        self._transitions: list[Transition] = []
        self._finished: EpisodeResult | None = None
        self._reset: ResetPart | None = None
        self._reset_began_s = self._reset_duration_s = 0.0
        self._command = rig.actions.rest  # while the policy does not act

    @property
    def episode(self) -> int:
        return self._rollout.episode

    @property
    def step(self) -> int:
        return self._rollout.step

    @property
    def sensed(self) -> Sensed | None:
        """The sensed values at the newest observation."""
        return self._rollout.sensed

    @property
    def observation(self) -> Observation:
        """The newest observation, including those that close episodes."""
        return self._rollout.observation

    # -- operator ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts with a reset, from any state."""
        self._halt("operator reset")
        self._enter("resetting", "")

    def pause(self) -> None:
        self._halt("operator pause")
        self._enter("paused", "operator")

    def stop(self, reason: str = "operator stop") -> None:
        self._halt(reason)
        self._enter("stopped", reason)

    @property
    def asks(self) -> str:
        """What the reset asks a person to do; '' if nothing."""
        return self._reset.asks if self._reset else ""

    def answered(self, success: bool, message: str) -> None:
        """Takes the answer of `service`."""
        if not self.service or self._reset is None:
            return
        try:
            self._reset.answered(success, message)
        except plugins.FAULTS as error:
            self._fail(self._task_name, error)

    # -- control -------------------------------------------------------------------------------------------------

    def tick(self, view: View, policy: Policy, executed: Command | None) -> Outcome:
        """One control period. `executed`: the output of the safety node for the previous command; None: unknown."""
        observation = self.look(view, executed)
        if observation is None:
            return self.rest()
        return self.act(policy(observation, self.episode, self.step, self._evaluating))

    def look(self, view: View, executed: Command | None) -> Observation | None:
        """The first half of a tick: the question for the policy, to be followed by `act`; None: followed by `rest`."""
        self._command = self.rig.actions.rest
        if self.state in ("resetting", "acting", "holding") and view.problem:
            self._halt(view.problem)
            self._enter("holding", view.problem)
        elif self.state == "holding":
            self._enter("resetting", "")
        try:
            if self.state == "resetting":
                self._command = self._step_reset(view, view.sensed)
            if self.state == "acting":
                return self._observe(view, executed)
        except plugins.FAULTS as error:  # the robot rests, the operator is informed
            self._fail(self._task_name, error)
        return None

    def act(self, choice: Choice) -> Outcome:
        """The second half of a tick in which the policy acts."""
        try:
            return self._outcome(self._choose(choice), True, choice.version)
        except plugins.FAULTS as error:
            self._fail("action", error)
            return self.rest()

    def rest(self) -> Outcome:
        """The second half of a tick in which it does not."""
        return self._outcome(self._command, False, -1)

    def end(self, reason: str) -> Outcome:
        """Rests; returns the last transitions of an open episode."""
        self.stop(reason)
        self._command = self.rig.actions.rest
        return self.rest()

    @property
    def _task_name(self) -> str:
        return f"task {self.rig.config.task.type!r}"

    def _fail(self, what: str, error: BaseException) -> None:
        """After an exception in a plug-in: the robot rests, the episode is closed, a person is informed and may start again."""
        self.failed = str(error) if isinstance(error, plugins.PluginError) else f"{what}: {plugins.where(error)}"
        self.stop(self.failed)
        self._command = self.rig.actions.rest

    def _outcome(self, command: Command, acted: bool, version: int) -> Outcome:
        transitions, finished = tuple(self._transitions), self._finished
        self._transitions, self._finished = [], None
        return Outcome(command, acted, version, transitions, finished)

    def _enter(self, state: str, reason: str) -> None:
        self.state, self.reason, self.service = state, reason, ""
        self._reset = None

    def _step_reset(self, view: View, sensed: Sensed) -> Command:
        """Runs the reset; when complete, changes to "acting" at the same tick."""
        if self._reset is None:
            part = self._make_reset()
            if not isinstance(part, ResetPart):
                raise TypeError(f"reset() returned {type(part).__name__}; expected a ResetPart, such as composed(...)")
            self._reset, self._reset_began_s = part, view.time_s
            self._reset.begin(sensed)
        command = self._reset.step(sensed)
        if command is not None:
            self.rig.actions.check(f"step() of the reset's {type(self._reset).__name__}", command)
            self.service = self._reset.service
            took_s = view.time_s - self._reset_began_s
            rules = f" for {took_s:.0f} s; safety: {', '.join(self.held_by) or 'no rule'}" if took_s > LONG_RESET_S else ""
            self.reason = self._reset.reason + rules
            return command
        self._reset_duration_s = view.time_s - self._reset_began_s
        self._begin_episode(view, sensed)
        return self.rig.actions.rest

    def _begin_episode(self, view: View, sensed: Sensed) -> None:
        self._evaluating = self.evaluation_left > 0
        self._enter("acting", EVALUATION if self._evaluating else "")
        self._return, self._success, self._version = 0.0, False, -1
        self._interventions = self._intervened_steps = 0
        self._person_acted = False  # at the previous step
        self._began_s = self._seen_s = view.time_s
        self._rollout.begin(sensed)

    def _observe(self, view: View, executed: Command | None) -> Observation | None:
        """Scores the previous action and observes; None if the episode ends here."""
        step = self._rollout.observe(
            view.sensed, executed, stamp_ns=view.stamp_ns, source_stamps_ns=view.source_stamps_ns, lateness_s=view.lateness_s
        )
        self._seen_s = view.time_s
        if step.transition is None:
            return self.observation
        self._emit(step.transition)
        self._count_person(step.transition.intervened)
        self._return += step.score.reward
        self._success |= step.score.success
        if not step.ends and self.step < self.rig.episode_steps:
            return self.observation
        self._close(self._rollout.reason(step.ends), step.score.terminated)
        self._enter("resetting", "")
        return None

    def _count_person(self, acted: bool) -> None:
        self._interventions += acted and not self._person_acted
        self._intervened_steps += acted
        self._person_acted = acted

    def _choose(self, choice: Choice) -> Command:
        """Takes the policy's answer to the newest observation."""
        self._version = choice.version
        return self._rollout.act(choice.action, choice.version, choice.intervened)

    def _halt(self, reason: str) -> None:
        """Ends an open episode without a new observation: the newest one closes it, and its action is not counted."""
        if self.state == "acting" and self._rollout.is_open:
            self._close(reason, terminated=False)

    def _close(self, reason: str, terminated: bool) -> None:
        result = EpisodeResult(
            self.episode, self.step, self._return, self._success, terminated, not terminated, reason,
            self._seen_s - self._began_s, self._reset_duration_s, self._version, self._evaluating,
            self._interventions, self._intervened_steps,
        )  # fmt: skip
        self._emit(self._rollout.close())
        self._finished = result
        self.evaluation_left -= self._evaluating

    def _emit(self, transition: Transition) -> None:
        if not self._evaluating:
            self._transitions.append(transition)
