"""When the robot must be at rest: each rule a small function with its reason.

A rule looks at what is known at one instant and answers with one line for the operator, or None. Every rule that
answers is named in AppliedAction and SafetyStatus and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jsac_ros.config import SystemConfig
from jsac_ros.robots.ur import MOVING_MODES, SAFETY_MODES

# Names of what shapes a command instead of refusing it.
SHAPING = ("speed", "acceleration", "jerk", "joint_limit", "box")
# Names of what drops one message.
REFUSING = ("wrong_length", "not_finite", "joints_not_finite")


class Seen(NamedTuple):
    """What the gate knows at one instant. Times are seconds on the steady clock; None: never."""

    now_s: float
    stopped: str = ""  # why the emergency stop is latched; "": it is not
    joints_s: float | None = None  # when the newest believable joint state was measured
    command_s: float | None = None  # when the newest command came in
    observed_s: float | None = None  # when the image behind it was taken; None: it was not decided on one
    moving: bool = False  # the last command has not come to rest yet, or a new one would move the robot
    jumped: bool = False  # the newest joint state is not believed
    not_following_until_s: float = 0.0
    program_running: bool | None = None
    safety_mode: int | None = None  # of SAFETY_MODES
    speed_scaling: float | None = None
    dead_man_s: float | None = None  # when a person last held it


class Watched(NamedTuple):
    """What a rule judges by: limits in s, and which sources exist."""

    joint_max_age_s: float  # inf: the robot has no joint states
    command_max_age_s: float
    image_max_age_s: float  # inf: not decided on images
    dead_man_max_age_s: float  # inf: nobody holds a dead man's switch
    program_running: bool  # the robot says whether its program runs
    speed_scaling: bool


class Rule(NamedTuple):
    name: str
    applies: Callable[[Seen, Watched], str | None]


def emergency_stop(seen: Seen, _: Watched) -> str | None:
    """Latched: what made a person stop the robot does not go away by itself."""
    return f"emergency stop: {seen.stopped}" if seen.stopped else None


def stale_joints(seen: Seen, watched: Watched) -> str | None:
    """Limits are judged from where the robot is; without knowing that, no motion can be judged."""
    if np.isinf(watched.joint_max_age_s):
        return None
    if seen.joints_s is None:
        return "no joint states yet"
    return _old("joint states", seen.now_s - seen.joints_s, watched.joint_max_age_s)


def joint_jump(seen: Seen, _: Watched) -> str | None:
    """A joint cannot jump: an encoder, the driver or the name mapping is wrong. A trajectory that began there would
    pull the arm along, so it is not believed until it is back, or until a person releases it."""
    return "joint states jumped; not believed until they are back or a person releases" if seen.jumped else None


def not_following(seen: Seen, _: Watched) -> str | None:
    """A robot that is not where it was told to be is blocked, stopped by its own safety, or driven by another."""
    return "the robot is not where it was commanded" if seen.now_s < seen.not_following_until_s else None


def program_stopped(seen: Seen, watched: Watched) -> str | None:
    """After a protective stop the program resumes the old motion: there must be none by then."""
    if not watched.program_running or seen.program_running:
        return None
    return "robot program: nothing heard yet" if seen.program_running is None else "robot program is not running"


def safety_mode(seen: Seen, _: Watched) -> str | None:
    """The robot's own safety has stopped it, and a person will end that: nothing may be resumed then."""
    mode = seen.safety_mode
    if mode is None or mode in MOVING_MODES:
        return None
    return f"the robot's safety mode is {SAFETY_MODES.get(mode, mode)}"


def speed_scaled_to_zero(seen: Seen, watched: Watched) -> str | None:
    """The robot stands whatever is commanded; a command held back would be executed late."""
    if not watched.speed_scaling or seen.speed_scaling is None or seen.speed_scaling > 0.001:
        return None
    return "speed scaling is 0"


def dead_man(seen: Seen, watched: Watched) -> str | None:
    """The person who watches the robot let go of the switch, or the switch's own connection is lost."""
    if np.isinf(watched.dead_man_max_age_s):
        return None
    if seen.dead_man_s is None or seen.now_s - seen.dead_man_s > watched.dead_man_max_age_s:
        return "dead man's switch is not held"
    return None


def stale_command(seen: Seen, watched: Watched) -> str | None:
    """Whoever commands has died or fallen behind, and what it last wanted says nothing about now."""
    if seen.command_s is None or not seen.moving:
        return None
    return _old("command", seen.now_s - seen.command_s, watched.command_max_age_s)


def stale_image(seen: Seen, watched: Watched) -> str | None:
    """A policy that sees the past acts on a world that is gone (the actor holds too; this does not rely on it)."""
    if seen.observed_s is None or not seen.moving:
        return None
    return _old("image behind the command", seen.now_s - seen.observed_s, watched.image_max_age_s)


def _old(what: str, age_s: float, limit_s: float) -> str | None:
    return f"{what} {age_s:.3f} s old, limit {limit_s:g} s" if age_s > limit_s else None


RULES = tuple(
    Rule(function.__name__, function)
    for function in (
        emergency_stop,
        stale_joints,
        joint_jump,
        not_following,
        program_stopped,
        safety_mode,
        speed_scaled_to_zero,
        dead_man,
        stale_command,
        stale_image,
    )
)
NAMES = tuple(rule.name for rule in RULES) + REFUSING + SHAPING


def applying(seen: Seen, watched: Watched) -> dict[str, str]:
    """Name -> reason of every rule that asks for rest, most important first; empty when the robot may move."""
    return {rule.name: reason for rule in RULES if (reason := rule.applies(seen, watched))}


def refused(velocity: np.ndarray, joints: int) -> str | None:
    """Name of the rule that refuses a command as such: it has another length, or a value that is not finite."""
    if np.shape(velocity) != (joints,):
        return "wrong_length"
    return None if np.isfinite(velocity).all() else "not_finite"


def watched_of(config: SystemConfig) -> Watched:
    safety, base = config.safety, config.robot.interface == "twist"
    sees = config.camera.height > 0 and config.task.observe != "proprioception"
    return Watched(
        joint_max_age_s=np.inf if base else safety.joint_max_age_s,
        command_max_age_s=safety.command_max_age_s,
        # The actor refuses an older image at its tick, and what it decides there is valid for one command more.
        image_max_age_s=config.camera.max_age_s + safety.command_max_age_s if sees else np.inf,
        dead_man_max_age_s=safety.dead_man_max_age_s if safety.dead_man_topic else np.inf,
        program_running=bool(config.robot.program_running_topic),
        speed_scaling=bool(config.robot.speed_scaling_topic),
    )
