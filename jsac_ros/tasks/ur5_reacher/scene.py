"""The visual reacher's scene: a monitor with a red disc in front of the wrist camera."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jsac_ros.config import ConfigError, source_size
from jsac_ros.tasks.scene import Baseline, Body
from jsac_ros.tasks.ur5_reacher.screen import Monitor, WristCamera, monitor_in_front, random_disc
from jsac_ros.tasks.ur5_reacher.servo import servo_velocity
from jsac_ros.types import Command

if TYPE_CHECKING:
    from jsac_ros.rig import Rig


class Snapshot(NamedTuple):
    q: np.ndarray  # rad [N]
    disc: np.ndarray  # [2], screen units


class ReacherScene:
    """`tasks.scene.Scene`; every camera is on the wrist."""

    floor = None

    def __init__(self, rig: Rig, seed: int):
        """Raises ConfigError if the arm has no kinematics."""
        if not rig.robot.has_kinematics:
            raise ConfigError(f"robot.type {rig.robot.model}: the simulated reacher needs an arm with kinematics")
        self._rig = rig
        self.monitor: Monitor = monitor_in_front(*rig.robot.forward(rig.robot.home))  # facing the camera at home
        self._cameras = {name: WristCamera(*source_size(camera), self.monitor) for name, camera in rig.config.cameras.items()}
        self._random = np.random.default_rng(seed)
        self.disc = random_disc(self._random)

    def reset(self) -> str:
        self.disc = random_disc(self._random)
        return f"disc at {self.disc[0]:.1f}, {self.disc[1]:.1f} of 160x90"

    def snapshot(self, body: Body) -> Snapshot:
        return Snapshot(body.q, self.disc)  # `step` and `reset` replace these arrays by new ones

    def render(self, camera: str, snapshot: Snapshot) -> np.ndarray:
        return self._cameras[camera].render(*self._rig.robot.forward(snapshot.q), snapshot.disc)

    def camera_matrix(self, camera: str) -> np.ndarray:
        return self._cameras[camera].matrix

    def sensors(self, body: Body) -> dict[str, np.ndarray]:
        return {}

    def baselines(self) -> dict[str, Baseline]:
        (part,) = self._rig.actions.moving

        def servo(body: Body) -> Command:
            motion = np.zeros(len(self._rig.robot))
            motion[part.joints] = servo_velocity(
                self._rig.robot, self.monitor, body.q, self.disc, part.joints, part.joint_speed
            )
            return Command(motion, {})

        return {"servo": servo}
