"""The contact rule: if the tool presses harder than allowed, the robot brakes, then backs off along the way it came.

The wrench is judged by the magnitudes of its force and its torque since the episode began: its value then, the weight
of the tool and the sensor's offset, is zero. A zero over a limit is not accepted, so the rule acts at twice a limit at
the latest, even if many episodes begin with a tool that presses.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.robots.robot import Robot

WRENCH = "geometry_msgs/msg/WrenchStamped"
OLDEST_WRENCH_S = 0.5  # as the joint states: on an older one a robot would press for as long before anything notices

# Of a joint, rad or m
_STEP = 0.002  # between two stored points of the path
_STEPS = 500
_GAP = 0.05  # between two joint states: beyond this the path is unknown, and the earlier path is not usable
_AHEAD = 0.01  # distance of the point on the way back that is approached
_THERE = 0.003
_GAIN = 6.0  # 1/s; below the inverse of the delay between two commands
_SPEED_SHARE = 0.5  # of the limits
_LONGEST_RETREAT_S = 5.0


class Contact:
    """The state of the rule, from the wrench and the joints, and the progress of the retreat. Seconds of one steady clock.

    `stage` is "free"; "braking", until the robot is at rest; "retreating"; or "held" if the tool still presses after
    it, until a person releases the robot.
    """

    def __init__(self, robot: Robot, max_force_n: float, max_torque_nm: float, retreat_m: float, frame: str, period_s: float):
        """Limits of inf: not limited. `frame` '': that of the first message. `period_s`: between two commands back."""
        self._robot, self._limits = robot, np.array((max_force_n, max_torque_nm))
        self._retreat_m, self._frame, self._period_s = retreat_m, frame, period_s
        self.stage, self.reason = "free", ""
        self.measured_s: float | None = None  # of the newest wrench
        self.changed_s: float | None = None  # when its reading last changed; None: it never did
        self._wrench = self._zero = np.zeros(6)
        self._path: deque[np.ndarray] = deque(maxlen=_STEPS)  # rad or m [N] each, oldest first
        self._way: list[np.ndarray] = []  # the rest of the way back, nearest point first
        self._eased = False  # the tool has stopped pressing on the way back
        self._arrived = False
        self._next_s = self._until_s = 0.0

    # -- inputs --------------------------------------------------------------------------------------------------

    def heard(self, wrench: np.ndarray, frame: str, measured_s: float) -> None:
        """N and Nm [6] in `frame`. Raises ValueError if they cannot be judged."""
        if not np.isfinite(wrench).all():
            raise ValueError(f"wrench is {wrench.tolist()}; expected finite numbers")
        self._frame = self._frame or frame
        if frame != self._frame:
            raise ValueError(f"frame_id is {frame!r}; expected {self._frame!r}")
        if self.measured_s is not None:
            if measured_s < self.measured_s:  # out of order
                return
            if np.any(wrench != self._wrench):
                self.changed_s = measured_s
        self._wrench, self.measured_s = wrench, measured_s
        over = self._over(wrench - self._zero)
        if over and self.stage == "free":
            self.stage, self.reason = "braking", f"contact: {over}"
        elif self.stage == "retreating":
            if over and self._eased:  # it is held from the other side
                self._hold(over)
            self._eased |= not over

    def passed(self, q: np.ndarray) -> None:
        """Takes the robot's position, rad or m [N]."""
        if self.stage == "retreating":
            return
        if self._path:
            moved = np.abs(q - self._path[-1]).max()
            if moved > _GAP:
                self._path.clear()
            elif moved < _STEP:
                return
        self._path.append(q)

    def tare(self) -> None:
        """Starts an episode: the current wrench becomes zero, unless it is itself over a limit."""
        if self.measured_s is not None and not self._over(self._wrench):
            self._zero = self._wrench

    def release(self) -> None:
        """A person releases the robot. If the tool still presses, the robot backs off further."""
        self.stage, self.reason = "free", ""

    # -- decisions -----------------------------------------------------------------------------------------------

    def retreats(self, now_s: float, at_rest: bool, q: np.ndarray) -> bool:
        """Whether the robot backs off now: it starts when it is at rest, and ends when it is at rest again."""
        if self.stage == "braking" and at_rest:
            self._begin(now_s, q)
        elif self.stage == "retreating" and self._arrived and at_rest:
            if over := self._over(self._wrench - self._zero):
                self._hold(over)
            else:
                self.release()
        return self.stage == "retreating"

    def velocity(self, now_s: float, q: np.ndarray, speed: np.ndarray) -> np.ndarray | None:
        """rad/s or m/s [N] back along the path within the limits `speed`; zeros at its end.

        None: the last answer is still valid."""
        if now_s < self._next_s:
            return None
        self._next_s = now_s + self._period_s
        while len(self._way) > 1 and np.abs(self._way[0] - q).max() < _AHEAD:
            self._way.pop(0)
        if now_s > self._until_s or not self._way or len(self._way) == 1 and np.abs(self._way[0] - q).max() < _THERE:
            self._arrived = True
            return np.zeros_like(q)
        left = np.abs(np.diff(np.stack((q, *self._way)), axis=0)).max(axis=1).sum()
        direction = (self._way[0] - q) / np.abs(self._way[0] - q).max()
        fastest = float((speed / np.maximum(np.abs(direction), 1e-9)).min())  # until a joint reaches its own limit
        return direction * min(_GAIN * left, _SPEED_SHARE * fastest)

    def _over(self, wrench: np.ndarray) -> str:
        """The quantity over its limit; '' if there is none."""
        magnitudes = (float(np.linalg.norm(part)) for part in (wrench[:3], wrench[3:]))
        for what, unit, value, limit in zip(("force", "torque"), ("N", "Nm"), magnitudes, self._limits):
            if value > limit:
                return f"{what} {value:.3g} {unit}; expected at most {limit:g} {unit}"
        return ""

    def _begin(self, now_s: float, q: np.ndarray) -> None:
        self.stage, self._arrived, self._eased = "retreating", False, False
        self.reason += f"; backing off by {self._retreat_m:g} m"
        self._next_s, self._until_s = now_s, now_s + _LONGEST_RETREAT_S
        self._way = self._way_back(q)

    def _way_back(self, q: np.ndarray) -> list[np.ndarray]:
        """Removes and returns the end of the path, newest first, up to the retreat distance from the tool's position at q."""
        if not self._retreat_m or not self._path:
            return []
        newest_first = np.stack((q, *reversed(self._path)))
        places = self._robot.tool_positions(newest_first, "base")
        far = np.flatnonzero(np.linalg.norm(places - places[0], axis=1) >= self._retreat_m)
        steps = int(far[0]) if len(far) else len(self._path)  # or as far as the path is known
        return [self._path.pop() for _ in range(steps)]

    def _hold(self, over: str) -> None:
        self.stage, self.reason = "held", f"contact: {over}, after backing off; free the tool, then: jsac-ros release"


def contact_of(config: SystemConfig, robot: Robot) -> Contact | None:
    """The configured rule; None if nothing is limited. Raises ConfigError if it cannot be enforced."""
    safety = config.safety
    limits = {name: getattr(safety, name) for name in ("max_force_n", "max_torque_nm")}
    limited = next((name for name, limit in limits.items() if limit), "")
    if not limited:
        return None
    sensor = config.sensors.get(safety.wrench)
    if sensor is None or sensor.type != WRENCH:
        known = ", ".join(name for name, other in config.sensors.items() if other.type == WRENCH) or "none configured"
        raise ConfigError(
            f"safety.wrench is {safety.wrench!r}; expected for safety.{limited} a sensor of type {WRENCH} ({known})"
        )
    if not 0 < sensor.max_age_s <= OLDEST_WRENCH_S:
        limit = f"a limit of at most {OLDEST_WRENCH_S:g} s with safety.{limited}"
        raise ConfigError(f"sensors.{safety.wrench}.max_age_s is {sensor.max_age_s:g}; expected {limit}")
    if robot.is_base:
        raise ConfigError(f"safety.{limited} is {limits[limited]:g}; expected 0 (off) for a mobile base")
    if safety.retreat_m and not robot.has_kinematics:
        raise ConfigError(
            f"safety.retreat_m is {safety.retreat_m:g}; expected 0 (off): robot model {robot.model!r} has no kinematics"
        )
    force_n, torque_nm = (limit or np.inf for limit in limits.values())
    period_s = safety.command_max_age_s / 2
    return Contact(robot, force_n, torque_nm, safety.retreat_m, safety.wrench_frame, period_s)
