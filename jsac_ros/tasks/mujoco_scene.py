"""The scene of a task in front of the simulated arm: bodies that it places, and their ground truth."""

from __future__ import annotations

from typing import Any

import numpy as np

from jsac_ros.types import Arrays


class MujocoScene:
    """An empty table. Scenes of tasks extend it; `model` and `data` are mujoco's MjModel and MjData."""

    xml = '<mujoco><include file="robot.xml"/><include file="table.xml"/></mujoco>'  # MJCF that includes the robot
    opening_m: float | None = None  # between the fingers at the start, and if no action moves them; None: fully open
    loose: str = ""  # name of the body that a fault may push or move out of reach

    def edit(self, spec: Any) -> None:
        """Changes to the parsed scene (mujoco.MjSpec) before it is compiled: sizes that are configured."""

    def reset(self, model: Any, data: Any, random: np.random.Generator) -> str:
        """Places all bodies anew; returns a description."""
        return "nothing on the table"

    def truth(self, model: Any, data: Any) -> Arrays:
        """{name: float64 [n]}: poses and other ground truth for an expert, in addition to that of the arm."""
        return {}

    def succeeded(self, truth: Arrays) -> bool | None:
        """Whether the goal is reached now; truth: the scene's and the arm's. None: unknown."""
        return None


def place(model: Any, data: Any, body: str, position: np.ndarray, quaternion: np.ndarray | None = None) -> None:
    """Puts a free or `mocap` body at a pose in base_link, at rest."""
    which = model.body(body)
    quaternion = np.array((1.0, 0.0, 0.0, 0.0)) if quaternion is None else quaternion
    if which.mocapid[0] >= 0:
        data.mocap_pos[which.mocapid[0]], data.mocap_quat[which.mocapid[0]] = position, quaternion
        return
    joint = model.joint(which.jntadr[0])
    data.qpos[joint.qposadr[0] : joint.qposadr[0] + 7] = (*position, *quaternion)
    data.qvel[joint.dofadr[0] : joint.dofadr[0] + 6] = 0.0


def yaw_quaternion(yaw: float) -> np.ndarray:
    """[4], about z by `yaw` rad."""
    return np.array((np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)))


def yaw_of(rotation: np.ndarray) -> float:
    """rad of a rotation [3, 3] or [9] about z."""
    r = np.asarray(rotation).reshape(3, 3)
    return float(np.arctan2(r[1, 0], r[0, 0]))


def touches(model: Any, data: Any, one: str, other: str) -> bool:
    """Whether two geoms touch."""
    pair = {model.geom(one).id, model.geom(other).id}
    return any({int(a), int(b)} == pair for a, b in data.contact.geom[: data.ncon])
