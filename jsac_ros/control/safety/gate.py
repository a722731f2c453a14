"""The gate: what a command becomes before the robot may have it.

Every command becomes one motion that ends at rest (`control.motion`), judged whole before it is sent: from where the
robot is measured to be and from where it was told to be, along the motion and along the brake from any instant of it.
So the braking distance is always there, and a robot that hears nothing more comes to rest inside its limits.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

import numpy as np

from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.control.motion import Limits, Motion, brake_time, stop
from jsac_ros.control.safety.bounds import Bounds, bounds_of
from jsac_ros.control.safety.cycle import ControllerCycle
from jsac_ros.control.safety.rules import Seen, Watched, applying, refused, watched_of
from jsac_ros.control.safety.shape import CHANGED, Start, shape
from jsac_ros.robots.arm import Arm

_NOT_FOLLOWING_HOLD_S = 1.0
# The commanded position drifts to the measured one this slowly: fast enough to forget a lag, slow enough that a
# motion stays smooth.
_FORGET_S = 1.0


class Decision(NamedTuple):
    velocity: np.ndarray  # [N], what the robot was told to work towards
    rules: tuple[str, ...]  # that had a say
    intervened: bool
    motion: Motion | None  # to be sent now; None: what was sent before stays right


class Ways:
    """How far each joint was told to go of late and how far it went; what is longer ago fades.

    The commanded place drifts to the measured one, so an arm that stands while it is told to move slowly, or to and fro,
    is never far from where it was told to be. This is what it is noticed by.
    """

    _FADES_S = 2.0
    _STANDS = 0.1  # went less than this share of the way

    def __init__(self, joints: int):
        self.told, self.went = np.zeros(joints), np.zeros(joints)  # rad

    def passed(self, told: np.ndarray, went: np.ndarray, seconds: float) -> None:
        """In `seconds`; rad [N], not negative."""
        kept = math.exp(-seconds / self._FADES_S)
        self.told, self.went = kept * self.told + told, kept * self.went + went

    def stands(self, far_rad: float) -> bool:
        """Whether a joint that was told to go further than `far_rad` hardly did."""
        return bool(np.any((self.told > far_rad) & (self.went < self._STANDS * self.told)))


class Gate:
    """For one thread at a time. All times are seconds on one steady clock; all arrays [N] in the robot's order."""

    def __init__(
        self,
        bounds: Bounds | None,
        limits: Limits,
        watched: Watched,
        joint_jump_rad: float = np.inf,
        following_rad: float = np.inf,
        cycle: ControllerCycle | None = None,
    ):
        """`cycle` None: the robot is given velocities, which it follows at once."""
        self.bounds, self.limits, self.watched = bounds, limits, watched
        self._cycle = cycle
        self.counts: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}  # of the rules that ask for rest now
        self._joint_jump_rad, self._following_rad = joint_jump_rad, following_rad
        self._n = len(limits.speed)
        self._at_rest = np.zeros(self._n)
        self._seen = Seen(now_s=0.0)
        self._q: np.ndarray | None = None  # as measured
        self._told: np.ndarray | None = None  # where it was told to be then
        self._ways = Ways(self._n)
        self._motion: Motion | None = None  # as sent
        self._motion_s = 0.0  # time on the motion's own clock, which the robot's speed scaling slows
        self._stepped_s: float | None = None
        self._released = False  # the next joint state is believed whatever it says
        self._standing = False  # the robot has stopped by itself and was given nothing to resume

    # -- what is heard -------------------------------------------------------------------------------------------

    def emergency_stop(self, why: str) -> None:
        if not self._seen.stopped:
            self._see(stopped=why)

    def release(self) -> None:
        """By a person, who has looked at the robot: also that it is where its joint states say."""
        self._see(stopped="")
        self._released, self._ways = True, Ways(self._n)

    def program_running(self, running: bool) -> None:
        self._see(program_running=running)

    def safety_mode(self, mode: int) -> None:
        """Of `robots.ur.SAFETY_MODES`."""
        self._see(safety_mode=mode)

    def speed_scaling(self, share: float) -> None:
        self._see(speed_scaling=share if np.isfinite(share) else 0.0)

    def dead_man_held(self, now_s: float, held: bool) -> None:
        self._see(dead_man_s=now_s if held else None)

    def joints(self, q: np.ndarray, measured_s: float) -> None:
        """A joint state: rad [N], and when it was true."""
        if not np.isfinite(q).all():
            self.counts["joints_not_finite"] += 1
            return
        before_s = self._seen.joints_s
        if before_s is not None and not self._released:
            if measured_s < before_s:  # out of order
                return
            told = np.zeros(self._n) if self._told is None else np.abs(self._told_now(measured_s) - self._told)
            if np.any(np.abs(q - self._q) > self._joint_jump_rad + told):
                self._see(jumped=True)
                return
            self._ways.passed(told, np.abs(q - self._q), measured_s - before_s)
        self._q, self._released = q, False
        self._told = self._told_now(measured_s)
        self._see(joints_s=measured_s, jumped=False)
        if self._cycle:
            self._cycle.heard(measured_s)

    # -- what is decided -----------------------------------------------------------------------------------------

    def command(
        self, now_s: float, velocity: np.ndarray, sent_s: float | None = None, observed_s: float | None = None
    ) -> Decision:
        """A command, as it comes in. `sent_s`: when it was sent (None: now); `observed_s`: when the image behind it
        was taken, if there was one."""
        self._see(command_s=now_s if sent_s is None else sent_s, observed_s=observed_s)
        refusal = refused(velocity, self._n)
        resting = self._rules(now_s, moves=bool(np.any(velocity)))
        if refusal:
            self.counts[refusal] += 1
        if refusal or resting:
            rules = (*resting, refusal) if refusal else tuple(resting)
            return Decision(self._at_rest, rules, bool(refusal) or bool(np.any(velocity)), self._rest(now_s))
        start, starts = self._state_now(now_s)
        motion, rules = shape(np.asarray(velocity, np.float64), start, starts, self.watched.command_max_age_s, self.limits, self.bounds)
        self.counts.update(rules)
        sent = None if motion is None else self._send(motion)
        told = self._at_rest if motion is None else motion.cruise
        return Decision(told, rules, bool(np.abs(told - velocity).max(initial=0.0) > CHANGED), sent)

    def wait_s(self, now_s: float) -> float:
        """How long a decision had better wait, so that it is known when the robot's controller begins what is sent."""
        return self._cycle.wait_s(now_s) if self._cycle else 0.0

    def watch(self, now_s: float) -> Decision:
        """Without a command: whether a rule asks for rest now."""
        resting = self._rules(now_s)
        motion = self._rest(now_s) if resting else None
        return Decision(self.velocity(now_s), tuple(resting), motion is not None, motion)

    def velocity(self, now_s: float) -> np.ndarray:
        """[N]: what the last motion asks for at `now_s`, for interfaces that take velocities."""
        return self._at_rest if self._motion is None else self._motion.at(self._motion_time(now_s))[1]

    def moving(self, now_s: float) -> bool:
        return self._motion is not None and self._motion_time(now_s) < self._motion.start_s + self._motion.duration_s

    @property
    def rest_s(self) -> float:
        """Seconds from the last command, at full speed, to rest: without anybody's help, as long as it takes."""
        full = self.limits.speed
        return self.watched.command_max_age_s + float(brake_time(full, np.zeros_like(full), self.limits))

    @property
    def stopped(self) -> str:
        """Why the emergency stop is latched; "" when it is not."""
        return self._seen.stopped

    def state(self, now_s: float) -> tuple[str, str]:
        """For SafetyStatus: one of waiting, ready, moving, holding, stopped; and the reason."""
        reasons = "; ".join(self.reasons.values())
        if self._seen.stopped:
            return "stopped", reasons
        if np.isfinite(self.watched.joint_max_age_s) and self._seen.joints_s is None:
            return "waiting", reasons
        if self.reasons.keys() - {"stale_command"}:  # that one is the actor's silence, not something in its way
            return "holding", reasons
        if self.moving(now_s):
            return "moving", reasons
        return "ready", "" if self._seen.command_s is not None else "no command yet"

    # -- how -----------------------------------------------------------------------------------------------------

    def _told_now(self, now_s: float) -> np.ndarray | None:
        """[N]: where the robot was told to be at `now_s`; None before the first motion."""
        return None if self._motion is None else self._motion.at(self._motion_time(now_s))[0]

    def _see(self, **what) -> None:
        self._seen = self._seen._replace(**what)

    def _motion_time(self, now_s: float) -> float:
        """Where the robot is on the motion's clock. The trajectory controller slows it with the robot's speed; a
        velocity is followed as it is, and a clock that stood still would repeat it for ever."""
        scales = self._cycle is not None and self._seen.speed_scaling is not None
        scaling = min(max(self._seen.speed_scaling, 0.0), 1.0) if scales else 1.0
        passed = 0.0 if self._stepped_s is None else max(now_s - self._stepped_s, 0.0)
        return self._motion_s + passed * scaling

    def _begin(self, now_s: float) -> float:
        """Where the motion's clock will be when the robot begins what is sent now."""
        return self._motion_time(self._cycle.next_s(now_s) if self._cycle else now_s)

    def _advance(self, now_s: float) -> None:
        self._motion_s = self._motion_time(now_s)
        self._stepped_s = now_s

    def _rules(self, now_s: float, moves: bool = False) -> dict[str, str]:
        """Name -> reason of what asks for rest now; counts each rule when it begins to."""
        self._advance(now_s)
        self._check_following(now_s)
        self._see(now_s=now_s, moving=moves or self.moving(now_s))
        reasons = applying(self._seen, self.watched)
        self.counts.update(name for name in reasons if name not in self.reasons)
        self.reasons = reasons
        return reasons

    def _measured_then(self, then_s: float, velocity: np.ndarray) -> np.ndarray:
        return self._q + velocity * max(then_s - self._seen.joints_s, 0.0)

    def _check_following(self, now_s: float) -> None:
        if self._q is None or not self.moving(now_s) or now_s - self._seen.joints_s > self.watched.joint_max_age_s:
            return
        q, v, _ = self._motion.at(self._motion_s)
        elsewhere = np.abs(q - self._measured_then(now_s, v)) > self._following_rad
        if np.any(elsewhere) or self._ways.stands(self._following_rad):
            self._see(not_following_until_s=now_s + _NOT_FOLLOWING_HOLD_S)

    def _state_now(self, now_s: float) -> tuple[Start, np.ndarray]:
        """Where a new motion begins; and [S, N], all the places where the robot may be."""
        rest, time_s = self._at_rest, self._begin(now_s)
        if not self.moving(now_s):
            place = rest if self.bounds is None else self._q  # a base has no joints; its way counts from nothing
            return Start(time_s, place, rest, rest), place[None]
        q, v, acc = self._motion.at(time_s)
        if self.bounds is None:
            return Start(time_s, q, v, acc), q[None]
        measured = self._measured_then(now_s + time_s - self._motion_s, v)
        q = q + (measured - q) * min((time_s - self._motion.start_s) / _FORGET_S, 1.0)
        return Start(time_s, q, v, acc), np.stack((q, measured))

    def _send(self, motion: Motion) -> Motion:
        self._motion, self._standing = motion, False
        return motion

    def _rest(self, now_s: float) -> Motion | None:
        """The quickest way to rest; None where the robot is at rest or already on it."""
        if self.reasons.keys() & {"program_stopped", "safety_mode"}:
            return self._stand()
        if not self.moving(now_s):
            return None
        if self._motion_s - self._motion.start_s >= sum(s.duration_s for s in self._motion.segments[:-1]):
            return None
        begin_s = self._begin(now_s)
        return self._send(stop(begin_s, *self._motion.at(begin_s), self.limits))

    def _stand(self) -> Motion | None:
        """Once, when the robot's own safety or its program stops it: a motion that stays where the robot is, in the place of the one that
        the program would otherwise resume."""
        if self._standing or self._motion is None:
            return None
        place = self._motion.at(self._motion_s)[0] if self._q is None else self._q
        motion = self._send(stop(self._motion_s, place, self._at_rest, self._at_rest, self.limits))
        self._standing = True
        return motion


def gate_of(config: SystemConfig, arm: Arm) -> Gate:
    """The gate of a configured system. Raises ConfigError where its limits cannot be kept or exclude the start pose."""
    safety, n = config.safety, len(arm)
    watched = watched_of(config)
    if watched.command_max_age_s <= config.task.control_period_s:
        raise ConfigError(
            f"safety.command_max_age_s is {safety.command_max_age_s:g}; "
            f"expected more than task.control_period_s = {config.task.control_period_s:g}"
        )
    if config.robot.interface == "twist":
        if n != 2:
            raise ConfigError(f"robot.interface is 'twist'; robot model {arm.model!r} has {n} joints, a base has none")
        speed = np.array((safety.max_base_speed_m_s, safety.max_base_turn_rad_s))
        acceleration = np.array((safety.max_base_acceleration_m_s2, safety.max_base_turn_acceleration_rad_s2))
        return Gate(None, Limits(speed, acceleration), watched)
    bounds = bounds_of(safety, arm)
    home = np.array(config.task.home)
    if len(home) != n:
        raise ConfigError(f"task.home has {len(home)} values; {arm.model} has {n} joints")
    if why := bounds.outside(home):
        raise ConfigError(f"task.home: {why}")
    limits = Limits(
        speed=np.minimum(arm.max_velocity, safety.max_joint_speed_rad_s),
        acceleration=np.full(n, safety.max_joint_acceleration_rad_s2),
        jerk=safety.max_joint_jerk_rad_s3,
    )
    cycle = ControllerCycle() if config.robot.interface == "trajectory" else None
    return Gate(bounds, limits, watched, safety.joint_jump_rad, safety.following_error_rad, cycle)
