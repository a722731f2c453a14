"""A leader arm that a person moves by hand: converts its joint angles to actions of the arm that follows.

The robot does not jump at a takeover. With `follow: relative` (the default) it repeats the leader's motion from then on, so the
two arms may have different poses. With `follow: absolute` it copies the leader's pose, and does not move until the two agree to
within `tolerance_rad` (prismatic joints: `tolerance_m`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from jsac_ros.config import Between, ConfigError, NonNegative, Section
from jsac_ros.control.actions import ActionPart
from jsac_ros.control.takeover import Buttons, Said, Takeover, Use
from jsac_ros.rig import Rig
from jsac_ros.robots.limits import of_kind
from jsac_ros.robots.rotations import rotation_vector
from jsac_ros.types import Action, Sensed

_MOVED = (0.01, 0.002)  # rad, m: a larger change is a motion, not encoder noise
_GRIP_MOVED = 0.1  # share of the trigger's range: after a larger change since the takeover it moves the gripper


class LeaderJoint(Section):
    """robot's joint = scale * leader's joint + offset."""

    joint: str  # its name in the leader's joint states
    scale: Between(-10.0, 10.0) = 1.0  # -1: opposite direction
    offset: Between(-100.0, 100.0) = 0.0  # rad (m if prismatic); only with follow: absolute


class LeaderGripper(Section):
    """The joint of the leader that controls the gripper."""

    joint: str
    open: Between(-100.0, 100.0) = 0.0  # value of the joint, rad or m
    closed: Between(-100.0, 100.0) = 1.0

    @model_validator(mode="after")
    def _check(self):
        if self.open == self.closed:
            raise ValueError(f"open and closed are both {self.open}; expected different values")
        return self


class LeaderMapping(Section):
    source: Literal["leader"]
    topic: str = "leader/joint_states"  # sensor_msgs/JointState
    joints: Annotated[dict[str, LeaderJoint], Field(min_length=1)]  # by the robot's joint names; joints left out rest
    gripper: LeaderGripper | None = None
    follow: Literal["relative", "absolute"] = "relative"
    tolerance_rad: Between(0.001, 1.0) = (
        0.1  # absolute: largest difference of a revolute joint at which the robot starts to move
    )
    tolerance_m: Between(0.001, 0.5) = 0.02  # the same for prismatic joints
    gain_1_s: Between(0.1, 20.0) = 5.0  # speed per rad (m) of difference
    # A larger difference is dropped (relative), or the robot rests until both agree again (absolute)
    lead_rad: Between(0.01, 1.0) = 0.3
    lead_m: Between(0.002, 0.5) = 0.05  # for prismatic joints
    buttons_topic: str = ""  # sensor_msgs/Joy with the buttons: a pedal, a gamepad; empty: none
    # As for a gamepad. Without enable and take_over, moving the leader takes over and leaving it at rest hands back
    buttons: dict[Use, Annotated[int, Field(ge=0, le=255)]] = {}
    hand_back_s: NonNegative = 0.5
    silent_s: Between(0.02, 2.0) = 0.25

    @model_validator(mode="after")
    def _check(self):
        if bool(self.buttons) != bool(self.buttons_topic):
            raise ValueError(
                f"buttons_topic is {self.buttons_topic!r} and buttons holds {len(self.buttons)}; expected both or none"
            )
        return self


class LeaderReading(NamedTuple):
    """The inputs when a message of the leader arrives."""

    positions: Mapping[str, float]  # joint of the leader -> rad (m if prismatic)
    buttons: Buttons  # that are held
    follower: np.ndarray | None  # [N] joint positions of the robot; None: unknown or too old


class Leader:
    """The state of one leader. Not thread-safe."""

    def __init__(self, mapping: LeaderMapping, rig: Rig):
        """Raises ConfigError if an arm cannot lead this action."""
        robot, self._mapping = rig.robot, mapping
        if robot.is_base:
            raise ConfigError(f"person.mapping: source is 'leader'; {robot.model} is a mobile base; expected an arm")
        self._robot, self._parts = robot, rig.actions.parts
        self._joints = robot.index(tuple(mapping.joints), "person.mapping: joints")
        self._led = list(mapping.joints.values())
        each = lambda turning, sliding: of_kind(robot, turning, sliding)[self._joints]
        self._tolerance = each(mapping.tolerance_rad, mapping.tolerance_m)
        self._lead, self._noise = each(mapping.lead_rad, mapping.lead_m), each(*_MOVED)
        for name, parameters in rig.config.actions:
            if getattr(parameters, "frame", "") == "start":
                raise ConfigError(f"actions.{name}.frame is 'start', which is unknown to a leader; expected 'base' or 'tool'")
        self._by_tool = {part.space.name for part in rig.actions.moving if _moves_tool(part)}
        for part in rig.actions.moving:
            if part.space.choices:
                raise ConfigError(f"person.by is 'device'; actions.{part.space.name} chooses from a table; expected velocities")
        self._takeover = Takeover(mapping.buttons, mapping.hand_back_s, mapping.silent_s)
        self._rested: np.ndarray = np.full(len(self._led), np.nan)  # the leader's joints at its last motion
        self._before: tuple[np.ndarray, np.ndarray] | None = None  # leader and robot at the previous message
        self._anchor: np.ndarray | None = None  # added to the leader's angles; None: nothing moves
        self._trigger: float | None = None  # at the takeover
        self.problem = ""  # why the robot does not follow although the person has taken over

    def hear(self, reading: LeaderReading, now_s: float) -> Said:
        """Raises ValueError if the leader lacks a joint of the mapping, or one is not finite."""
        theirs = np.array([led.scale * _finite(reading.positions, led.joint) + led.offset for led in self._led])
        begins = self._takeover.hear(reading.buttons, now_s)
        if begins:
            self._rested, self._anchor = theirs, None
        moves = bool(np.any(np.abs(theirs - self._rested) > self._noise))
        if moves:
            self._rested = theirs
        may_move = self._takeover.decide(moves, now_s)
        action: Action = {}
        if self._takeover.taken:
            action = self._following(theirs, reading.follower if may_move else None, now_s) | self._gripper(reading)
        else:
            self._anchor = self._trigger = None
        if not may_move:
            self.problem = ""
        elif reading.follower is None:
            self.problem = "no joint states of the robot"
        return Said(self._takeover.taken, action, self._takeover.verbs())

    def _following(self, theirs: np.ndarray, follower: np.ndarray | None, now_s: float) -> Action:
        """The action of the parts that move. follower: None if nothing may move."""
        difference = None if follower is None else self._difference(theirs, follower[self._joints])
        if difference is None:
            self._anchor = None
            return {part.space.name: np.zeros(part.space.size, np.float32) for part in self._parts.values() if not part.device}
        target = follower.copy()
        target[self._joints] += difference
        return {
            name: self._to_tool(part, target, follower)
            if name in self._by_tool
            else self._to_joints(part, target, follower, now_s)
            for name, part in self._parts.items()
            if not part.device
        }

    def _difference(self, theirs: np.ndarray, ours: np.ndarray) -> np.ndarray | None:
        """[n] rad (m) from the robot's joints to their targets; None: leader and robot have to agree first."""
        lead, before, self._before = self._lead, self._before, (theirs, ours)
        if self._mapping.follow == "absolute":
            away = np.abs(theirs - ours)
            most = self._tolerance if self._anchor is None else lead
            self.problem = self._apart(away, most) if (away > most).any() else ""
            if self.problem:
                return None
            self._anchor = np.zeros(len(ours))
            return theirs - ours
        self.problem = ""
        if self._anchor is None or before is None:
            self._anchor = ours - theirs
        else:  # motion of the robot for another reason (the way home, a push) is not undone, and little is caught up
            led, was = before
            open_before = led + self._anchor - was
            still_open = np.clip(led + self._anchor - ours, np.minimum(open_before, 0.0), np.maximum(open_before, 0.0))
            self._anchor = np.clip(still_open + theirs - led, -lead, lead) + ours - theirs
        return theirs + self._anchor - ours

    def _apart(self, away: np.ndarray, most: np.ndarray) -> str:
        worst = int(np.argmax(away / most))
        joint = self._joints[worst]
        name, unit = self._robot.names[joint], self._robot.units[joint]
        apart = f"leader and robot are {away[worst]:.2f} {unit} apart at {name}"
        return f"{apart}; expected at most {most[worst]:g}: bring them together"

    def _to_joints(self, part: ActionPart, target: np.ndarray, follower: np.ndarray, now_s: float) -> np.ndarray:
        """Slows all joints by the same factor if one would be too fast, so that the path is the leader's."""
        velocity = self._mapping.gain_1_s * (target - follower)
        speeds = np.abs(velocity[part.joints]) / part.joint_speed
        velocity /= max(1.0, float(speeds.max(initial=0.0)))
        still, unknown = np.zeros(len(follower)), np.full(len(follower), np.nan)
        return part.action(velocity, Sensed(now_s, {}, follower, still, unknown, {}))

    def _to_tool(self, part: ActionPart, target: np.ndarray, follower: np.ndarray) -> np.ndarray:
        """The motion from the tool's pose to the pose that the leader demands."""
        place, rotation = self._robot.forward(follower, "base_link")
        aim, turned = self._robot.forward(target, "base_link")
        away = np.concatenate((aim - place, rotation_vector(turned @ rotation.T)))
        return part.of_tool(self._mapping.gain_1_s * away, rotation)

    def _gripper(self, reading: LeaderReading) -> Action:
        """The gripper's action: from buttons, or from the trigger once it has been moved."""
        devices = [part for part in self._parts.values() if part.device]
        action = {name: values for part in devices for name, values in self._takeover.gripped(part).items()}
        led = self._mapping.gripper
        if led is None:
            return action
        way = (_finite(reading.positions, led.joint) - led.closed) / (led.open - led.closed)  # 1 open, 0 closed
        if self._trigger is None:
            self._trigger = way
        if abs(way - self._trigger) > _GRIP_MOVED:
            self._trigger = np.inf  # it is in use
        if self._trigger == np.inf:
            value = np.float32(np.clip(2.0 * way - 1.0, -1.0, 1.0))
            action |= {part.space.name: np.full(part.space.size, value, np.float32) for part in devices}
        return action


def _moves_tool(part: ActionPart) -> bool:
    try:
        part.of_tool(np.zeros(6), np.eye(3))
    except ValueError:
        return False
    return True


def _finite(positions: Mapping[str, float], joint: str) -> float:
    value = positions.get(joint)
    if value is None:
        raise ValueError(f"the leader has joints {', '.join(positions) or 'none'}; expected {joint} among them")
    if not np.isfinite(value):
        raise ValueError(f"joint {joint} of the leader is {value}; expected a finite number")
    return float(value)
