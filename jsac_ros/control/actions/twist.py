"""A Cartesian velocity of the tool on chosen axes, by damped least squares on the arm's own kinematics.

The commanded velocity moves a target pose: axes without a command are held, and nothing drifts. The target leads the
tool by a bounded distance, so that it does not wind up while the tool is in contact. Near a singularity and near the
joints' limits the whole motion is slowed, with its direction kept.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from jsac_ros.config import ActionParameters, Between, ConfigError
from jsac_ros.control.actions.part import ActionPart
from jsac_ros.control.motion import SHORTEST_BRAKE_S
from jsac_ros.control.safety.bounds import BOX_MARGIN_M, BOX_MARGIN_RAD, JOINT_MARGIN, rotations_of
from jsac_ros.robots.limits import joint_limits
from jsac_ros.robots.rotations import rotation_vector, turn, within
from jsac_ros.spaces import ActionSpace, one_unit
from jsac_ros.types import Sensed

if TYPE_CHECKING:
    from jsac_ros.rig import Rig

AXES = ("x", "y", "z", "roll", "pitch", "yaw")
_DELAY_S = 0.06  # about that delay: predicts where the tool will be when a command takes effect
_SMALLEST = 0.06  # singular value below which the inverse is damped
_DAMPING = 0.08
_LIMIT_RAMPS = 4.0  # joints slow down if one would reach its limit within so many ramps: critically damped, no overshoot
_LONGEST_TICK_S = 0.2
_OF_SPEED, _OF_ACCELERATION = 0.95, 0.98  # of safety's limits
# The target stays this far inside the box and its margin, because the tool overshoots a little
_INSIDE_M, _INSIDE_RAD = 0.003, 0.01


class Twist(ActionPart):
    class Parameters(ActionParameters):
        # axes along and about which the policy moves the tool
        axes: Annotated[tuple[Literal["x", "y", "z", "roll", "pitch", "yaw"], ...], Field(min_length=1)] = ("x", "y", "z")
        # frame of the axes: base_link, the tool's, or the tool's at the start of the episode
        frame: Literal["base", "tool", "start"] = "base"
        speed_m_s: Between(0.001, 2.0) = 0.1  # speed of the tool at an action of 1
        turn_rad_s: Between(0.001, 6.3) = 0.5  # angular velocity of the tool at an action of 1
        lead_m: Between(0.001, 0.3) = 0.03  # how far the target may lead the tool: the farther, the harder the tool presses
        lead_rad: Between(0.001, 1.0) = 0.15  # the same for the orientation
        # 1/s, towards the target; well below the inverse of the total delay of tick, safety and robot: 1 for a compliant arm
        gain: Between(0.1, 10.0) = 4.0

    def __init__(self, name: str, parameters: Twist.Parameters, rig: Rig):
        """Raises ConfigError if the robot has no kinematics or cannot move along an axis."""
        robot, where = rig.robot, f"actions.{name}"
        if not robot.has_kinematics:
            raise ConfigError(f"{where}.type is {parameters.type!r}; robot {robot.model!r} has no kinematics")
        if len(set(parameters.axes)) != len(parameters.axes):
            raise ConfigError(f"{where}.axes is {list(parameters.axes)}; expected each axis once")
        self._robot, self._parameters = robot, parameters
        self.directions = parameters.axes
        self._axes = np.array([AXES.index(axis) for axis in parameters.axes])
        scale = np.array([parameters.speed_m_s] * 3 + [parameters.turn_rad_s] * 3)
        self._scale = scale[self._axes]
        safety = rig.config.safety
        lower = np.maximum(robot.lower, safety.joint_lower or -np.inf)
        upper = np.minimum(robot.upper, safety.joint_upper or np.inf)
        self._ramp_s = safety.command_max_age_s  # in which safety ramps the joints to a commanded speed
        self._limit_s = _LIMIT_RAMPS * self._ramp_s
        limits = joint_limits(safety, robot)
        self._change = (_OF_ACCELERATION * limits.acceleration * self._ramp_s).tolist()  # [N] largest change of speed
        fastest = _OF_SPEED * limits.speed
        lower, upper = lower + 3 * JOINT_MARGIN, upper - 3 * JOINT_MARGIN
        self._ranges = [values.tolist() for values in (lower, upper, fastest)]
        box = _box(safety.box_lower, safety.box_upper, robot.base_turned and safety.box_frame == "base")
        self._walls = box.tolist()
        rotations = rotations_of(safety)
        self._rotations = None if rotations is None else rotations - (BOX_MARGIN_RAD + _INSIDE_RAD)
        self._home = robot.forward(robot.home, "base_link")[1]
        self.joints = np.arange(len(robot))
        self.joint_speed = fastest
        unit = one_unit("m/s" if axis < 3 else "rad/s" for axis in self._axes)
        low, high = (tuple(values.tolist()) for values in (-self._scale, self._scale))
        self.space = ActionSpace(name, len(self._axes), unit, low=low, high=high)
        self._check_axes(where)
        self._target: tuple[list[float], np.ndarray] | None = None  # position [3], rotation [3, 3]
        self._start = np.eye(3)
        self._commanded_s = 0.0
        self._commanded = self._executed = [0.0] * len(robot)  # rad/s or m/s: commanded, and as ramped by safety

    def _check_axes(self, where: str) -> None:
        """Raises ConfigError if the joints at home cannot move the tool along the axes while they hold the others."""
        jacobian = self._robot.jacobian(self._robot.home, "base_link")[2]
        if len(self._robot) < len(self._axes) or np.linalg.matrix_rank(jacobian, tol=1e-3) < len(self._axes):
            raise ConfigError(
                f"{where}.axes is {list(self._parameters.axes)}; {self._robot.model} with {len(self._robot)} joints "
                f"moves {np.linalg.matrix_rank(jacobian, tol=1e-3)} axes at robot.home"
            )

    def begin(self, sensed: Sensed) -> None:
        position, rotation = self._robot.forward(sensed.position, "base_link")
        self._target, self._start, self._commanded_s = (position.tolist(), rotation), rotation, sensed.time_s
        self._commanded = self._executed = [0.0] * len(self._robot)

    def command(self, action: np.ndarray, sensed: Sensed) -> np.ndarray:
        if self._target is None:
            self.begin(sensed)
        q, seconds = sensed.position, min(max(sensed.time_s - self._commanded_s, 0.0), _LONGEST_TICK_S)
        position, rotation, jacobian = self._robot.jacobian(q, "base_link")
        wanted = self._in_base(np.minimum(np.maximum(action, -1.0), 1.0), rotation)
        wanted[:3] = self._inside_box(wanted[:3], position)
        wanted[3:] = self._inside_rotations(wanted[3:], rotation)
        error = self._advance(wanted, position, rotation, seconds)
        # Compares the predicted tool and target when this command takes effect.
        ahead = (wanted - jacobian @ sensed.velocity) * _DELAY_S
        twist = wanted + self._parameters.gain * (error + ahead)
        twist[3:] = self._inside_rotations(twist[3:], rotation)
        velocity = damped_solution(jacobian, twist)
        self._commanded_s = sensed.time_s
        return self._ramped(velocity, q, seconds)

    def action(self, command: np.ndarray, sensed: Sensed) -> np.ndarray:
        _, rotation, jacobian = self._robot.jacobian(sensed.position, "base_link")
        return self.of_tool(jacobian @ np.asarray(command), rotation)

    def of_tool(self, twist: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        axes = self._frame(rotation)
        local = np.concatenate((twist[:3] @ axes, twist[3:] @ axes))
        return np.clip(local[self._axes] / self._scale, -1.0, 1.0).astype(np.float32)

    def _frame(self, rotation: np.ndarray) -> np.ndarray:
        """[3, 3]: the commanded axes in base_link, as columns."""
        match self._parameters.frame:
            case "tool":
                return rotation
            case "start":
                return self._start
            case _:
                return np.eye(3)

    def _in_base(self, action: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        """[6]: m/s and rad/s in base_link."""
        twist = np.zeros(6)
        twist[self._axes] = self._scale * action
        if self._parameters.frame != "base":
            axes = self._frame(rotation)
            twist[:3], twist[3:] = axes @ twist[:3], axes @ twist[3:]
        return twist

    def _inside_box(self, velocity: np.ndarray, position: np.ndarray) -> list[float]:
        """[3]: slower towards a wall the closer it is, unchanged along it; safety judges the whole way to rest."""
        rest_s = self._ramp_s + SHORTEST_BRAKE_S
        return [
            min(max(speed, min(low - here, 0.0) / rest_s), max(high - here, 0.0) / rest_s)
            for speed, here, low, high in zip(velocity.tolist(), position.tolist(), *self._walls)
        ]

    def _inside_rotations(self, velocity: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        """rad/s [3]: slower towards the largest tilt and turn the closer they are."""
        if self._rotations is None:
            return velocity
        rest_s = self._ramp_s + SHORTEST_BRAKE_S + _DELAY_S
        return rotation_vector(self._within(turn(velocity * rest_s) @ rotation) @ rotation.T) / rest_s

    def _within(self, rotation: np.ndarray) -> np.ndarray:
        """[3, 3] in base_link, with tilt and turn from home reduced to what is allowed."""
        return rotation if self._rotations is None else self._home @ within(self._home.T @ rotation, self._rotations)

    def _advance(self, twist: np.ndarray, position: np.ndarray, rotation: np.ndarray, seconds: float) -> np.ndarray:
        """Moves the target, at most `lead` ahead of the tool and inside the box; returns [6] from the tool to it, m and rad."""
        place, turned = self._target
        here = position.tolist()
        away = [at + speed * seconds - now for at, speed, now in zip(place, twist.tolist(), here)]
        share = min(1.0, self._parameters.lead_m / max(math.hypot(*away), 1e-9))
        place = [min(max(now + share * far, low), high) for now, far, low, high in zip(here, away, *self._walls)]
        if twist[3:].any():
            turned = self._within(turn(twist[3:] * seconds) @ turned)
        off = rotation_vector(turned @ rotation.T)
        too_far = math.hypot(*off.tolist()) / self._parameters.lead_rad
        if too_far > 1:
            off = off / too_far
            turned = turn(off) @ rotation
        self._target = (place, turned)
        return np.concatenate((place - position, off))

    def _ramped(self, velocity: np.ndarray, q: np.ndarray, seconds: float) -> np.ndarray:
        """Scaled as a whole so that no joint is too fast or too close to its limit. So is the change of speed, which safety
        would otherwise limit joint by joint, bending the path. A joint near its limit brakes regardless of the others.

        In plain floats: a fifth of the time.
        """
        wanted, here = velocity.tolist(), q.tolist()
        allowed = [
            (max(-fastest, min(low - at, 0.0) / self._limit_s), min(fastest, max(high - at, 0.0) / self._limit_s))
            for at, low, high, fastest in zip(here, *self._ranges)
        ]
        share = min((high if v > 0 else low) / v if abs(v) > 1e-9 else 1.0 for v, (low, high) in zip(wanted, allowed))
        done, most = min(seconds / self._ramp_s, 1.0), self._change
        self._executed = [
            executed + (commanded - executed) * done for commanded, executed in zip(self._commanded, self._executed)
        ]
        change = [min(share, 1.0) * v - executed for v, executed in zip(wanted, self._executed)]
        share = min(1.0, *(limit / max(abs(more), 1e-9) for limit, more in zip(most, change)))
        self._commanded = [
            min(max(executed + share * more, min(low, executed + limit)), max(high, executed - limit))
            for executed, more, limit, (low, high) in zip(self._executed, change, most, allowed)
        ]
        return np.array(self._commanded)


def _box(lower: tuple[float, ...], upper: tuple[float, ...], turned: bool) -> np.ndarray:
    """Range of the target in base_link, lowest and highest, m [2, 3].

    turned: the box is given in `base`, which is rotated by pi about z."""
    if not lower:
        return np.array((np.full(3, -np.inf), np.full(3, np.inf)))
    inside = BOX_MARGIN_M + _INSIDE_M
    low, high = np.array(lower) + inside, np.array(upper) - inside
    if turned:
        low[:2], high[:2] = -high[:2], -low[:2]
    return np.array((low, high))


def damped_solution(jacobian: np.ndarray, twist: np.ndarray) -> np.ndarray:
    """[N]: least-squares joint speeds; singular values below `_SMALLEST` are damped, the smaller the more.

    Nakamura and Hanafusa, 1986; the damping starts at zero, so that nothing jumps.
    """
    u, s, vt = np.linalg.svd(jacobian, full_matrices=False)
    if s[-1] >= _SMALLEST:
        return (twist @ u / s) @ vt
    damping = _DAMPING * np.square(1.0 - np.minimum(s / _SMALLEST, 1.0))
    return (s / (s * s + damping * damping + 1e-12) * (twist @ u)) @ vt
