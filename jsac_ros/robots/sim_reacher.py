"""The visual reacher's robot: an arm, its wrist camera, and the monitor before it."""

from __future__ import annotations

import numpy as np

from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.robots.arm import Arm
from jsac_ros.robots.reacher_screen import Monitor, WristCamera, monitor_in_front, random_disc
from jsac_ros.robots.sim_arm import SimArm


def reacher_monitor(config: SystemConfig, arm: Arm) -> Monitor:
    """Where the monitor stands: square before the camera at the start pose."""
    return monitor_in_front(*arm.forward(np.array(config.task.home)))


class SimReacher(SimArm):
    """`robots.sim_body.SimBody`; commands are those of `SimArm`."""

    def __init__(self, config: SystemConfig, arm: Arm):
        """Raises ConfigError where the arm has no kinematics or the start pose is not its own."""
        if not arm.has_kinematics:
            raise ConfigError(f"robot.model {arm.model}: the simulator needs an arm with kinematics")
        home, sim = np.array(config.task.home), config.sim
        if len(home) != len(arm):
            raise ConfigError(f"task.home has {len(home)} values; {arm.model} has {len(arm)} joints")
        interface = "velocity" if config.robot.interface == "velocity" else "trajectory"
        super().__init__(arm, home, interface, sim.max_acceleration_rad_s2)
        self.names = arm.names
        self._home = home
        self._random = np.random.default_rng(config.run.seed)
        self.disc = random_disc(self._random)
        self.camera = WristCamera(
            sim.camera_height, sim.camera_width, reacher_monitor(config, arm), sim.camera_noise, config.run.seed
        )

    def reset(self) -> None:
        self.q, self.qd = self._home.copy(), np.zeros_like(self._home)
        self.restart()
        self.new_target()

    @property
    def effort(self) -> np.ndarray:
        """[N]: the UR driver's effort is motor current, A: some for holding, some for accelerating."""
        return 0.4 * np.cos(self.q) + 0.2 * self.acceleration

    def new_target(self) -> str:
        self.disc = random_disc(self._random)
        return f"disc at {self.disc[0]:.1f}, {self.disc[1]:.1f} of 160x90"

    def snapshot(self) -> tuple[np.ndarray, np.ndarray]:
        """What a picture depends on; `step` and `new_target` put new arrays in their place."""
        return self.q, self.disc

    def render(self, snapshot: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        q, disc = snapshot
        return self.camera.render(*self.arm.forward(q), disc)
