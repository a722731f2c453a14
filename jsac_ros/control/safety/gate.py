"""The gate: turns a command into the motion that the robot may execute.

Every command becomes one motion that ends at rest (`control.motion`), judged as a whole before it is sent: from the
measured and from the commanded position, along the motion and along the brake from any instant of it.
So the braking distance is always available, and a robot that gets no further command comes to rest inside its limits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from jsac_ros.control.motion import Limits, Motion, brake_time, stop
from jsac_ros.control.safety.bounds import Bounds
from jsac_ros.control.safety.contact import Contact
from jsac_ros.control.safety.cycle import ControllerCycle
from jsac_ros.control.safety.grippers import GripperGates
from jsac_ros.control.safety.last_motion import LastMotion
from jsac_ros.control.safety.rules import GateInputs, RuleLimits, applying, refused, usable
from jsac_ros.control.safety.shape import CHANGED, Start, shape
from jsac_ros.control.safety.travel import Travel
from jsac_ros.robots.ur import FULL_SPEED_PERCENT

_NOT_FOLLOWING_HOLD_S = 1.0
# How far a robot that follows may lag behind: its controller's delay times its speed.
_LAG, _LAG_S = 0.005, 0.15  # rad or m, s
# The commanded position drifts to the measured one at this rate: fast enough to forget a lag, slow enough that a
# motion stays smooth.
_FORGET_S = 1.0
_SAME_M = 1e-4  # two openings closer than this are equal


STATES = ("waiting", "ready", "moving", "holding", "stopped")  # of SafetyStatus


class Decision(NamedTuple):
    velocity: np.ndarray  # [N], the commanded target velocity
    rules: tuple[str, ...]  # that acted
    intervened: bool
    motion: Motion | None  # to be sent now; None: the previous motion stays valid
    begins_s: float | None = None  # when it continues the robot's motion; None: it begins where the robot is when it arrives
    outputs: Mapping[str, np.ndarray] = {}  # {gripper: float64 [1]}, m: target of its fingers


class Gate:
    """Use from one thread at a time. All times are seconds on one steady clock; all arrays [N] in the robot's order."""

    def __init__(
        self,
        bounds: Bounds | None,
        limits: Limits,
        rule_limits: RuleLimits,
        jump: np.ndarray | float = np.inf,
        following_error: np.ndarray | float = np.inf,
        cycle: ControllerCycle | None = None,
        same_clock: bool = True,
        contact: Contact | None = None,
        grippers: GripperGates | None = None,
    ):
        """`jump`, `following_error`: as in `robots.limits.JointLimits`. `cycle` None: the robot gets velocities, which it
        follows at once. `same_clock`: the stamps of the robot's controller are on this computer's clock, or close to it."""
        self.bounds, self.limits, self.rule_limits = bounds, limits, rule_limits
        self._same_clock, self._contact = same_clock, contact
        self.grippers = grippers or GripperGates({})
        self.counts: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}  # of the rules that demand rest now
        self._jump, self._following_error = jump, following_error
        self._n = len(limits.speed)
        self._at_rest = np.zeros(self._n)
        self._inputs = GateInputs(now_s=0.0)
        self._q: np.ndarray | None = None  # as measured
        self._commanded: np.ndarray | None = None  # the commanded position then
        self._travel = Travel(self._n)
        self._last = LastMotion(self._n, cycle)
        self._released = False  # the next joint state is accepted whatever its values
        self._holds_position = False  # the robot has stopped by itself and has nothing to resume

    # -- inputs --------------------------------------------------------------------------------------------------

    def emergency_stop(self, why: str) -> None:
        if not self._inputs.stopped:
            self._update(stopped=why)

    def second_source(self, why: str) -> None:
        """Two sources of joint states: the robot's position is unknown until a person has checked."""
        if not self._inputs.stopped:
            self.counts["second_source"] += 1
            self.emergency_stop(why)

    def release(self) -> None:
        """Called by a person who has checked the robot, also that it is where its joint states say."""
        self._update(stopped="")
        if self._contact:
            self._contact.release()
        self._released, self._travel = True, Travel(self._n)

    def program_running(self, running: bool) -> None:
        self._update(program_running=running)

    def safety_mode(self, mode: int) -> None:
        """Takes a mode of `robots.ur.SAFETY_MODES`."""
        self._update(safety_mode=mode)

    def speed_scaling(self, percent: float) -> None:
        """0 to 100, as published by the robot's driver. Anything else holds the robot; the last valid one stays in force."""
        self._update(speed_scaling=percent)
        if usable(percent):
            self._last.speed_share = min(percent / FULL_SPEED_PERCENT, 1.0)

    def dead_man_held(self, now_s: float, held: bool) -> None:
        self._update(dead_man_s=now_s if held else None)

    @property
    def judges_wrench(self) -> bool:
        return self._contact is not None

    def wrench(self, wrench: np.ndarray, frame: str, measured_s: float) -> None:
        """N and Nm [6] at the tool, in the frame of that name. Raises ValueError if it cannot be judged."""
        if self._contact is None:
            return
        try:
            self._contact.heard(wrench, frame, measured_s)
        except ValueError:
            self.counts["wrench_refused"] += 1
            raise

    def gripper_problem(self, why: str) -> None:
        """Why a gripper's driver cannot be commanded; "" if it can."""
        self._update(gripper=why)

    def begin_episode(self) -> None:
        """Starts an episode: the wrench counts relative to its current value."""
        if self._contact:
            self._contact.tare()

    def joints(self, q: np.ndarray, measured_s: float) -> None:
        """Takes a joint state: rad or m [N], and when it was measured."""
        if not np.isfinite(q).all():
            self.counts["joints_not_finite"] += 1
            return
        before_s = self._inputs.joints_s
        if before_s is not None and not self._released:
            if measured_s < before_s:  # out of order
                return
            before = self._commanded
            way = np.zeros(self._n) if before is None else np.abs(self._last.position(measured_s) - before)
            if np.any(np.abs(q - self._q) > self._jump + way):
                self._update(jumped=True)
                return
            expected = way * self._last.speed_share if self._last.slowed else way
            self._travel.passed(expected, np.abs(q - self._q), measured_s - before_s)
        self._q, self._released = q, False
        self._commanded = self._last.position(measured_s)
        self._update(joints_s=measured_s, jumped=False)
        if self._last.cycle:
            self._last.cycle.heard(measured_s)
        if self._contact:
            self._contact.passed(q)

    # -- decisions -----------------------------------------------------------------------------------------------

    def command(
        self, now_s: float, velocity: np.ndarray | None, sent_s: float | None = None, observed_s: float | None = None,
        outputs: Mapping[str, np.ndarray] | None = None,
    ) -> Decision:  # fmt: skip
        """Judges a command when it arrives. `sent_s`: when it was sent (None: now); `observed_s`: when the image behind it
        was taken, if there was one. `velocity` None: neither is known. `outputs`: {gripper: its opening in m [1]}."""
        decision = self._command(now_s, velocity, sent_s, observed_s)
        resting = bool(self.reasons) or velocity is None
        refusal = self.grippers.command(now_s, outputs or {}, resting)
        if refusal:
            self.counts["wrong_output"] += 1
        applied = self.grippers.applied()
        changed = any(name in applied and np.any(abs(v - applied[name]) > _SAME_M) for name, v in (outputs or {}).items())
        return decision._replace(
            outputs=applied, intervened=decision.intervened or bool(refusal) or changed,
            rules=(*decision.rules, "wrong_output") if refusal else decision.rules,
        )  # fmt: skip

    def _command(self, now_s: float, velocity: np.ndarray | None, sent_s: float | None, observed_s: float | None) -> Decision:
        self._update(command_s=now_s if sent_s is None else sent_s, observed_s=observed_s)
        refusal = refused(velocity, self._n)
        moves = velocity is not None and bool(np.any(velocity))
        resting = self._rules(now_s, moves)
        if refusal:
            self.counts[refusal] += 1
        if refusal or resting:
            rules = (*resting, refusal) if refusal else tuple(resting)
            return Decision(self._at_rest, rules, bool(refusal) or moves, self._yield(now_s), self._last.begins_s)
        return self._shaped(now_s, np.asarray(velocity, np.float64))

    def wait_s(self, now_s: float) -> float:
        """How long a decision should wait, so that it is known when the robot's controller begins the motion."""
        return self._last.cycle.wait_s(now_s) if self._last.cycle else 0.0

    def watch(self, now_s: float) -> Decision:
        """The decision without a command: whether a rule demands rest now."""
        resting = self._rules(now_s)
        motion = self._yield(now_s) if resting else None
        return Decision(self.velocity(now_s), tuple(resting), motion is not None, motion, self._last.begins_s)

    def velocity(self, now_s: float) -> np.ndarray:
        """[N]: the velocity of the last motion at `now_s`, for interfaces that take velocities."""
        return self._last.velocity(now_s)

    def position(self, now_s: float) -> np.ndarray | None:
        """[N]: the commanded position at `now_s`, for interfaces that take poses; None before the first motion."""
        return self._last.position(now_s)

    def moving(self, now_s: float) -> bool:
        return self._last.moving(now_s)

    @property
    def rest_s(self) -> float:
        """Seconds from the last command, at full speed, to rest, without any further command."""
        full = self.limits.speed
        return self.rule_limits.command_max_age_s + float(brake_time(full, np.zeros_like(full), self.limits))

    @property
    def stopped(self) -> str:
        """Why the emergency stop is latched; "" if it is not."""
        return self._inputs.stopped

    def state(self, now_s: float) -> tuple[str, str]:
        """One of STATES, and the reason."""
        reasons = "; ".join(self.reasons.values())
        if self._inputs.stopped:
            return "stopped", reasons
        if np.isfinite(self.rule_limits.joint_max_age_s) and self._inputs.joints_s is None:
            return "waiting", reasons
        if self.reasons.keys() - {"stale_command"}:  # that rule is the actor's silence, not an obstacle for it
            return "holding", reasons
        if self.moving(now_s):
            return "moving", reasons
        return "ready", "" if self._inputs.command_s is not None else "no command yet"

    # -- how -----------------------------------------------------------------------------------------------------

    def _shaped(self, now_s: float, velocity: np.ndarray) -> Decision:
        """As much of the command as is allowed; if nothing is, the brake that was judged before continues."""
        start, starts = self._state_now(now_s)
        motion, rules = shape(velocity, start, starts, self.rule_limits.command_max_age_s, self.limits, self.bounds)
        self.counts.update(rules)
        if motion is None:
            return Decision(self._at_rest, rules, bool(np.any(velocity)), self._rest(now_s), self._last.begins_s)
        changed = bool(np.abs(motion.cruise - velocity).max(initial=0.0) > CHANGED)
        return Decision(motion.cruise, rules, changed, self._send(motion, now_s), self._last.begins_s)

    def _update(self, **what) -> None:
        self._inputs = self._inputs._replace(**what)

    def _rules(self, now_s: float, moves: bool = False) -> dict[str, str]:
        """Name -> reason of each rule that demands rest now; counts a rule when it starts to."""
        self._last.advance(now_s)
        self._check_following(now_s)
        moving = moves or self.moving(now_s)
        if contact := self._contact:
            moving &= contact.stage != "retreating"  # which is the gate's: no command and no image is behind it
            self._update(wrench_s=contact.measured_s, wrench_changed_s=contact.changed_s, contact=contact.reason)
        self._update(now_s=now_s, moving=moving)
        lacking = self.grippers.missing or self._inputs.gripper
        reasons = applying(self._inputs._replace(gripper=lacking), self.rule_limits)
        self.counts.update(name for name in reasons if name not in self.reasons)
        self.reasons = reasons
        return reasons

    def _measured_then(self, then_s: float, velocity: np.ndarray) -> np.ndarray:
        return self._q + velocity * max(then_s - self._inputs.joints_s, 0.0)

    def _check_following(self, now_s: float) -> None:
        if self._q is None or not self.moving(now_s) or now_s - self._inputs.joints_s > self.rule_limits.joint_max_age_s:
            return
        q, v, _ = self._last.motion.at(self._last.time_s)
        elsewhere = not self._last.slowed and np.any(np.abs(q - self._measured_then(now_s, v)) > self._following_error)
        if elsewhere or self._travel.stands(self._following_error):
            self._update(not_following_until_s=now_s + _NOT_FOLLOWING_HOLD_S)

    def _state_now(self, now_s: float) -> tuple[Start, np.ndarray]:
        """Where a new motion begins; and [S, N], all positions where the robot may be."""
        rest, time_s = self._at_rest, self._last.next_begin(now_s)
        if not self.moving(now_s):
            place = rest if self.bounds is None else self._q  # a base has no joint limits; its path counts from zero
            return Start(time_s, place, rest, rest), place[None]
        q, v, acc = self._last.motion.at(time_s)
        if self.bounds is None:
            return Start(time_s, q, v, acc), q[None]
        measured = self._measured_then(now_s + time_s - self._last.time_s, v)
        forgotten = 1.0 if self._last.slowed else min((time_s - self._last.motion.start_s) / _FORGET_S, 1.0)
        q = q + (measured - q) * forgotten
        return Start(time_s, q, v, acc), np.stack((q, measured))

    def _send(self, motion: Motion, now_s: float) -> Motion:
        self._last.replace(motion, self._last.cycle.next_s(now_s) if self._continues(now_s) else None)
        self._holds_position = False
        return motion

    def _continues(self, now_s: float) -> bool:
        """Whether the robot's controller follows the previous motion, so that the next may continue its path. At rest, or if
        the robot is held back, a motion begins at the measured position: from the commanded one the robot would jump."""
        cycle = self._last.cycle
        if cycle is None or not cycle.known or not self._same_clock or not self.moving(now_s):
            return False
        q, v, _ = self._last.motion.at(self._last.time_s)
        behind = np.abs(q - self._measured_then(now_s, v))
        return bool(np.all(behind <= _LAG + _LAG_S * np.abs(v)))

    def _yield(self, now_s: float) -> Motion | None:
        """The response to rules that demand rest: back off from a contact if no other rule acts, else come to rest."""
        contact = self._contact
        if contact is None or self.reasons.keys() != {"contact"}:
            return self._rest(now_s)
        if not contact.retreats(now_s, not self.moving(now_s), self._q):
            return self._rest(now_s)
        velocity = contact.velocity(now_s, self._q, self.limits.speed)
        if velocity is None:
            return None
        return self._shaped(now_s, velocity).motion if velocity.any() else self._rest(now_s)

    def _rest(self, now_s: float) -> Motion | None:
        """The quickest way to rest; None if the robot is at rest or already on it."""
        if self.reasons.keys() & {"program_stopped", "safety_mode"}:
            return self._hold_position()
        if not self.moving(now_s) or self._last.braking:
            return None
        begin_s = self._last.next_begin(now_s)
        return self._send(stop(begin_s, *self._last.motion.at(begin_s), self.limits), now_s)

    def _hold_position(self) -> Motion | None:
        """Once, when the robot's own safety or its program stops it: a motion that stays at its position.

        It replaces the motion that the program would otherwise resume."""
        last = self._last
        if self._holds_position or last.motion is None:
            return None
        place = last.motion.at(last.time_s)[0] if self._q is None else self._q
        last.replace(stop(last.time_s, place, self._at_rest, self._at_rest, self.limits))
        self._holds_position = True
        return last.motion
