"""The light simulator: joints follow their controllers without mass or contact, in the scene of the task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from jsac_ros.config import Between, ConfigError, SimParameters, source_size
from jsac_ros.robots.limits import of_kind
from jsac_ros.sim.kinematic.arm import SimArm
from jsac_ros.sim.kinematic.base import SimBase
from jsac_ros.sim.noise import Noise
from jsac_ros.sim.sim import Sim
from jsac_ros.sim.trajectory import CommandRefused, Trajectory
from jsac_ros.types import Command

if TYPE_CHECKING:
    from jsac_ros.rig import Rig


_WRENCH_NOISE = np.array((0.2, 0.2, 0.2, 0.004, 0.004, 0.004))  # N and Nm, as MuJoCo's


class Kinematic(Sim):
    is_light = True

    class Parameters(SimParameters):
        max_acceleration_rad_s2: Between(0.1, 1000.0) = 40.0  # largest acceleration of the simulated revolute joints
        max_acceleration_m_s2: Between(0.1, 1000.0) = 40.0  # largest acceleration of the simulated prismatic joints

    def __init__(self, parameters: Kinematic.Parameters, rig: Rig, seed: int):
        """Raises ConfigError if the task has no scene, or if the robot cannot be simulated in it."""
        super().__init__(parameters, rig, seed)
        self.scene = rig.task.scene(seed)
        if self.scene is None:
            raise ConfigError(f"task.type {rig.config.task.type!r} has no scene for sim.type {parameters.type!r}")
        robot = rig.robot
        if robot.is_base:
            if self.scene.floor is None:
                raise ConfigError(f"task.type {rig.config.task.type!r} has no floor for the base {robot.model!r}")
            self.body: SimArm | SimBase = SimBase(robot, self.scene.floor, np.random.default_rng((seed, 1)))
        else:
            if rig.config.robot.interface == "pose":
                raise ConfigError(
                    f"robot.interface is 'pose'; sim.type {parameters.type!r} has no compliance (sim.type 'mujoco' has)"
                )
            reachable = of_kind(robot, parameters.max_acceleration_rad_s2, parameters.max_acceleration_m_s2)
            interface = "velocity" if rig.config.robot.interface == "velocity" else "trajectory"
            self.body = SimArm(robot, robot.home, interface, reachable)
        self._random = np.random.default_rng((seed, 2))
        self._noise = {
            name: Noise(parameters.camera_noise, source_size(camera), seed) for name, camera in rig.config.cameras.items()
        }

    @property
    def q(self) -> np.ndarray:
        return self.body.q

    @property
    def qd(self) -> np.ndarray:
        return self.body.qd

    @property
    def effort(self) -> np.ndarray:
        return self.body.effort

    @property
    def speed_scaling(self) -> float:
        return self.body.speed_scaling if isinstance(self.body, SimArm) else super().speed_scaling

    @property
    def sensors(self) -> dict[str, np.ndarray]:
        measured = self.scene.sensors(self.body)
        if isinstance(self.body, SimBase):
            return measured | {"bumper": np.array([float(self.body.contact)]), "battery": np.array([self.body.battery])}
        return measured | {"wrench": _WRENCH_NOISE * self._random.normal(size=6)}  # no contact is simulated

    def reset(self, q: np.ndarray | None = None) -> None:
        self.body.reset(q)
        self.scene.reset()

    def step(self, dt: float) -> None:
        self.body.protective_stop = self.protective_stop
        if isinstance(self.body, SimArm):
            self.body.speed_slider = self.speed_slider
        self.body.step(dt)

    def restart(self) -> None:
        self.body.restart()

    def new_target(self) -> str:
        return self.scene.reset()

    def command_trajectory(self, names: Sequence[str], trajectory: Trajectory, starts_in_s: float = 0.0) -> None:
        self._arm().command_trajectory(names, trajectory, starts_in_s)

    def command_velocity(self, velocity: Sequence[float]) -> None:
        self._arm().command_velocity(velocity)

    def _arm(self) -> SimArm:
        if isinstance(self.body, SimBase):
            raise CommandRefused("a mobile base takes a twist")
        return self.body

    def command_twist(self, forward: float, turn: float) -> None:
        if not isinstance(self.body, SimBase):
            raise CommandRefused("an arm takes no twist")
        self.body.command_twist(forward, turn)

    def snapshot(self) -> Any:
        return self.scene.snapshot(self.body)

    def render(self, camera: str, snapshot: Any) -> np.ndarray:
        return self._noise[camera].on(self.scene.render(camera, snapshot))

    def camera_matrix(self, camera: str) -> np.ndarray | None:
        return self.scene.camera_matrix(camera)

    def baselines(self) -> dict[str, Callable[[], Command]]:
        return {name: partial(baseline, self.body) for name, baseline in self.scene.baselines().items()}
