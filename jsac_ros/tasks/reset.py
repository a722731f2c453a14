"""The parts of a reset: the way home, waypoints, a rest, a person, a service; in sequence or in parallel.

A part returns a command at every tick until it returns None. Meanwhile it may request a service call, which the actor
makes and answers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from jsac_ros.config import Between, Floats, OptionalTopic, Section
from jsac_ros.robots.inverse import inverse
from jsac_ros.robots.limits import joint_limits, of_kind
from jsac_ros.robots.rotations import turn
from jsac_ros.tasks.home import PEAK_SPEED, HomeMove, plan_home
from jsac_ros.types import Command, Sensed

if TYPE_CHECKING:
    from jsac_ros.rig import Rig

_GAIN = 4.0  # 1/s; well below the inverse of the total delay of tick, safety and robot
_LEAD_S = 0.04  # about that delay: when a command takes effect
# Of a revolute joint in rad, of a prismatic one in m
_HELD_UP = (0.15, 0.05)  # deviation at which the move home starts again from where the arm is
# Under a jerk limit the gate ends each command without acceleration, so this share of jerk times command_max_age_s is
# the largest acceleration that successive commands can sustain.
_ACCELERATION_OF_JERK = 0.25
_HOME_TOLERANCE = (0.01, 0.003)
_REST_TOLERANCE = (0.02, 0.005)  # per s
_RETRACT_S = 0.5  # at least
_TRIES = 10  # of a random pose
_OPEN_SHARE = 0.9  # of a gripper's stroke
_ASK_AGAIN_S = 1.0  # before calling again a service that did not succeed


class ResetPart(ABC):
    """One part of a reset; used once."""

    reason = ""  # what it is doing, or what a person has to do
    asks = ""  # what a person has to do and confirm with `continue`; '' if it waits for no person

    def begin(self, sensed: Sensed) -> None:
        """Called once, before the first `step`."""

    @abstractmethod
    def step(self, sensed: Sensed) -> Command | None:
        """The command until the next tick; None when this part is complete."""

    @property
    def service(self) -> str:
        """Name of a std_srvs/Trigger service to call now; '' for none. Called again until `answered`."""
        return ""

    def answered(self, success: bool, message: str) -> None:
        """Takes the answer of the service."""


class Then(ResetPart):
    """One part after the other."""

    def __init__(self, *parts: ResetPart):
        self._left = list(parts)
        self._begun = False

    def step(self, sensed: Sensed) -> Command | None:
        while self._left:
            part = self._left[0]
            if not self._begun:
                part.begin(sensed)
                self._begun = True
            command = part.step(sensed)
            if command is not None:
                self.reason, self.asks = part.reason, part.asks
                return command
            self._left.pop(0)
            self._begun = False
        self.asks = ""
        return None

    @property
    def service(self) -> str:
        return self._left[0].service if self._left and self._begun else ""

    def answered(self, success: bool, message: str) -> None:
        self._left[0].answered(success, message)


class Together(ResetPart):
    """Several parts in parallel, complete when all are; the first part that moves the robot controls it."""

    def __init__(self, *parts: ResetPart):
        self._left = list(parts)

    def begin(self, sensed: Sensed) -> None:
        for part in self._left:
            part.begin(sensed)

    def step(self, sensed: Sensed) -> Command | None:
        commands = [(part, part.step(sensed)) for part in self._left]
        self._left = [part for part, command in commands if command is not None]
        waiting = [(part, command) for part, command in commands if command is not None]
        self.asks = next((part.asks for part in self._left if part.asks), "")
        for part, command in waiting:
            if np.any(command.motion) or len(waiting) == 1:
                self.reason = part.reason
                return command
        self.reason = "; ".join(part.reason for part, _ in waiting if part.reason)
        return waiting[0][1] if waiting else None

    @property
    def service(self) -> str:
        return next((part.service for part in self._left if part.service), "")

    def answered(self, success: bool, message: str) -> None:
        for part in self._left:
            if part.service:
                part.answered(success, message)
                return


class Home(ResetPart):
    """A straight joint move to a pose, with feedback; it starts again from where the arm is after a delay."""

    def __init__(self, rig: Rig, duration_s: float, pose: np.ndarray | None = None, tool_speed_m_s: float = 0.0):
        """pose: [N], default `robot.home`; duration_s: longer if the limits require it, or the tool would go faster than
        tool_speed_m_s (0: no limit)."""
        safety, robot = rig.config.safety, rig.robot
        self._pose = robot.home if pose is None else pose
        limits = joint_limits(safety, robot)
        self._max_speed, self._max_acceleration = limits.speed, limits.acceleration
        if limits.jerk is not None:
            sustained = _ACCELERATION_OF_JERK * limits.jerk * safety.command_max_age_s
            self._max_acceleration = np.minimum(limits.acceleration, sustained)
        self._near, self._slow = of_kind(robot, *_HOME_TOLERANCE), of_kind(robot, *_REST_TOLERANCE)
        self._held_up = of_kind(robot, *_HELD_UP)
        self._robot, self._duration_s, self._tool_speed = robot, duration_s, tool_speed_m_s
        self._move: HomeMove | None = None
        self.reason = "moving home" if pose is None else "moving to a waypoint"

    def begin(self, sensed: Sensed) -> None:
        limits = self._max_speed, self._max_acceleration
        duration_s = max(self._duration_s, self._tool_s(sensed.position))
        self._move = plan_home(sensed.position, self._pose, sensed.time_s, duration_s, *limits)

    def _tool_s(self, q: np.ndarray) -> float:
        """s that a straight way of the tool from q to the pose takes at its speed limit."""
        if not self._tool_speed:
            return 0.0
        way = self._robot.forward(self._pose, "base_link")[0] - self._robot.forward(q, "base_link")[0]
        return PEAK_SPEED * float(np.linalg.norm(way)) / self._tool_speed

    def step(self, sensed: Sensed) -> Command | None:
        position = sensed.position
        there = np.all(np.abs(position - self._pose) <= self._near) and np.all(np.abs(sensed.velocity) <= self._slow)
        if there and self._move.over(sensed.time_s):
            return None
        if np.any(self._move.behind(position, sensed.time_s) > self._held_up):
            self.begin(sensed)
        wanted = self._move.velocity(position, sensed.time_s + _LEAD_S, _GAIN)
        # Scaled as a whole: another direction may lead to a wall.
        return Command(wanted / max((np.abs(wanted) / self._max_speed).max(), 1.0), {})


class Retract(Home):
    """Moves the tool by a vector without turning it, before the way home: out of a hole, or off an object."""

    def __init__(self, rig: Rig, way_m: np.ndarray, tool_speed_m_s: float):
        """way_m: [3] in base_link."""
        super().__init__(rig, _RETRACT_S, None, tool_speed_m_s)
        self._way_m = way_m
        self.reason = "retracting the tool"

    def begin(self, sensed: Sensed) -> None:
        if self._move is None:
            position, rotation = self._robot.forward(sensed.position, "base_link")
            pose = inverse(self._robot, position + self._way_m, rotation, sensed.position)
            self._pose = sensed.position if pose is None else pose
        super().begin(sensed)

    def step(self, sensed: Sensed) -> Command | None:
        return None if self._move.over(sensed.time_s) else super().step(sensed)


class Settle(ResetPart):
    """Rests for a time."""

    reason = "settling"

    def __init__(self, rig: Rig, duration_s: float):
        self._rest = Command(np.zeros(rig.robot.motion_size), {})
        self._duration_s, self._since_s = duration_s, 0.0

    def begin(self, sensed: Sensed) -> None:
        self._since_s = sensed.time_s

    def step(self, sensed: Sensed) -> Command | None:
        return None if sensed.time_s - self._since_s >= self._duration_s else self._rest


class CallService(ResetPart):
    """Calls a std_srvs/Trigger service until it succeeds."""

    def __init__(self, rig: Rig, name: str):
        self._rest = Command(np.zeros(rig.robot.motion_size), {})
        self._name, self._done = name, False
        self._refused_s: float | None = None
        self._now_s = 0.0
        self.reason = f"waiting for the service {name}"

    def step(self, sensed: Sensed) -> Command | None:
        self._now_s = sensed.time_s
        return None if self._done else self._rest

    @property
    def service(self) -> str:
        waits = self._refused_s is not None and self._now_s - self._refused_s < _ASK_AGAIN_S
        return "" if self._done or waits else self._name

    def answered(self, success: bool, message: str) -> None:
        self._done, self._refused_s = success, self._now_s
        self.reason = f"the service {self._name} answered: {message or 'not done'}"


class Release(ResetPart):
    """Opens the grippers without moving the robot."""

    reason = "opening the gripper"

    def __init__(self, rig: Rig):
        wide = {name: np.array([gripper.stroke_m]) for name, gripper in rig.grippers.items()}
        self._open = Command(np.zeros(rig.robot.motion_size), wide)
        self._told = False

    def step(self, sensed: Sensed) -> Command | None:
        is_open = all(sensed.outputs[name][0] >= _OPEN_SHARE * wide[0] for name, wide in self._open.outputs.items())
        if self._told and is_open:
            return None
        self._told = True
        return self._open


class AskPerson(ResetPart):
    """Tells a person what to do and waits for `continue`."""

    def __init__(self, rig: Rig, what: str):
        self._rest = Command(np.zeros(rig.robot.motion_size), {})
        self.asks, self.reason = what, f"{what} (then: jsac-ros continue)"

    def step(self, sensed: Sensed) -> Command | None:
        return None if "continue" in sensed.events else self._rest


ResetKind = Literal["release", "retract", "home", "waypoints", "person", "service"]


class ResetParameters(Section):
    """A reset composed in the configuration; for tasks that use it, in addition to `config.TaskParameters`."""

    # parts of the reset, in this order
    reset: tuple[ResetKind, ...] = ("home",)
    reset_s: Between(0.01, 600.0) = 2.0  # time for a move; longer if the limits require it
    # largest speed of the tool on the way; 0: no limit; a compliant arm lags behind a faster move
    reset_speed_m_s: Between(0.0, 5.0) = 0.0
    retract_m: Floats = ()  # x, y, z in base_link, by which the tool retracts without turning
    settle_s: Between(0.0, 60.0) = 0.2  # rest before an episode starts
    # uniform noise of +- this around home, one value per joint
    home_noise: Annotated[Floats, Field(description="rad (m if prismatic)")] = ()
    tool_noise: Floats = ()  # m, m, m, rad: uniform noise of +- this on the tool's x, y, z and yaw in base_link around home
    waypoints: Floats = ()  # poses of all joints, rad (m if prismatic), concatenated
    ask: str = ""  # what the person is asked to do
    service: OptionalTopic = ""  # std_srvs/Trigger service to call until it succeeds

    @model_validator(mode="after")
    def _check_reset(self):
        for part, field in (("retract", "retract_m"), ("waypoints", "waypoints"), ("person", "ask"), ("service", "service")):
            if part in self.reset and not getattr(self, field):
                raise ValueError(f"reset has {part!r}, but {field} is empty")
        return self


def composed(parameters: ResetParameters, rig: Rig, random: np.random.Generator) -> ResetPart:
    """The configured parts, followed by a rest."""
    robot, speed, parts = rig.robot, parameters.reset_speed_m_s, []
    for kind in parameters.reset:
        if kind == "home":
            noisy = parameters.home_noise or parameters.tool_noise
            pose = start_pose(parameters, rig, random) if noisy else None
            parts.append(Home(rig, parameters.reset_s, pose, speed))
        elif kind == "retract":
            parts.append(Retract(rig, np.array(parameters.retract_m), speed))
        elif kind == "release":
            parts.append(Release(rig))
        elif kind == "waypoints":
            poses = np.array(parameters.waypoints).reshape(-1, len(robot))
            parts += [Home(rig, parameters.reset_s, pose, speed) for pose in poses]
        elif kind == "person":
            parts.append(AskPerson(rig, parameters.ask))
        else:
            parts.append(CallService(rig, parameters.service))
    return Then(*parts, Settle(rig, parameters.settle_s))


def start_pose(parameters: ResetParameters, rig: Rig, random: np.random.Generator) -> np.ndarray:
    """The start pose of an episode, rad or m [N]: home with noise. An unreachable pose is drawn again."""
    robot, q = rig.robot, rig.robot.home
    if parameters.home_noise:
        noise = np.array(parameters.home_noise)
        q = q + random.uniform(-noise, noise)
    if not parameters.tool_noise:
        return q
    noise, (position, rotation) = np.array(parameters.tool_noise), robot.forward(q, "base_link")
    for _ in range(_TRIES):
        x, y, z, yaw = random.uniform(-noise, noise)
        turned = turn(np.array((0.0, 0.0, yaw))) @ rotation
        reached = inverse(robot, position + (x, y, z), turned, q)
        if reached is not None:
            return reached
    return q


def check_reset(parameters: ResetParameters, rig: Rig) -> list[str]:
    """One line for each part of the reset that is wrong for the robot."""
    robot, n, problems = rig.robot, len(rig.robot), []
    if robot.is_base and {"home", "waypoints"} & set(parameters.reset):
        problems.append(f"task.reset is {list(parameters.reset)}; a mobile base has no home to move to")
    if len(parameters.home_noise) not in (0, n) or any(not 0 <= noise < np.inf for noise in parameters.home_noise):
        problems.append(f"task.home_noise is {list(parameters.home_noise)}; expected {n} values, 0 or more")
    noise = parameters.tool_noise
    if len(noise) not in (0, 4) or any(not 0 <= value < np.inf for value in noise):
        problems.append(f"task.tool_noise is {list(noise)}; expected x, y, z in m and yaw in rad, 0 or more")
    elif noise and not robot.has_kinematics:
        problems.append(f"task.tool_noise is {list(noise)}; robot {robot.model!r} has no kinematics")
    if len(parameters.retract_m) not in (0, 3) or not np.isfinite(parameters.retract_m).all():
        problems.append(f"task.retract_m is {list(parameters.retract_m)}; expected x, y, z in m")
    for field in ("retract_m", "reset_speed_m_s"):
        if getattr(parameters, field) and not robot.has_kinematics:
            problems.append(f"task.{field} is {getattr(parameters, field)}; robot {robot.model!r} has no kinematics")
    if "release" in parameters.reset and not rig.grippers:
        problems.append(f"task.reset is {list(parameters.reset)}; there is no gripper to open")
    if len(parameters.waypoints) % n or not np.isfinite(parameters.waypoints).all():
        problems.append(f"task.waypoints has {len(parameters.waypoints)} values; expected finite poses of {n} joints")
    return problems
