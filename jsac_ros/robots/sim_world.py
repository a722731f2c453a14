"""A simulated robot behind the safety gate, in one process and without a clock.

For baselines, tests and quick trials of a recipe; `nodes/sim_robot.py` runs the same robots in real time.
"""

from __future__ import annotations

import cv2
import numpy as np

from jsac_ros.config import SystemConfig
from jsac_ros.control.motion import Motion
from jsac_ros.control.safety import gate_of
from jsac_ros.robots.models import arm_of
from jsac_ros.robots.sim_arm import Trajectory
from jsac_ros.robots.sim_base import SimBase
from jsac_ros.robots.sim_body import make_body

_DT = 0.008  # s, of the physics
# In steps of the physics, as the processes have them: camera to tick half a camera period, tick to robot a few ms.
_IMAGE_AGE = 2
_COMMAND_LATENCY = 1


class SimWorld:
    """Stepped by control periods; `body` is the robot, `q` and `qd` its joints (rad, rad/s, [N])."""

    def __init__(self, config: SystemConfig, seed: int):
        """Raises ConfigError where there is no such robot, or the gate cannot keep its limits."""
        self._config = config.model_copy(update={"run": config.run.model_copy(update={"seed": seed})})
        self.body = make_body(self._config)
        self._arm = arm_of(config.robot)
        self._substeps = max(2, round(config.task.control_period_s / _DT))
        self._frame_size = (config.camera.width, config.camera.height)
        self.reset()

    def reset(self) -> np.ndarray:
        """At rest where episodes begin, before a new target; -> the first frame, RGB uint8 [H, W, 3]."""
        self.body.reset()
        self._gate = gate_of(self._config, self._arm)
        self._gate.program_running(True)
        self._now_s = 0.0
        return self._frame()

    @property
    def q(self) -> np.ndarray:
        return self.body.q

    @property
    def qd(self) -> np.ndarray:
        return self.body.qd

    def step(self, velocity: np.ndarray) -> np.ndarray:
        """One control period under `velocity` ([N], rad/s; m/s and rad/s for a base) as the gate lets it; -> frame."""
        frame = None
        for substep in range(self._substeps):
            if substep == _COMMAND_LATENCY:
                self._gate.joints(self.q, self._now_s)
                self._execute(self._gate.command(self._now_s, velocity).motion)
            if isinstance(self.body, SimBase):
                self.body.command_twist(*self._gate.velocity(self._now_s))
            self.body.step(_DT)
            self._now_s += _DT
            if substep == self._substeps - 1 - _IMAGE_AGE:
                frame = self._frame()
        return frame

    def _execute(self, motion: Motion | None) -> None:
        if motion is None or isinstance(self.body, SimBase):
            return
        times, positions, velocities, accelerations = (np.array(column) for column in zip(*motion.points()))
        smooth = accelerations if self._config.safety.max_joint_jerk_rad_s3 else None
        self.body.command_trajectory(self._arm.names, Trajectory(times, positions, velocities, smooth))

    def _frame(self) -> np.ndarray:
        picture = self.body.render(self.body.snapshot())
        if picture.shape[1::-1] == self._frame_size:
            return picture
        return cv2.resize(picture, self._frame_size, interpolation=cv2.INTER_AREA)
