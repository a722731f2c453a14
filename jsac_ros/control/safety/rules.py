"""When the robot must be at rest: each rule a small function with its reason.

A rule takes the state at one instant and returns one line for the operator, or None. Every rule that
returns a reason is named in AppliedAction and SafetyStatus and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jsac_ros.config import SystemConfig
from jsac_ros.robots.ur import FULL_SPEED_PERCENT, MOVING_MODES, SAFETY_MODES

# Names of the rules that shape a command instead of refusing it.
SHAPING = ("speed", "acceleration", "jerk", "joint_limit", "box")
# Names of the rules that drop one message.
REFUSING = ("wrong_length", "not_finite", "wrong_stamp", "wrong_output", "joints_not_finite", "wrench_refused")
# Names of the rules that latch the emergency stop, as a person does.
LATCHING = ("second_source",)


class GateInputs(NamedTuple):
    """The state of the gate at one instant. Times are seconds on the steady clock; None: never."""

    now_s: float
    stopped: str = ""  # why the emergency stop is latched; "": it is not
    joints_s: float | None = None  # when the newest valid joint state was measured
    command_s: float | None = None  # when the newest command arrived
    observed_s: float | None = None  # when the image behind it was taken; None: it is not based on an image
    moving: bool = False  # the last command has not come to rest yet, or a new one would move the robot
    jumped: bool = False  # the newest joint state is not accepted
    not_following_until_s: float = 0.0
    program_running: bool | None = None
    safety_mode: int | None = None  # of SAFETY_MODES
    speed_scaling: float | None = None  # percent, as published
    dead_man_s: float | None = None  # when a person last held it
    wrench_s: float | None = None  # when the newest wrench was measured
    wrench_changed_s: float | None = None  # when its reading last changed
    gripper: str = ""  # why a gripper cannot be commanded; "": it can
    contact: str = ""  # the force of the tool and the response to it; "": none


class RuleLimits(NamedTuple):
    """The parameters of the rules: limits in s, and which sources exist."""

    joint_max_age_s: float  # inf: the robot has no joint states
    command_max_age_s: float
    image_max_age_s: float  # inf: not decided on images
    dead_man_max_age_s: float  # inf: there is no dead man's switch
    program_running: str  # topic on which the robot publishes whether its program runs; "": none
    speed_scaling: bool
    wrench_max_age_s: float = np.inf  # inf: there is none to judge
    wrench_frozen_max_age_s: float = np.inf


class Rule(NamedTuple):
    name: str
    applies: Callable[[GateInputs, RuleLimits], str | None]


def emergency_stop(inputs: GateInputs, _: RuleLimits) -> str | None:
    """Latched: the reason why a person stopped the robot does not go away by itself."""
    return f"emergency stop: {inputs.stopped}" if inputs.stopped else None


def stale_joints(inputs: GateInputs, rule_limits: RuleLimits) -> str | None:
    """Limits are judged from the robot's position; if it is unknown, no motion can be judged."""
    if np.isinf(rule_limits.joint_max_age_s):
        return None
    if inputs.joints_s is None:
        return "no joint states yet"
    return _old("joint states", inputs.now_s - inputs.joints_s, rule_limits.joint_max_age_s)


def joint_jump(inputs: GateInputs, _: RuleLimits) -> str | None:
    """A joint cannot jump: an encoder, the driver or the name mapping is wrong. A trajectory that started there would
    pull the arm along, so the position is not accepted until it is back, or until a person releases the robot."""
    return "joint states jumped; not accepted until they are back or a person releases" if inputs.jumped else None


def not_following(inputs: GateInputs, _: RuleLimits) -> str | None:
    """A robot that is not at its commanded position is blocked, stopped by its own safety, or driven by another program."""
    return "the robot is not where it was commanded" if inputs.now_s < inputs.not_following_until_s else None


def program_stopped(inputs: GateInputs, rule_limits: RuleLimits) -> str | None:
    """After a protective stop the program resumes the old motion, so there must be none by then."""
    topic = rule_limits.program_running
    if not topic or inputs.program_running:
        return None
    if inputs.program_running is None:
        return (
            f"no message on {topic} that the robot's program runs; start it on the pendant; "
            "a robot without one (mock hardware) needs robot.program_running_topic=''"
        )
    return "robot program is not running"


def safety_mode(inputs: GateInputs, _: RuleLimits) -> str | None:
    """The robot's own safety has stopped it until a person intervenes; no motion may be resumed then."""
    mode = inputs.safety_mode
    if mode is None or mode in MOVING_MODES:
        return None
    return f"the robot's safety mode is {SAFETY_MODES.get(mode, mode)}"


def speed_scaled_to_zero(inputs: GateInputs, rule_limits: RuleLimits) -> str | None:
    """The robot is at rest whatever is commanded, and a delayed command would be executed late. With any other
    value it is unknown how far the robot moves."""
    percent = inputs.speed_scaling
    if not rule_limits.speed_scaling or percent is None:
        return None
    if not usable(percent):
        return f"speed scaling is {percent:g}; expected 0 to {FULL_SPEED_PERCENT:g} percent"
    return None if percent > 0.1 else "speed scaling is 0 %"


def usable(percent: float) -> bool:
    """Whether this is a valid speed scaling, within rounding."""
    return 0.0 <= percent <= 1.01 * FULL_SPEED_PERCENT


def dead_man(inputs: GateInputs, rule_limits: RuleLimits) -> str | None:
    """The person who watches the robot released the switch, or its connection is lost."""
    if np.isinf(rule_limits.dead_man_max_age_s):
        return None
    if inputs.dead_man_s is None or inputs.now_s - inputs.dead_man_s > rule_limits.dead_man_max_age_s:
        return "dead man's switch is not held"
    return None


def stale_wrench(inputs: GateInputs, rule_limits: RuleLimits) -> str | None:
    """The force of the tool is unknown."""
    if np.isinf(rule_limits.wrench_max_age_s):
        return None
    if inputs.wrench_s is None:
        return "no wrench yet"
    age_s = inputs.now_s - inputs.wrench_s
    limit_s = rule_limits.wrench_max_age_s
    return f"wrench {age_s:.3g} s old; expected at most {limit_s:g} s" if age_s > limit_s else None


def frozen_wrench(inputs: GateInputs, rule_limits: RuleLimits) -> str | None:
    """A working sensor has noise: exactly the same numbers again and again mean that its driver has lost it."""
    limit_s = rule_limits.wrench_frozen_max_age_s
    if inputs.wrench_s is None or np.isinf(limit_s):
        return None
    if inputs.wrench_changed_s is None:
        return "wrench has read the same numbers since the first; expected a sensor's noise"
    shown_s = inputs.wrench_s - inputs.wrench_changed_s
    return (
        f"wrench has read the same numbers for {shown_s:.3g} s; expected at most {limit_s:g} s" if shown_s > limit_s else None
    )


def contact(inputs: GateInputs, _: RuleLimits) -> str | None:
    """The tool presses too hard: braking alone would leave it pressing, so the robot also backs off."""
    return inputs.contact or None


def gripper_missing(inputs: GateInputs, _: RuleLimits) -> str | None:
    """Without a working gripper the skill would continue with an empty hand, or with the object that it already holds."""
    return inputs.gripper or None


def stale_command(inputs: GateInputs, rule_limits: RuleLimits) -> str | None:
    """The commanding process has died or fallen behind, and its last command no longer applies."""
    if inputs.command_s is None or not inputs.moving:
        return None
    return _old("command", inputs.now_s - inputs.command_s, rule_limits.command_max_age_s)


def stale_image(inputs: GateInputs, rule_limits: RuleLimits) -> str | None:
    """A policy with an old image acts on a past state of the world (the actor holds too; this rule does not rely on it)."""
    if inputs.observed_s is None or not inputs.moving:
        return None
    return _old("image behind the command", inputs.now_s - inputs.observed_s, rule_limits.image_max_age_s)


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
        stale_wrench,
        frozen_wrench,
        contact,
        gripper_missing,
        stale_command,
        stale_image,
    )
)
NAMES = tuple(rule.name for rule in RULES) + LATCHING + REFUSING + SHAPING


def applying(inputs: GateInputs, rule_limits: RuleLimits) -> dict[str, str]:
    """Name -> reason of every rule that demands rest, most important first; empty if the robot may move."""
    return {rule.name: reason for rule in RULES if (reason := rule.applies(inputs, rule_limits))}


def refused(velocity: np.ndarray | None, joints: int) -> str | None:
    """Name of the rule that refuses a command as such: its time of sending is unknown (None), its length is wrong, or a
    value is not finite."""
    if velocity is None:
        return "wrong_stamp"
    if np.shape(velocity) != (joints,):
        return "wrong_length"
    return None if np.isfinite(velocity).all() else "not_finite"


def rule_limits_of(config: SystemConfig) -> RuleLimits:
    safety, base = config.safety, config.robot.interface == "twist"
    limits_wrench = bool(safety.max_force_n or safety.max_torque_nm)
    oldest_image_s = max((camera.max_age_s for camera in config.cameras.values()), default=np.inf)
    return RuleLimits(
        joint_max_age_s=np.inf if base else safety.joint_max_age_s,
        command_max_age_s=safety.command_max_age_s,
        # The actor refuses an older image at its tick, and its decision there is valid for one command more.
        image_max_age_s=oldest_image_s + safety.command_max_age_s,
        dead_man_max_age_s=safety.dead_man_max_age_s if safety.dead_man_topic else np.inf,
        program_running=config.robot.program_running_topic,
        speed_scaling=bool(config.robot.speed_scaling_topic),
        wrench_max_age_s=config.sensors[safety.wrench].max_age_s if limits_wrench else np.inf,
        wrench_frozen_max_age_s=(limits_wrench and safety.wrench_frozen_max_age_s) or np.inf,
    )
