"""A differential-drive base like iRobot's Create 2 in a walled arena: wheels, bumper, battery and a camera."""

from __future__ import annotations

import math

import numpy as np

from jsac_ros.config import SystemConfig
from jsac_ros.robots.arena import LENGTH, SIGN, WIDTH, BaseCamera
from jsac_ros.robots.models import WHEELS

# iRobot Create 2 Open Interface specification, and its ROS driver's defaults.
WHEEL_RADIUS_M = 0.036
TRACK_M = 0.235  # between the wheels
RADIUS_M = 0.17
MAX_WHEEL_SPEED_M_S = 0.5
COMMAND_TIMEOUT_S = 0.2  # the driver stops the wheels when it hears nothing for so long
BATTERY_LIFE_S = 2 * 3600.0

_ACCELERATION_M_S2 = 2.0  # of a wheel
_SIGN_MARGIN_M = 0.3


class SimBase:
    """`robots.sim_body.SimBody`. The pose is in the frame `arena`."""

    names = WHEELS

    def __init__(self, config: SystemConfig):
        sim = config.sim
        self._random = np.random.default_rng(config.run.seed)
        self._camera = BaseCamera(sim.camera_height, sim.camera_width, sim.camera_noise, config.run.seed)
        self.x, self.y, self.heading = LENGTH / 2, WIDTH / 2, 0.0
        self.q, self.qd, self.effort = np.zeros(2), np.zeros(2), np.zeros(2)
        self.contact = False
        self.battery = 1.0  # share of its charge
        self.protective_stop = False  # a cliff or wheel-drop sensor, on this robot
        self.restart()
        self.new_target()

    def reset(self) -> None:
        """Somewhere in the arena, looking anywhere; the sign stays."""
        low, high = 2 * RADIUS_M, np.array((LENGTH, WIDTH)) - 2 * RADIUS_M
        self.x, self.y = map(float, self._random.uniform(low, high))
        self.heading = float(self._random.uniform(-math.pi, math.pi))
        self.qd, self.contact = np.zeros(2), False
        self.restart()

    def restart(self) -> None:
        self._wanted = np.zeros(2)  # m/s of the left and the right wheel
        self._heard_s_ago = math.inf

    @property
    def program_running(self) -> bool:
        return not self.protective_stop

    def command_twist(self, forward: float, turn: float) -> None:
        """m/s and rad/s (to the left); kept for `COMMAND_TIMEOUT_S`. What is not finite is dropped.

        As the Create's driver does, both wheels are slowed alike where one would be too fast.
        """
        if not (math.isfinite(forward) and math.isfinite(turn)):
            return
        wheels = np.array((forward - turn * TRACK_M / 2, forward + turn * TRACK_M / 2))
        self._wanted = wheels / max(1.0, float(np.abs(wheels).max()) / MAX_WHEEL_SPEED_M_S)
        self._heard_s_ago = 0.0

    def step(self, dt: float) -> None:
        stopping = self.protective_stop or self._heard_s_ago >= COMMAND_TIMEOUT_S
        wanted = np.zeros(2) if stopping else self._wanted
        wheels, change = self.qd * WHEEL_RADIUS_M, _ACCELERATION_M_S2 * dt
        moved = wheels + np.clip(wanted - wheels, -change, change)
        self._drive((wheels + moved) / 2, dt)
        self.effort = (moved - wheels) / dt
        self.q, self.qd = self.q + (wheels + moved) / 2 * dt / WHEEL_RADIUS_M, moved / WHEEL_RADIUS_M
        self._heard_s_ago += dt
        self.battery = max(0.0, self.battery - dt / BATTERY_LIFE_S)

    def _drive(self, wheels: np.ndarray, dt: float) -> None:
        """Moves the pose; against a wall the base slides along it and its bumper is pressed."""
        forward, turn = float(wheels.mean()), float(wheels[1] - wheels[0]) / TRACK_M
        middle = self.heading + turn * dt / 2
        x, y = self.x + forward * math.cos(middle) * dt, self.y + forward * math.sin(middle) * dt
        self.x = min(max(x, RADIUS_M), LENGTH - RADIUS_M)
        self.y = min(max(y, RADIUS_M), WIDTH - RADIUS_M)
        self.heading = math.remainder(self.heading + turn * dt, math.tau)
        # Pressed while the push goes against a wall in front of it; it springs back when the base backs off.
        pushes = forward > 0 and (self.x != x or self.y != y)
        self.contact = pushes or (self.contact and forward == 0)

    def new_target(self) -> str:
        margin = _SIGN_MARGIN_M + SIGN / 2
        self.sign_y = float(self._random.uniform(margin, WIDTH - margin))
        return f"sign at {self.sign_y:.2f} m of {WIDTH} m"

    def snapshot(self) -> tuple[float, float, float, float]:
        return self.x, self.y, self.heading, self.sign_y

    def render(self, snapshot: tuple[float, float, float, float]) -> np.ndarray:
        return self._camera.render(*snapshot)
