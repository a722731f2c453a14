"""Renders the cameras of a scene, at a multiple of the image size and then averaged (supersampling).

One thread may render while another steps the simulation: rendering has a separate MjData, into which a snapshot is copied.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import mujoco
import numpy as np

from jsac_ros.config import ConfigError, source_size
from jsac_ros.rig import Rig
from jsac_ros.sim.noise import Noise

_NO_DRIVER = (
    "no OpenGL to render with ({}); expected MUJOCO_GL=egl or osmesa and its library (sudo apt install libegl1 libegl-mesa0)"
)


class Snapshot(NamedTuple):
    qpos: np.ndarray
    mocap_pos: np.ndarray
    mocap_quat: np.ndarray
    exposure: float  # factor of the brightness


class Cameras:
    def __init__(self, model: mujoco.MjModel, rig: Rig, supersampling: int, noise: float, seed: int):
        """Raises ConfigError if the scene lacks a configured camera."""
        self._model, self._data = model, mujoco.MjData(model)
        self._sizes = {name: source_size(camera) for name, camera in rig.config.cameras.items()}
        scene = [model.camera(c).name for c in range(model.ncam)]
        for name in self._sizes:
            if name not in scene:
                raise ConfigError(f"cameras.{name}: the scene of task {rig.config.task.type!r} has {', '.join(scene)}")
        self._supersampling = supersampling
        self._noise = {name: Noise(noise, size, seed + place) for place, (name, size) in enumerate(sorted(self._sizes.items()))}
        self._renderers: dict[tuple[int, int], mujoco.Renderer] = {}  # by image size; created in the rendering thread

    def render(self, camera: str, snapshot: Snapshot) -> np.ndarray:
        """RGB uint8 [H, W, 3]. Raises ConfigError if OpenGL is not available."""
        data, (height, width) = self._data, self._sizes[camera]
        data.qpos[:], data.mocap_pos[:], data.mocap_quat[:] = snapshot.qpos, snapshot.mocap_pos, snapshot.mocap_quat
        mujoco.mj_kinematics(self._model, data)
        mujoco.mj_camlight(self._model, data)
        renderer = self._renderer(self._supersampling * height, self._supersampling * width)
        renderer.update_scene(data, camera)
        image = renderer.render()
        if self._supersampling > 1:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        if snapshot.exposure != 1.0:
            image = cv2.convertScaleAbs(image, alpha=snapshot.exposure)
        return self._noise[camera].on(image)

    def matrix(self, camera: str) -> np.ndarray | None:
        """K [3, 3] as in `Sim.camera_matrix`; None for an MJCF camera with a sensor size or without perspective."""
        seen, (height, width) = self._model.camera(camera), self._sizes[camera]
        if (
            self._model.cam_sensorsize[seen.id].any()
            or self._model.cam_projection[seen.id] != mujoco.mjtProjection.mjPROJ_PERSPECTIVE
        ):
            return None
        focal = height / 2 / math.tan(math.radians(seen.fovy[0]) / 2)
        return np.array(((focal, 0.0, width / 2 - 0.5), (0.0, focal, height / 2 - 0.5), (0.0, 0.0, 1.0)))

    def _renderer(self, height: int, width: int) -> mujoco.Renderer:
        if (height, width) not in self._renderers:
            try:
                renderer = mujoco.Renderer(self._model, height, width)
            except Exception as error:  # a missing library raises various types
                raise ConfigError(_NO_DRIVER.format(" ".join(str(error).split())[:120])) from None
            for flag in ("SHADOW", "REFLECTION", "SKYBOX", "FOG", "HAZE"):  # shadows alone take ten times as long
                renderer.scene.flags[getattr(mujoco.mjtRndFlag, f"mjRND_{flag}")] = 0
            self._renderers[height, width] = renderer
        return self._renderers[height, width]

    def close(self) -> None:
        """Call from the rendering thread, before the process exits."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()
